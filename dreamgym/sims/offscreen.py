"""MuJoCo's pictures without a screen, from whichever thread asks for them."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator
from functools import cache
from typing import Any
from weakref import WeakSet

import numpy as np

from dreamgym.sims.mujoco_state import mujoco

COSTLY = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX)
MAX_GEOMS = 10_000  # of a scene, what sites and other marks add included


class Offscreen:
    """Draws square images of a model.

    Between two images its context is current in no thread, so that the next may be asked for from another one; two
    threads must not draw with it at a time.

    Args:
        model: the MjModel; its offscreen buffer is enlarged where it is smaller than the image.
        size: pixels of the square image.
        samples: of multisampling; None: as the model says.

    Attributes:
        scene: the MjvScene, whose flags may be set.
    """

    def __init__(self, model: Any, size: int, samples: int | None = None) -> None:
        self.model, self.scene = model, mujoco.MjvScene(model, MAX_GEOMS)
        self._size, self._rect = size, mujoco.MjrRect(0, 0, size, size)
        buffer, quality = model.vis.global_, model.vis.quality
        buffer.offwidth, buffer.offheight = max(buffer.offwidth, size), max(buffer.offheight, size)
        usual = quality.offsamples
        quality.offsamples = usual if samples is None else samples
        self._context: Any = None
        self._gl: Any = _context_kind()(size, size)
        try:
            with self._current():
                self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150.value)
                mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
                self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR.value
        finally:
            quality.offsamples = usual
        _open().add(self)

    def update(self, data: Any, camera: Any, option: Any = None, parts: Any = mujoco.mjtCatBit.mjCAT_ALL) -> None:
        """Takes the scene from ``data``.

        Args:
            data: the MjData.
            camera: the name of one of the model's cameras, or an MjvCamera.
            option: an MjvOption; None: the usual one.
            parts: which of MuJoCo's categories are drawn (`mjtCatBit`): static, dynamic, decor.
        """
        if isinstance(camera, str):
            name, camera = camera, mujoco.MjvCamera()
            camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, self.model.camera(name).id
        option = mujoco.MjvOption() if option is None else option
        mujoco.mjv_updateScene(self.model, data, option, None, camera, int(parts), self.scene)

    def draw(self) -> np.ndarray:
        """(size, size, 3) uint8 of the scene."""
        image = np.empty((self._size, self._size, 3), np.uint8)
        self._read(image, None)
        return np.ascontiguousarray(image[::-1])

    def draw_with_depth(self) -> tuple[np.ndarray, np.ndarray]:
        """The image, and (size, size) float32 that grows towards the camera, 0 where there is nothing."""
        image, depth = np.empty((self._size, self._size, 3), np.uint8), np.empty((self._size,) * 2, np.float32)
        self._read(image, depth)
        return np.ascontiguousarray(image[::-1]), np.ascontiguousarray(depth[::-1])

    def _read(self, image: np.ndarray, depth: np.ndarray | None) -> None:
        if self._context is None:
            raise ValueError("this renderer is closed: make a new one")
        with self._current():
            mujoco.mjr_render(self._rect, self.scene, self._context)
            mujoco.mjr_readPixels(image, depth, self._rect, self._context)

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        """Inside, OpenGL draws here; what was current before is not again."""
        self._gl.make_current()
        try:
            yield
        finally:
            _let_go()

    def close(self) -> None:
        """Frees the context; may be called again."""
        if self._context is not None:
            with self._current():
                self._context.free()
            self._context = None
            self._gl.free()

    def __del__(self) -> None:
        if getattr(self, "_context", None) is not None:
            self.close()


class Picture:
    """Draws one camera without shadows, reflections and multisampling, which is ten times as fast in software.

    Args:
        model: the MjModel.
        size: pixels of the square image.
        camera: its name in the model, or an MjvCamera.
    """

    def __init__(self, model: Any, size: int, camera: Any) -> None:
        self._offscreen, self._camera = Offscreen(model, size, samples=0), camera

    def draw(self, data: Any) -> np.ndarray:
        """(size, size, 3) uint8."""
        self._offscreen.update(data, self._camera)
        for flag in COSTLY:
            self._offscreen.scene.flags[flag] = 0
        return self._offscreen.draw()

    def close(self) -> None:
        """Frees the context."""
        self._offscreen.close()


def _context_kind() -> Any:
    """MuJoCo's class of OpenGL contexts: EGL's where there is no screen.

    Whoever imported mujoco before this module made it choose GLFW, which needs one.

    Raises:
        ValueError: MuJoCo was told to have none.
    """
    from mujoco import gl_context

    if os.environ.get("MUJOCO_GL") == "egl" and gl_context.GLContext.__module__ == "mujoco.glfw":
        from mujoco.egl import GLContext

        gl_context.GLContext = GLContext
    if gl_context.GLContext is None:
        raise ValueError(
            f"MUJOCO_GL={os.environ.get('MUJOCO_GL')!r} leaves nothing to draw with: set it to egl or unset it"
        )
    return gl_context.GLContext


def _let_go() -> None:
    """Leaves no EGL context current in this thread: another thread could not make it current else."""
    if _context_kind().__module__ == "mujoco.egl":
        from mujoco import egl

        egl.EGL.eglMakeCurrent(egl.EGL_DISPLAY, egl.EGL.EGL_NO_SURFACE, egl.EGL.EGL_NO_SURFACE, egl.EGL.EGL_NO_CONTEXT)


@cache
def _open() -> WeakSet[Offscreen]:
    """Renderers that are closed at exit, where nobody has closed them.

    MuJoCo ends EGL at exit, and a renderer that is freed after that prints a traceback. First called when a renderer
    is there, so its exit comes before MuJoCo's.
    """
    renderers: WeakSet[Offscreen] = WeakSet()

    def close() -> None:
        for renderer in list(renderers):
            with contextlib.suppress(Exception):  # the process ends anyway
                renderer.close()

    atexit.register(close)
    return renderers
