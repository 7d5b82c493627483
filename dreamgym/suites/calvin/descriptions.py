"""What can be said of a frame of CALVIN's table, in short sentences: texts for encoders of images and language."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamgym.sims.calvin.scenes import BLOCKS
from dreamgym.sims.calvin.tasks import DRAWER, FIRST_BLOCK, LED, LIGHTBULB, SLIDER
from dreamgym.suites.calvin.tasks import DRAWER_RANGE, SCENE, SLIDER_RANGE

ROBOT = "robot_obs"
GRIPPER = 14  # the last gripper action in robot_obs, +1 open


def describe(rows: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Sentences that hold of each row, one array of str [T] for each thing that is spoken of.

    Every continuous quantity is told twice: in words that split its range in three, and in centimetres.

    Args:
        rows: "robot_obs" [T, 15] and "scene_obs" [T, 24].
    """
    robot, scene = np.asarray(rows[ROBOT]), np.asarray(rows[SCENE])
    x, y, z = robot[:, 0], robot[:, 1], robot[:, 2]
    said = [
        _words(scene[:, DRAWER] / DRAWER_RANGE, "the drawer is", ("closed", "half open", "open"), (0.15, 0.85)),
        _numbers(scene[:, DRAWER], "the drawer is open", 1),
        _words(scene[:, SLIDER] / SLIDER_RANGE, "the slider is", ("right", "in the middle", "left"), (0.15, 0.85)),
        _numbers(scene[:, SLIDER], "the slider is at", 1),
        _either(scene[:, LIGHTBULB] > 0.5, "the lightbulb is on", "the lightbulb is off"),
        _either(scene[:, LED] > 0.5, "the led is on", "the led is off"),
        _words(x, "the hand is", ("left", "in the middle", "right"), (-0.1, 0.15)),
        _words(y, "the hand is", ("in front", "above the table", "at the back"), (-0.2, -0.02)),
        _words(z, "the hand is", ("low", "half high", "high"), (0.42, 0.55)),
        _numbers(x, "the hand is sideways at", 2),
        _numbers(y, "the hand is forward at", 2),
        _numbers(z, "the hand is up at", 2),
        _either(robot[:, GRIPPER] > 0, "the gripper opens", "the gripper closes"),
    ]
    for i, block in enumerate(BLOCKS):
        place = scene[:, FIRST_BLOCK + 6 * i :][:, :3]
        near = np.linalg.norm(place - robot[:, :3], axis=1) < 0.06
        said.append(_either(near, f"the hand is at the {block} block", f"the hand is away from the {block} block"))
        said.append(_words(place[:, 0], f"the {block} block is", ("left", "in the middle", "right"), (-0.05, 0.2)))
        said.append(_numbers(place[:, 0], f"the {block} block is sideways at", 4))
    return said


def _either(mask: np.ndarray, yes: str, no: str) -> np.ndarray:
    return np.where(mask, yes, no)


def _words(value: np.ndarray, subject: str, words: tuple[str, ...], edges: tuple[float, ...]) -> np.ndarray:
    return np.array([f"{subject} {word}" for word in words])[np.digitize(value, edges)]


def _numbers(value: np.ndarray, subject: str, step: int) -> np.ndarray:
    """``value`` in metres, told in whole centimetres, multiples of ``step``."""
    rounded = (np.round(value * 100 / step) * step).astype(int)
    told, places = np.unique(rounded, return_inverse=True)
    return np.array([f"{subject} {'minus ' if n < 0 else ''}{abs(n)} centimetres" for n in told])[places]
