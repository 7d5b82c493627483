"""Skills for the three blocks, and free motion of the hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dreamgym.suites.calvin.skills_engine import CLOSE, HAND_DOWN, OPEN, Plan, Style, View, Waypoint, lean
from dreamgym.suites.calvin.skills_furniture import approach

Planner = Callable[[View, np.random.Generator, Style], Plan]
TCP_OVER_TABLE = 0.024  # metres from the table top to the tcp of a hand whose fingertips nearly touch it


def on_table(view: View, name: str) -> bool:
    """Whether the block lies on the free part of the table top."""
    layout = view.layout
    x, y, z = view.block(name)
    inside_x = layout.table_low[0] < x < layout.table_high[0]
    inside_y = layout.table_low[1] - 0.02 < y < layout.table_high[1] + 0.02
    return bool(inside_x and inside_y and abs(z - layout.table_height) < 0.02)


def _over(view: View, block: str, height: float) -> np.ndarray:
    x, y, _ = view.block(block)
    return np.array([x, y, view.layout.table_height - 0.02 + height])


def push_block(block: str, left: bool) -> Planner:
    """The skill that pushes the block 0.11 to 0.16 m along x with the closed hand."""
    sign = -1.0 if left else 1.0

    def plan(view: View, rng: np.random.Generator, style: Style) -> Plan:
        offset = np.array([-sign * 0.075, rng.uniform(-0.006, 0.006), 0]) + style.miss
        beside = _over(view, block, TCP_OVER_TABLE) + offset
        yield from approach(view, beside + [0, 0, 0.07], exact=False)
        yield Waypoint(beside, patience=8, tolerance=0.02)
        reach = rng.uniform(0.115, 0.16)
        goal = view.block(block)[0] + sign * reach
        push = beside + [sign * (reach + 0.075), 0, 0]
        yield Waypoint(push, patience=8, until=lambda v: sign * (v.block(block)[0] - goal) > 0)
        yield Waypoint(view.tcp + [-sign * 0.02, 0, 0.08], patience=2, tolerance=0.03)

    return plan


def grasp_yaw(block_yaw: float) -> float:
    """Yaw of the hand, nearest to its usual one, at which the fingers close across the block's short side."""
    turn = (block_yaw - HAND_DOWN[2] + np.pi / 2) % np.pi - np.pi / 2
    return HAND_DOWN[2] + float(turn)


def lift_block(block: str) -> Planner:
    """The skill that grasps the block from above, lifts it, and puts it back, or lets it drop."""

    def plan(view: View, rng: np.random.Generator, style: Style) -> Plan:
        yaw = grasp_yaw(view.block_yaw(block))

        def pose(position: np.ndarray) -> tuple[float, float, float]:
            return tuple(lean(position, view.layout.base, yaw))

        above = _over(view, block, 0.12) + np.array(style.miss)
        yield from approach(view, above, OPEN, exact=False)
        yield Waypoint(above, OPEN, pose(above), patience=12, tolerance=0.01)
        down = _over(view, block, TCP_OVER_TABLE) + np.array(style.miss)
        yield Waypoint(down, OPEN, pose(down), patience=10, tolerance=0.008)
        for _ in range(4):
            yield Waypoint(down, CLOSE, pose(down), patience=0)
        up = down + [0, 0, rng.uniform(0.08, 0.14)]
        yield Waypoint(up, CLOSE, pose(up), patience=5, tolerance=0.015)
        shift = np.array([*rng.uniform(-0.08, 0.08, 2), 0.0])
        side = np.clip(up + shift, [0.0, -0.14, 0.4], [0.26, -0.07, 0.8])
        yield Waypoint(side, CLOSE, pose(side), patience=4, tolerance=0.02)
        if rng.random() < 0.7:
            back = np.array([side[0], side[1], down[2] + 0.006])
            yield Waypoint(back, CLOSE, pose(back), patience=4)
            side = back
        for _ in range(3):
            yield Waypoint(side, OPEN, pose(side), patience=0)
        yield Waypoint(side + [0, 0, 0.07], OPEN, pose(side), patience=2, tolerance=0.03)

    return plan


def random_place(view: View, rng: np.random.Generator) -> np.ndarray:
    """(3,) a place in free air over and before the table."""
    low, high = view.layout.table_low, view.layout.table_high
    return rng.uniform([low[0] - 0.2, -0.32, 0.52], [high[0], view.layout.clear_y, 0.68])


def wander(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Visit one to three places in free air, the fingers open or closed."""
    for _ in range(rng.integers(1, 3)):
        yield Waypoint(random_place(view, rng), OPEN if rng.random() < 0.4 else CLOSE, tolerance=0.03, patience=3)


def idle(view: View, rng: np.random.Generator, style: Style) -> Plan:
    """Stay where the hand is for a few steps."""
    here, gripper = view.tcp.copy(), float(np.sign(view.robot_obs[14]) or 1.0)
    for _ in range(int(rng.integers(4, 12))):
        yield Waypoint(here, gripper, patience=0, tolerance=0.0)
