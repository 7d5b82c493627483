"""The surfaces that tasks are done on: the scene's file, where the robot stands, where the camera hangs."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

# Agent views: high above a table, and low before the floor.
_HIGH: Quaternion = (0.6380177736282349, 0.3048497438430786, 0.30484986305236816, 0.6380177736282349)
_LOW: Quaternion = (0.6182166934013367, 0.3432307541370392, 0.3432314395904541, 0.6182177066802979)


@dataclass(frozen=True)
class Workspace:
    """One of LIBERO's scenes without its things.

    Attributes:
        surface: the kind of fixture that task files call the surface.
        scene: its model file, in the assets' folder ``scenes``.
        floor, wall: textures, in the assets' folder ``textures``.
        origin: the middle of the surface in the world, m: regions are relative to it.
        fixture_drop: what is added to the height of a fixture, m.
        base: where the robot stands, m.
        mounted: whether it stands on a pedestal.
        camera, camera_quat: pose of the camera "agentview" (w, x, y, z).
        zone: the middle of the surface as the goal's regions see it, m (the benchmark's own offsets).
        margin: whether things are placed wholly inside their region, and not with their middle only.
        table: full size of a table whose size the scene's file leaves open; None: it is in the file.
        friction: of that table.
    """

    surface: str
    scene: str
    floor: str
    wall: str
    origin: Vector
    fixture_drop: float
    base: Vector
    mounted: bool
    camera: Vector
    camera_quat: Quaternion
    zone: Vector
    margin: bool
    table: Vector | None = None
    friction: Vector = (1.0, 0.005, 0.0001)


WORKSPACES = {
    "libero_tabletop_manipulation": Workspace(
        surface="table",
        scene="libero_tabletop_base_style.xml",
        floor="light-gray-floor-tile.png",
        wall="light-gray-plaster.png",
        origin=(0.0, 0.0, 0.9),
        fixture_drop=-0.04,
        base=(-0.66, 0.0, 0.0),
        mounted=True,
        camera=(0.6586131746834771, 0.0, 1.6103500240372423),
        camera_quat=_HIGH,
        zone=(0.0, 0.0, 0.895),
        margin=True,
        table=(1.0, 1.2, 0.05),
        friction=(0.6, 0.005, 0.0001),
    ),
    "libero_kitchen_tabletop_manipulation": Workspace(
        surface="kitchen_table",
        scene="libero_kitchen_tabletop_base_style.xml",
        floor="gray_ceramic_tile.png",
        wall="yellow_linen_wall_texture.png",
        origin=(0.0, 0.0, 0.9),
        fixture_drop=-0.04,
        base=(-0.66, 0.0, 0.0),
        mounted=True,
        camera=(0.6586131746834771, 0.0, 1.6103500240372423),
        camera_quat=_HIGH,
        zone=(0.0, 0.0, 0.875),
        margin=False,
        table=(1.0, 1.2, 0.05),
    ),
    "libero_living_room_tabletop_manipulation": Workspace(
        surface="living_room_table",
        scene="libero_living_room_tabletop_base_style.xml",
        floor="seamless_wood_planks_floor.png",
        wall="light-gray-plaster.png",
        origin=(0.0, 0.0, 0.41),
        fixture_drop=-0.014,
        base=(-0.51, 0.0, 0.42),
        mounted=False,
        camera=(0.6065773716836134, 0.0, 0.96),
        camera_quat=_LOW,
        zone=(0.0, 0.0, 0.41),
        margin=False,
    ),
    "libero_study_tabletop_manipulation": Workspace(
        surface="study_table",
        scene="libero_study_base_style.xml",
        floor="light-gray-floor-tile.png",
        wall="light-gray-plaster.png",
        origin=(-0.2, 0.0, 0.867),
        fixture_drop=-0.04,
        base=(-0.75, 0.0, 0.0),
        mounted=True,
        camera=(0.4586131746834771, 0.0, 1.6103500240372423),
        camera_quat=_HIGH,
        zone=(-0.2, 0.0, 0.867),
        margin=False,
    ),
    "libero_floor_manipulation": Workspace(
        surface="floor",
        scene="libero_floor_base_style.xml",
        floor="light-gray-floor-tile.png",
        wall="light-gray-plaster.png",
        origin=(0.0, 0.0, -0.035),
        fixture_drop=-0.025,
        base=(-0.6, 0.0, 0.0),
        mounted=False,
        camera=(0.8965773716836134, 5.216182733499864e-07, 0.65),
        camera_quat=_LOW,
        zone=(0.0, 0.0, 0.02),
        margin=True,
    ),
    "libero_coffee_table_manipulation": Workspace(
        surface="coffee_table",
        scene="libero_coffee_table_base_style.xml",
        floor="seamless_wood_planks_floor.png",
        wall="light-gray-plaster.png",
        origin=(0.0, 0.0, 0.41),
        fixture_drop=-0.014,
        base=(-0.51, 0.0, 0.41),
        mounted=False,
        camera=(1.5, 0.0, 0.9),
        camera_quat=(0.56, 0.43, 0.43, 0.56),
        zone=(0.0, 0.0, 0.02),
        margin=True,
    ),
}
"""By the task files' name of the problem, in lower case. No task of the benchmark lies on the coffee table."""


def find_workspace(problem: str) -> Workspace:
    """The workspace of a problem's name.

    Raises:
        ValueError: there is none.
    """
    if problem not in WORKSPACES:
        raise ValueError(f"unknown problem {problem!r}: expected one of {', '.join(WORKSPACES)}")
    return WORKSPACES[problem]
