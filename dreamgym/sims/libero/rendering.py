"""Pictures of a scene through any of its cameras."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from dreamgym.sims.libero.thinning import thinned
from dreamgym.sims.mujoco_state import make_renderer, mujoco

COSTLY = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)


HIDDEN = 5  # a geom group that is not drawn


class Renderer:
    """Draws what LIBERO shows: visual shapes, no collision shapes.

    Args:
        model: the MjModel.
        size: pixels of the square image.
        stock: with shadows, reflections, multisampling and every triangle.
    """

    def __init__(self, model: Any, size: int, stock: bool = False) -> None:
        quality, samples = model.vis.quality, model.vis.quality.offsamples
        if not stock:
            quality.offsamples = 0
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, size)
        with nullcontext() if stock else thinned(model):
            self._renderer = make_renderer(model, size, size)
        quality.offsamples = samples
        self._model, self._stock = model, stock
        self._groups = model.geom_group.copy()
        self._option = mujoco.MjvOption()
        self._option.geomgroup[0] = 0
        self._option.geomgroup[HIDDEN] = 0

    def draw(self, data: Any, camera: str) -> np.ndarray:
        """(size, size, 3) uint8."""
        if self._stock:
            self._renderer.update_scene(data, camera, self._option)
        else:
            groups = self._model.geom_group
            groups[self._outside(data, camera)] = HIDDEN
            self._renderer.update_scene(data, camera, self._option)
            groups[:] = self._groups
            for flag in COSTLY:
                self._renderer.scene.flags[flag] = 0
        image: np.ndarray = self._renderer.render()
        return image

    def _outside(self, data: Any, camera: str) -> np.ndarray:
        """Indices of the geoms whose bounding boxes lie wholly beside or behind what the camera sees."""
        model, seen = self._model, self._model.camera(camera)
        place, axes = data.cam_xpos[seen.id], data.cam_xmat[seen.id].reshape(3, 3)
        turned = axes.T @ data.geom_xmat.reshape(-1, 3, 3)  # each geom's axes as the camera has them
        boxes = model.geom_aabb
        middle = (data.geom_xpos - place) @ axes + np.einsum("nij,nj->ni", turned, boxes[:, :3])
        half = np.deg2rad(float(seen.fovy[0])) / 2
        # The camera looks along -z; a plane at the edge of the picture leans out by half the field of view.
        aside, ahead = np.cos(half), np.sin(half)
        normals = np.array([[0, 0, 1], [aside, 0, ahead], [-aside, 0, ahead], [0, aside, ahead], [0, -aside, ahead]])
        reach = np.einsum("pnj,nj->np", np.abs(np.einsum("pi,nij->pnj", normals, turned)), boxes[:, 3:])
        beyond = (middle @ normals.T > reach).any(1)
        outside: np.ndarray = np.flatnonzero((model.geom_rbound > 0) & beyond)
        return outside

    def close(self) -> None:
        """Frees the context."""
        self._renderer.close()
