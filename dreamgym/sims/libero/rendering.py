"""Pictures of a scene through any of its cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamgym.sims.mujoco_state import mujoco

COSTLY = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)


class Renderer:
    """Draws what LIBERO shows: visual shapes, no collision shapes.

    Args:
        model: the MjModel.
        size: pixels of the square image.
        stock: with shadows, reflections and multisampling.
    """

    def __init__(self, model: Any, size: int, stock: bool = False) -> None:
        quality, samples = model.vis.quality, model.vis.quality.offsamples
        if not stock:
            quality.offsamples = 0
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, size)
        self._renderer = mujoco.Renderer(model, size, size)
        quality.offsamples = samples
        self._stock = stock
        self._option = mujoco.MjvOption()
        self._option.geomgroup[0] = 0

    def draw(self, data: Any, camera: str) -> np.ndarray:
        """(size, size, 3) uint8."""
        self._renderer.update_scene(data, camera, self._option)
        if not self._stock:
            for flag in COSTLY:
                self._renderer.scene.flags[flag] = 0
        image: np.ndarray = self._renderer.render()
        return image

    def close(self) -> None:
        """Frees the context."""
        self._renderer.close()
