"""Pictures of a scene through any of its cameras."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamgym.sims.libero.thinning import thinned
from dreamgym.sims.mujoco_state import mujoco
from dreamgym.sims.offscreen import Offscreen

COSTLY = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)
SKY = mujoco.mjtRndFlag.mjRND_SKYBOX
STILL = mujoco.mjtCatBit.mjCAT_STATIC
MOVING = mujoco.mjtCatBit.mjCAT_DYNAMIC | mujoco.mjtCatBit.mjCAT_DECOR
HIDDEN = 5  # a geom group that is not drawn
OPAQUE = 0.995  # MuJoCo blends what is less


@dataclass(frozen=True)
class Backdrop:
    """What a camera that stands still sees of things that stand still.

    Attributes:
        key: of camera, lights and things, as they were.
        image: (size, size, 3) uint8.
        depth: (size, size) float32, growing towards the camera.
    """

    key: bytes
    image: np.ndarray
    depth: np.ndarray


class Renderer:
    """Draws what LIBERO shows: visual shapes, no collision shapes.

    In software a picture costs its triangles. Without shadows and reflections a thing looks alike whatever else is
    there, so for a camera that stands still the walls, the table and the fixtures are drawn once, and each picture is
    the moving things before that, pixel by pixel by depth: the same picture to the bit.

    Args:
        model: the MjModel.
        size: pixels of the square image.
        stock: with shadows, reflections, multisampling and every triangle.
    """

    def __init__(self, model: Any, size: int, stock: bool = False) -> None:
        with nullcontext() if stock else thinned(model):
            self._offscreen = Offscreen(model, size, None if stock else 0)
        self._model, self._stock = model, stock
        self._groups = model.geom_group.copy()
        self._still = np.flatnonzero(model.body_weldid[model.geom_bodyid] == 0)
        self._backdrops: dict[str, Backdrop] = {}
        self._option = mujoco.MjvOption()
        self._option.geomgroup[0] = 0
        self._option.geomgroup[HIDDEN] = 0
        self._sites = self._option.sitegroup[model.site_group] != 0

    def draw(self, data: Any, camera: str) -> np.ndarray:
        """(size, size, 3) uint8."""
        if self._stock:
            self._offscreen.update(data, camera, self._option)
            return self._offscreen.draw()
        if self._model.body_weldid[self._model.camera(camera).bodyid[0]] or self._see_through():
            return self.draw_whole(data, camera)
        behind = self._backdrop(data, camera)
        self._update(data, camera, MOVING, sky=False)
        image, depth = self._offscreen.draw_with_depth()
        return np.where((depth > behind.depth)[..., None], image, behind.image)

    def draw_whole(self, data: Any, camera: str) -> np.ndarray:
        """The same as `draw`, with everything drawn anew."""
        self._update(data, camera)
        return self._offscreen.draw()

    def _update(self, data: Any, camera: str, parts: Any = mujoco.mjtCatBit.mjCAT_ALL, sky: bool = True) -> None:
        """The scene of some of MuJoCo's categories, without what lies outside the picture."""
        groups, flags = self._model.geom_group, self._offscreen.scene.flags
        groups[self._outside(data, camera)] = HIDDEN
        self._offscreen.update(data, camera, self._option, parts)
        groups[:] = self._groups
        for flag in COSTLY:
            flags[flag] = 0
        flags[SKY] = sky

    def _backdrop(self, data: Any, camera: str) -> Backdrop:
        key = self._key(data, camera)
        found = self._backdrops.get(camera)
        if found is None or found.key != key:
            self._update(data, camera, STILL)
            found = self._backdrops[camera] = Backdrop(key, *self._offscreen.draw_with_depth())
        return found

    def _key(self, data: Any, camera: str) -> bytes:
        """What a backdrop depends on."""
        model, still, eye = self._model, self._still, self._model.camera(camera).id
        told = (
            data.geom_xpos[still], data.geom_xmat[still], model.geom_rgba[still], model.mat_rgba,
            data.light_xpos, data.light_xdir, model.light_active, model.light_diffuse,
            data.cam_xpos[eye], data.cam_xmat[eye], model.cam_fovy[eye],
        )  # fmt: skip
        return b"".join(part.tobytes() for part in told)

    def _see_through(self) -> bool:
        """Whether anything that is drawn lets through what is behind it."""
        model = self._model
        alphas = (model.geom_rgba[self._groups != 0, 3], model.mat_rgba[:, 3], model.site_rgba[self._sites, 3])
        return any(((alpha > 0) & (alpha < OPAQUE)).any() for alpha in alphas)

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
        self._offscreen.close()
