"""Where things and handles are held, by kind: read from grasps.json, which a reader can extend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SHIPPED = Path(__file__).with_name("grasps.json")
_PARTS = ("things", "pulls", "pushes", "turns")
_VECTORS = ("point", "approach", "closing")

Pose = tuple[np.ndarray, np.ndarray]
"""Position (3,) in metres and rotation matrix (3, 3)."""


@dataclass(frozen=True)
class Grasp:
    """One way to hold a thing, in the frame of its body.

    Attributes:
        point: where the middle between the finger tips is, m.
        approach: unit vector along which the hand points and comes.
        closing: unit vector along which the fingers close, at right angles to ``approach``.
        turn: axis of a symmetry of the thing, through its origin.
        turns: how many turned copies about ``turn`` hold it as well.
    """

    point: tuple[float, float, float]
    approach: tuple[float, float, float]
    closing: tuple[float, float, float]
    turn: tuple[float, float, float] = (0.0, 0.0, 1.0)
    turns: int = 1

    def poses(self) -> Iterator[Pose]:
        """Poses of the hand in the thing's frame: x closes, z approaches; both ways round of each turned copy."""
        closing, approach = np.array(self.closing), np.array(self.approach)
        hand = np.stack([closing, np.cross(approach, closing), approach], axis=1)
        for angle in 2 * np.pi * np.arange(self.turns) / self.turns:
            turned = rotation_matrix(angle * np.array(self.turn))
            for side in (1.0, -1.0):
                yield turned @ np.array(self.point), turned @ hand * [side, side, 1.0]


@dataclass(frozen=True)
class Grasps:
    """All known ways to hold.

    Attributes:
        things: by kind of a movable thing.
        pulls, pushes, turns: by kind of a fixture and name of its joint, in the frame of the body that it moves: how
            the joint is pulled open, pushed shut, and turned about its axis.
    """

    things: Mapping[str, tuple[Grasp, ...]] = field(default_factory=dict)
    pulls: Mapping[tuple[str, str], tuple[Grasp, ...]] = field(default_factory=dict)
    pushes: Mapping[tuple[str, str], tuple[Grasp, ...]] = field(default_factory=dict)
    turns: Mapping[tuple[str, str], tuple[Grasp, ...]] = field(default_factory=dict)


@cache
def read_grasps(*paths: Path) -> Grasps:
    """The shipped grasps, and over them those of further files of the same form.

    Args:
        paths: JSON files; a kind (and joint) in a later one replaces that of an earlier one.

    Raises:
        ValueError: a file is damaged; the message names it and what is wrong.
        FileNotFoundError: a file is not there.
    """
    found: dict[str, dict[Any, tuple[Grasp, ...]]] = {part: {} for part in _PARTS}
    for path in (SHIPPED, *paths):
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            for part, kinds in content.items():
                if part not in _PARTS:
                    raise ValueError(f"expected some of {_PARTS}, got {part!r}")
                for kind, ways in kinds.items():
                    if part == "things":
                        found[part][kind] = _grasps(ways, kind)
                        continue
                    for joint, more in ways.items():
                        found[part][kind, joint] = _grasps(more, f"{kind} {joint}")
        except (ValueError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(f"damaged file of grasps {path}: {error}") from error
    return Grasps(**found)


def _grasps(ways: Any, name: str) -> tuple[Grasp, ...]:
    if not isinstance(ways, list) or not ways:
        raise ValueError(f"{name}: expected a list of grasps, got {ways!r}")
    return tuple(_grasp(way, name) for way in ways)


def _grasp(way: Any, name: str) -> Grasp:
    if not isinstance(way, dict) or not set(_VECTORS) <= set(way) <= {*_VECTORS, "turn", "turns"}:
        raise ValueError(f"{name}: expected {', '.join(_VECTORS)} and perhaps turn, turns; got {way!r}")
    turns = way.get("turns", 1)
    if not isinstance(turns, int) or turns < 1:
        raise ValueError(f"{name}: turns must be a whole number from 1, got {turns!r}")
    vectors = {key: _vector(value, f"{name}: {key}") for key, value in way.items() if key != "turns"}
    units = {key: vector / np.linalg.norm(vector) for key, vector in vectors.items() if key != "point"}
    if abs(float(units["approach"] @ units["closing"])) > 0.01:
        raise ValueError(f"{name}: approach and closing must stand at right angles")
    numbers = {key: tuple(vector.tolist()) for key, vector in {**vectors, **units}.items()}
    return Grasp(**numbers, turns=turns)


def _vector(value: Any, name: str) -> np.ndarray:
    try:
        vector = np.array(value, float)
    except (ValueError, TypeError):
        vector = np.zeros(0)
    if vector.shape != (3,) or not np.isfinite(vector).all() or (not vector.any() and not name.endswith("point")):
        raise ValueError(f"{name} must be three numbers, not all zero, got {value!r}")
    return vector


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """(3, 3) of a rotation vector (3,), by Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = vector / angle
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    found: np.ndarray = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew
    return found


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """(3,) of a rotation matrix, angles up to pi."""
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0)))
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return np.zeros(3) if angle < 1e-6 else skew * (angle / max(2 * np.sin(angle), 1e-6))
