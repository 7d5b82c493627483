"""What the two MuJoCo suites share: the physics state as a vector, and a picture without what makes it slow."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from functools import cache
from typing import Any
from weakref import WeakSet

import numpy as np

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")  # read at the first import of mujoco; needs no GPU

import mujoco
from mujoco import gl_context

# What decides how the physics goes on. Not the whole mjSTATE_INTEGRATION: the rest are forces that nobody applies.
PHYSICS = (
    mujoco.mjtState.mjSTATE_FULLPHYSICS
    | mujoco.mjtState.mjSTATE_WARMSTART
    | mujoco.mjtState.mjSTATE_CTRL
    | mujoco.mjtState.mjSTATE_EQ_ACTIVE
    | mujoco.mjtState.mjSTATE_MOCAP_POS
    | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)


def physics_size(model: Any) -> int:
    """Entries of `dump_physics`."""
    return int(mujoco.mj_stateSize(model, int(PHYSICS)))


def dump_physics(model: Any, data: Any) -> np.ndarray:
    """The physics state, float64 [physics_size]."""
    out = np.empty(physics_size(model))
    mujoco.mj_getState(model, data, out, int(PHYSICS))
    return out


def load_physics(model: Any, data: Any, state: np.ndarray) -> None:
    """Sets the physics state and everything that follows from it."""
    mujoco.mj_setState(model, data, state, int(PHYSICS))
    mujoco.mj_forward(model, data)
    # The solver's warm start was overwritten just now; with it back, stepping goes on to the last bit.
    mujoco.mj_setState(model, data, state, int(PHYSICS))


def make_renderer(model: Any, height: int, width: int) -> mujoco.Renderer:
    """MuJoCo's renderer, which draws through EGL where there is no screen.

    Whoever imported mujoco before this module made it choose GLFW, which needs one.
    """
    if os.environ.get("MUJOCO_GL") == "egl" and gl_context.GLContext.__module__ == "mujoco.glfw":
        from mujoco.egl import GLContext

        gl_context.GLContext = GLContext
    renderer = mujoco.Renderer(model, height, width)
    _open_renderers().add(renderer)
    return renderer


@cache
def _open_renderers() -> WeakSet[mujoco.Renderer]:
    """Renderers that are closed at exit, where nobody has closed them.

    MuJoCo ends EGL at exit, and a renderer that is freed after that prints a traceback. First called when a renderer
    is there, so its exit comes before MuJoCo's.
    """
    renderers: WeakSet[mujoco.Renderer] = WeakSet()

    def close() -> None:
        for renderer in list(renderers):
            with contextlib.suppress(Exception):  # the process ends anyway
                renderer.close()

    atexit.register(close)
    return renderers


def refresh_poses(model: Any, data: Any) -> None:
    """Brings the poses of bodies and sites up to the joints, which a step leaves one substep ahead of them."""
    mujoco.mj_kinematics(model, data)


class Picture:
    """A renderer without shadows, reflections and multisampling, which is ten times as fast in software.

    Args:
        model: the MjModel.
        size: pixels of the square image.
        camera: its name in the model.
    """

    def __init__(self, model: Any, size: int, camera: str) -> None:
        samples = model.vis.quality.offsamples
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, size)
        self._renderer = make_renderer(model, size, size)
        model.vis.quality.offsamples = samples
        self._camera = camera

    def draw(self, data: Any) -> np.ndarray:
        """(size, size, 3) uint8."""
        self._renderer.update_scene(data, self._camera)
        for flag in (
            mujoco.mjtRndFlag.mjRND_SHADOW,
            mujoco.mjtRndFlag.mjRND_REFLECTION,
            mujoco.mjtRndFlag.mjRND_SKYBOX,
        ):
            self._renderer.scene.flags[flag] = 0
        image: np.ndarray = self._renderer.render()
        return image

    def close(self) -> None:
        """Frees the context."""
        self._renderer.close()
