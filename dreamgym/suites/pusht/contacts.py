"""What pushers of the T know: its faces, how a push at each moves it, and the way round it."""

from __future__ import annotations

import math

import numpy as np

GOAL = (256.0, 256.0, math.pi / 4)  # the outline's position and angle
CENTRE = np.array([0.0, 45.0])  # centre of gravity in the block's own frame
ARM_SQUARED = 3000.0  # c^2 in pixels^2: two bodies of 1500 about the origin, mass 1
DISC = 15.0  # radius of the disc
RING = 108.0  # the disc passes the block at this distance from its centre of gravity
EDGE = 17.0  # nearest that the disc comes to the table's edge
# Faces of the T in its own frame: outward normal, and contacts at which the disc touches nothing else.
_BAR, _STEM = 50.0, 110.0
FACES: tuple[tuple[tuple[float, float], tuple[tuple[float, float], ...]], ...] = (
    ((0.0, -1.0), tuple((x, 0.0) for x in np.linspace(-_BAR, _BAR, 11))),
    ((-1.0, 0.0), ((-60.0, 8.0), (-60.0, 15.0), (-60.0, 22.0))),
    ((1.0, 0.0), ((60.0, 8.0), (60.0, 15.0), (60.0, 22.0))),
    ((0.0, 1.0), ((-52.0, 30.0), (-43.0, 30.0), (-35.0, 30.0), (35.0, 30.0), (43.0, 30.0), (52.0, 30.0))),
    ((-1.0, 0.0), tuple((-15.0, y) for y in np.linspace(50, _STEM, 7))),
    ((1.0, 0.0), tuple((15.0, y) for y in np.linspace(50, _STEM, 7))),
    ((0.0, 1.0), ((-10.0, 120.0), (0.0, 120.0), (10.0, 120.0))),
)
# [N, 2] all contacts and the outward normals there, in the block's frame; [N] the face of each.
CONTACTS = np.array([p for _, points in FACES for p in points])
NORMALS = np.array([n for n, points in FACES for _ in points])
FACE = np.array([i for i, (_, points) in enumerate(FACES) for _ in points])


def pose_of(state: np.ndarray) -> np.ndarray:
    """Position and angle (3,) of the block."""
    return np.array([state[2], state[3], math.atan2(state[5], state[4])], np.float64)


def rotate(angle: float, vectors: np.ndarray) -> np.ndarray:
    """Vectors [N, 2] turned by an angle."""
    cos, sin = math.cos(angle), math.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])


def place(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, 2] of the block's frame on the table."""
    return rotate(pose[2], points) + pose[:2]


def error_of(pose: np.ndarray) -> np.ndarray:
    """(3,): how far the centre of gravity is from its goal, and the angle times c; all in pixels."""
    goal = np.array(GOAL)
    where = place(pose, CENTRE[None])[0] - place(goal, CENTRE[None])[0]
    return np.array([*where, wrap(pose[2] - goal[2]) * math.sqrt(ARM_SQUARED)])


def twists(contacts: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """[N, 3]: how a push at each contact moves the block, position in the block's frame and angle times c."""
    arm, force = contacts - CENTRE, -normals
    turn = (arm[:, 0] * force[:, 1] - arm[:, 1] * force[:, 0]) / math.sqrt(ARM_SQUARED)
    return np.concatenate([force, turn[:, None]], 1)


def gains(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much nearer a push at each contact [N] can bring the pose, and after how many pixels (0: not at all)."""
    error = error_of(pose)
    size = float(np.linalg.norm(error))
    twist = twists(CONTACTS, NORMALS)
    unit = twist / np.linalg.norm(twist, axis=1, keepdims=True)
    ahead = np.maximum(-(rotate(pose[2], unit[:, :2]) @ error[:2] + unit[:, 2] * error[2]), 0.0)
    return size - np.sqrt(np.maximum(size**2 - ahead**2, 0.0)), ahead


def on_ring(touch: np.ndarray, normal: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where rays from ``touch`` [..., 2] along ``normal`` [..., 2] leave the ring about ``centre`` (2,)."""
    from_centre = touch - centre
    b = (from_centre * normal).sum(-1)
    reach = -b + np.sqrt(np.maximum(b * b - (from_centre**2).sum(-1) + RING**2, 0.0))
    out: np.ndarray = touch + normal * np.maximum(reach, 0.0)[..., None]
    return out


def angle_of(vector: np.ndarray) -> np.ndarray:
    """Of vectors [..., 2], in (-pi, pi]."""
    return np.arctan2(vector[..., 1], vector[..., 0])


def wrap(angle: np.ndarray | float) -> np.ndarray:
    """Angles in [-pi, pi)."""
    return (np.asarray(angle) + math.pi) % (2 * math.pi) - math.pi


def limit(vector: np.ndarray, length: float) -> np.ndarray:
    """A vector no longer than ``length``."""
    size = float(np.linalg.norm(vector))
    return vector if size <= length else vector * (length / size)


def trembling(target: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The action (2,) of a hand that trembles by ``noise`` pixels about its target; it stays on the table."""
    action: np.ndarray = np.clip(target + noise * rng.standard_normal(2), EDGE, 512 - EDGE).astype(np.float32)
    return action
