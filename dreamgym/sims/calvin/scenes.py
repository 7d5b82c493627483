"""The scenes as data: CALVIN's tables A to D and the built-in PlayTable.

A scene names the furniture file, the blocks and the surfaces blocks start on. Every scene has the same joint and link
names, so the 15-d robot and 24-d scene observations mean the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = ("red", "blue", "pink")
ROBOT_LABELS = (
    *(f"tcp_{axis}" for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
    "gripper_width",
    *(f"joint_{index}" for index in range(1, 8)),
    "gripper_action",
)
SCENE_LABELS = (
    *("slider", "drawer", "button", "switch", "lightbulb", "led"),
    *(f"{block}_{axis}" for block in BLOCKS for axis in ("x", "y", "z", "roll", "pitch", "yaw")),
)
HOME_JOINTS = (-1.21779206, 1.03987646, 2.11978261, -2.34205014, -0.87015947, 1.64119353, 0.55344866)


@dataclass(frozen=True)
class Surface:
    """A box from which block positions are drawn; metres, world frame."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A fixed pinhole camera; metres, field of view in degrees."""

    fov: float
    near: float
    far: float
    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]


STATIC_CAMERA = Camera(
    fov=10.0,
    near=0.01,
    far=10.0,
    eye=(2.871459009488717, -2.166602199425597, 2.555159848480571),
    target=(-0.026242351159453392, -0.0302329882979393, 0.3920000493526459),
    up=(0.4041403970338857, 0.22629790978217404, 0.8862616969685161),
)


@dataclass(frozen=True)
class Scene:
    """Everything that tells one scene from another.

    Attributes:
        name: what error messages and snapshots call the scene.
        table: URDF of the furniture below the assets folder, or None for the built-in PlayTable.
        blocks: URDF of each block below the assets folder, in loading order; for the built-in scene the edge lengths.
        surfaces: where blocks are dropped at reset.
        table_scaling: global scaling of furniture and blocks.
        robot_position: base of the Panda, metres.
        home_joints: the seven joint angles after reset, radians.
        camera: the static camera.
    """

    name: str
    table: str | None
    blocks: dict[str, str | tuple[float, float, float]]
    surfaces: dict[str, Surface]
    table_scaling: float = 0.8
    robot_position: tuple[float, float, float] = (-0.34, -0.46, 0.24)
    home_joints: tuple[float, ...] = HOME_JOINTS
    camera: Camera = field(default=STATIC_CAMERA)

    def __post_init__(self) -> None:
        if set(self.blocks) != set(BLOCKS):
            raise ValueError(f"a scene has the blocks {BLOCKS}, got {tuple(self.blocks)}")
        if len(self.home_joints) != 7:
            raise ValueError(f"home_joints: expected 7 angles, got {len(self.home_joints)}")
        if not self.surfaces:
            raise ValueError("a scene needs at least one surface to place blocks on")

    @property
    def code(self) -> float:
        """A number that tells this scene's snapshots from another scene's."""
        return float(int.from_bytes(self.name.encode()[:6].ljust(6, b"\0"), "big"))


Span = tuple[float, float]


@dataclass(frozen=True)
class SceneFiles:
    """URDF of each body; blocks by colour in loading order."""

    robot: Path
    table: Path
    plane: Path
    blocks: dict[str, Path]


def _surfaces(table: Span, left: Span, right: Span) -> dict[str, Surface]:
    """Surfaces from (x_low, x_high) of the table top and the two halves of the shelf, as CALVIN's scene files give."""
    return {
        "table": Surface((table[0], -0.15, 0.46), (table[1], -0.03, 0.46)),
        "slider_left": Surface((left[0], 0.05, 0.46), (left[1], 0.12, 0.46)),
        "slider_right": Surface((right[0], 0.05, 0.46), (right[1], 0.12, 0.46)),
    }


def _calvin(letter: str, blocks: dict[str, str], surfaces: dict[str, Surface]) -> Scene:
    files: dict[str, str | tuple[float, float, float]] = {
        color: f"blocks/block_{color}_{size}.urdf" for color, size in blocks.items()
    }
    return Scene(letter, f"calvin_table_{letter}/urdf/calvin_table_{letter}.urdf", files, surfaces)


# Blocks stand in CALVIN's loading order, which shows in the physics. CALVIN's own scene_obs lists them in that order
# too, so A and C differ from B and D there; ours lists red, blue, pink in every scene.
SCENES: dict[str, Scene] = {
    "playtable": Scene(
        "playtable",
        None,
        {"red": (0.056, 0.04, 0.04), "blue": (0.04, 0.04, 0.04), "pink": (0.08, 0.04, 0.04)},
        _surfaces((0.0, 0.35), (-0.32, -0.16), (-0.05, 0.13)),
        table_scaling=1.0,
        # A little higher and wider than CALVIN's, so that both lights are in full view.
        camera=replace(STATIC_CAMERA, fov=10.5, target=(-0.026, -0.03, 0.405)),
    ),
    "A": _calvin(
        "A",
        {"pink": "small", "blue": "big", "red": "middle"},
        _surfaces((-0.2, 0.35), (-0.32, -0.16), (-0.05, 0.13)),
    ),
    "B": _calvin(
        "B",
        {"red": "small", "blue": "big", "pink": "middle"},
        _surfaces((-0.35, 0.15), (-0.12, 0.06), (0.15, 0.33)),
    ),
    "C": _calvin(
        "C",
        {"blue": "small", "red": "big", "pink": "middle"},
        _surfaces((0.0, 0.35), (-0.12, 0.06), (0.15, 0.3)),
    ),
    "D": _calvin(
        "D",
        {"red": "middle", "blue": "small", "pink": "big"},
        _surfaces((0.0, 0.35), (-0.32, -0.16), (-0.05, 0.13)),
    ),
}


def find_scene(scene: str | Scene) -> Scene:
    """Return the scene of that name, or ``scene`` itself.

    Raises:
        ValueError: no scene has that name.
    """
    if isinstance(scene, Scene):
        return scene
    if scene not in SCENES:
        raise ValueError(f"scene: expected one of {tuple(SCENES)} or a Scene, got {scene!r}")
    return SCENES[scene]


def as_vector(value: ArrayLike, size: int, name: str) -> np.ndarray:
    """Return ``value`` as a finite float64 vector of ``size`` numbers, or raise ValueError."""
    vector = np.asarray(value, dtype=np.float64)
    if vector.shape != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"{name}: expected finite numbers, got {vector}")
    return vector
