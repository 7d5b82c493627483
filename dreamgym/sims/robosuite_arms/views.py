"""The camera, at rest or swaying, and pictures through it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dreamgym.sims.libero.thinning import thinned
from dreamgym.sims.mujoco_state import mujoco
from dreamgym.sims.offscreen import COSTLY, Offscreen
from dreamgym.sims.robosuite_arms.scene import TABLE_TOP, Shelf

LOOK_AT = np.array([0.0, 0.0, TABLE_TOP + 0.08])  # m
DISTANCE, AZIMUTH, ELEVATION = 0.72, 180.0, -30.0  # m, degrees, degrees
# Of a swaying camera: amplitude, and the shortest and longest period in control steps.
SWAY = {"distance": (0.06, 90, 200), "azimuth": (14.0, 80, 180), "elevation": (5.0, 70, 160)}
NUM_PARAMETERS = 2 * len(SWAY)


@dataclass(frozen=True)
class View:
    """Where the camera stands at one moment: degrees and metres about `LOOK_AT`."""

    distance: float = DISTANCE
    azimuth: float = AZIMUTH
    elevation: float = ELEVATION

    @property
    def pose(self) -> np.ndarray:
        """(9,): position, and the first two columns (right, up) of the camera's rotation, in the world."""
        across, up = math.radians(self.azimuth), math.radians(self.elevation)
        forward = np.array([math.cos(up) * math.cos(across), math.cos(up) * math.sin(across), math.sin(up)])
        right = np.array([math.sin(across), -math.cos(across), 0.0])
        return np.concatenate([LOOK_AT - self.distance * forward, right, np.cross(right, forward)])


def draw_sway(rng: np.random.Generator) -> np.ndarray:
    """(6,): a period in control steps and a phase for each of `SWAY`."""
    drawn = [(rng.uniform(low, high), rng.uniform(0, 2 * math.pi)) for _, low, high in SWAY.values()]
    return np.array(drawn).ravel()


def view_at(sway: np.ndarray | None, step: float) -> View:
    """The view after ``step`` control actions of an episode; None: at rest."""
    if sway is None:
        return View()
    waves = zip(SWAY.values(), sway.reshape(-1, 2), strict=True)
    moved = [size * math.sin(2 * math.pi * step / period + phase) for (size, _, _), (period, phase) in waves]
    return View(DISTANCE + moved[0], AZIMUTH + moved[1], ELEVATION + moved[2])


class Pictures:
    """Draws the shapes that collide, which cost a tenth of the visual meshes in software.

    Args:
        shelf: the scene.
        size: pixels of the square image.
    """

    def __init__(self, shelf: Shelf, size: int) -> None:
        with thinned(shelf.model):  # of arms whose links do not collide
            self._offscreen = Offscreen(shelf.model, size, samples=0)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[0] = 1
        self._option.sitegroup[:] = 0
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.lookat[:] = LOOK_AT

    def draw(self, data: object, view: View) -> np.ndarray:
        """(size, size, 3) uint8."""
        camera = self._camera
        camera.distance, camera.azimuth, camera.elevation = view.distance, view.azimuth, view.elevation
        self._offscreen.update(data, camera, self._option)
        for flag in COSTLY:
            self._offscreen.scene.flags[flag] = 0
        return self._offscreen.draw()

    def close(self) -> None:
        """Frees the context."""
        self._offscreen.close()
