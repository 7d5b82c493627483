"""CALVIN's 34 tasks, each a difference between two states of the scene.

:func:`achieved_tasks` is the oracle on full simulator states, contacts included. :func:`scene_obs_success` judges from
the 24-d scene observation alone, batched over numpy arrays or torch tensors, which is what a world model decodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dreamgym.sims.calvin.scenes import BLOCKS

SLIDER, DRAWER, LIGHTBULB, LED = 0, 1, 4, 5  # places in scene_obs
FIRST_BLOCK = 6
DOOR_TASKS = {
    "open_drawer": (DRAWER, 0.12),
    "close_drawer": (DRAWER, -0.12),
    "move_slider_left": (SLIDER, 0.15),
    "move_slider_right": (SLIDER, -0.15),
}
LIGHT_TASKS = {
    "turn_on_lightbulb": (LIGHTBULB, 1),
    "turn_off_lightbulb": (LIGHTBULB, 0),
    "turn_on_led": (LED, 1),
    "turn_off_led": (LED, 0),
}
ROTATE_TASKS = {
    f"rotate_{block}_block_{side}": (block, angle) for block in BLOCKS for side, angle in (("right", -60), ("left", 60))
}
PUSH_TASKS = {
    f"push_{block}_block_{side}": (block, shift) for block in BLOCKS for side, shift in (("right", 0.1), ("left", -0.1))
}
LIFT_TASKS = {
    f"lift_{block}_block_{place}": (block, height, link)
    for block in BLOCKS
    for place, height, link in (
        ("table", 0.05, "base_link"),
        ("slider", 0.03, "plank_link"),
        ("drawer", 0.05, "drawer_link"),
    )
}
PLACE_TASKS = {"place_in_slider": "plank_link", "place_in_drawer": "drawer_link"}
TASKS: tuple[str, ...] = (
    *ROTATE_TASKS,
    *PUSH_TASKS,
    *DOOR_TASKS,
    *LIFT_TASKS,
    *PLACE_TASKS,
    "stack_block",
    "unstack_block",
    *LIGHT_TASKS,
    "push_into_drawer",
)
SCENE_OBS_TASKS: tuple[str, ...] = (*DOOR_TASKS, *LIGHT_TASKS, *PUSH_TASKS, *ROTATE_TASKS)
"""What :func:`scene_obs_success` can judge: the first eight exactly, pushes and rotations up to their contact rules."""

MAX_TILT = 30.0  # degrees about x and y that a rotation may add
MAX_ROTATION_SHIFT = 0.1  # metres a block may travel while it is rotated
_COS_HALF_TURN = float(np.cos(np.deg2rad(55) / 2))
MAX_STACK_VELOCITY = 1.0  # m/s and rad/s, each component


@dataclass(frozen=True)
class TaskState:
    """What the oracle needs to know of one moment.

    Attributes:
        scene_obs: (24,) float64.
        quaternions: of the red, blue and pink block, (3, 4), x y z w.
        velocities: linear then angular of each block, (3, 6).
        contacts: for each block the (body, link) pairs it touches; bodies are "robot", "table", "plane" and colours,
            links are the table's link names, "" for single-link bodies.
        robot_contacts: the bodies the robot touches.
    """

    scene_obs: np.ndarray
    quaternions: np.ndarray
    velocities: np.ndarray
    contacts: dict[str, frozenset[tuple[str, str]]]
    robot_contacts: frozenset[str]

    def position(self, block: str) -> np.ndarray:
        """Return a block's position (3,), metres."""
        first = FIRST_BLOCK + 6 * BLOCKS.index(block)
        return self.scene_obs[first : first + 3]

    def touched(self, block: str) -> set[str]:
        """Return the bodies a block touches."""
        return {body for body, _ in self.contacts[block]}


def check_task(task: str) -> str:
    """Return ``task``, or raise ValueError when it is none of the 34."""
    if task not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}; got {task!r}")
    return task


def achieved_tasks(start: TaskState, end: TaskState, tasks: tuple[str, ...] = TASKS) -> set[str]:
    """Return which of ``tasks`` the way from ``start`` to ``end`` achieves.

    Raises:
        ValueError: a task is none of the 34.
    """
    return {task for task in tasks if _is_achieved(check_task(task), start, end)}


def _is_achieved(task: str, start: TaskState, end: TaskState) -> bool:
    if task in DOOR_TASKS or task in LIGHT_TASKS:
        return bool(scene_obs_success(task, start.scene_obs, end.scene_obs))
    if task in ROTATE_TASKS:
        return _is_rotated(*ROTATE_TASKS[task], start, end)
    if task in PUSH_TASKS:
        return _is_pushed(*PUSH_TASKS[task], start, end)
    if task in LIFT_TASKS:
        return _is_lifted(*LIFT_TASKS[task], start, end)
    if task in PLACE_TASKS:
        return _is_placed(PLACE_TASKS[task], start, end)
    if task == "stack_block":
        return any(not _stands_on_block(block, start) and _is_stacked(block, start, end) for block in BLOCKS)
    if task == "unstack_block":
        return any(_rests_on_blocks_only(block, start) and not _stands_on_block(block, end) for block in BLOCKS)
    return any(_is_pushed_into_drawer(block, start, end) for block in BLOCKS)


def _is_rotated(block: str, angle: float, start: TaskState, end: TaskState) -> bool:
    """Turned about z beyond ``angle`` degrees, hardly tilted or moved, and touching more than the robot at the end."""
    if np.linalg.norm(end.position(block) - start.position(block)) > MAX_ROTATION_SHIFT:
        return False
    if not end.touched(block) - {"robot"}:
        return False
    index = BLOCKS.index(block)
    if abs(start.quaternions[index] @ end.quaternions[index]) > _COS_HALF_TURN:
        return False  # turned too little about any axis; spares most steps the angles
    x, y, z = _relative_angles(_matrix(start.quaternions[index]), _matrix(end.quaternions[index]), np)
    return bool(_is_turned(x, y, z, angle))


def _is_pushed(block: str, shift: float, start: TaskState, end: TaskState) -> bool:
    """Moved along x beyond ``shift`` metres, without leaving what it lay on."""
    before = {contact for contact in start.contacts[block] if contact[0] != "robot"}
    after = {contact for contact in end.contacts[block] if contact[0] != "robot"}
    if not before or not before <= after:
        return False
    moved = end.position(block)[0] - start.position(block)[0]
    return bool(moved > shift if shift > 0 else moved < shift)


def _is_lifted(block: str, height: float, link: str, start: TaskState, end: TaskState) -> bool:
    """Raised by ``height`` metres off ``link`` of the table and held by the robot alone."""
    raised = end.position(block)[2] - start.position(block)[2] > height
    return bool(raised and end.touched(block) == {"robot"} and ("table", link) in start.contacts[block])


def _is_placed(link: str, start: TaskState, end: TaskState) -> bool:
    """The one block the robot held at the start lies on ``link`` of the table and is let go."""
    if len(start.robot_contacts) != 1:
        return False
    (block,) = start.robot_contacts
    if block not in BLOCKS or block in end.robot_contacts:
        return False
    return start.touched(block) == {"robot"} and ("table", link) in end.contacts[block]


def _stands_on_block(block: str, state: TaskState) -> bool:
    return bool(state.touched(block) & set(BLOCKS))


def _rests_on_blocks_only(block: str, state: TaskState) -> bool:
    """Touches blocks, nothing else, and hardly moves."""
    still = np.abs(state.velocities[BLOCKS.index(block)]) < MAX_STACK_VELOCITY
    return _stands_on_block(block, state) and not state.touched(block) - set(BLOCKS) and bool(still.all())


def _is_stacked(block: str, start: TaskState, end: TaskState) -> bool:
    return _rests_on_blocks_only(block, end)


def _is_pushed_into_drawer(block: str, start: TaskState, end: TaskState) -> bool:
    """From lying on the table top alone to touching the drawer.

    CALVIN's rule also means to exclude a robot that touches the block, but compares unlike things there; its effective
    rule, kept here, leaves the robot free at the end.
    """
    return start.contacts[block] == {("table", "base_link")} and ("table", "drawer_link") in end.contacts[block]


def scene_obs_success(task: str, start_scene_obs: Any, scene_obs: Any) -> Any:
    """Judge a task from scene observations alone.

    Lights count as on above 0.5, so decoded probabilities may be passed. Pushes and rotations ignore the contact rules
    of the full oracle and so may also count a block that was lifted on its way.

    Args:
        task: one of :data:`SCENE_OBS_TASKS`.
        start_scene_obs: (..., 24), numpy or torch.
        scene_obs: (..., 24), same kind, broadcast against the first.

    Returns:
        Booleans (...), same kind as the input.

    Raises:
        ValueError: the task needs more than scene_obs, or the last axis is not 24.
    """
    check_task(task)
    for name, value in (("start_scene_obs", start_scene_obs), ("scene_obs", scene_obs)):
        if value.shape[-1:] != (24,):
            raise ValueError(f"{name}: expected shape (..., 24), got {tuple(value.shape)}")
    if task in DOOR_TASKS:
        place, threshold = DOOR_TASKS[task]
        moved = scene_obs[..., place] - start_scene_obs[..., place]
        return moved > threshold if threshold > 0 else moved < threshold
    if task in LIGHT_TASKS:
        place, wanted = LIGHT_TASKS[task]
        before, after = start_scene_obs[..., place] > 0.5, scene_obs[..., place] > 0.5
        return ~before & after if wanted else before & ~after
    if task in PUSH_TASKS:
        block, shift = PUSH_TASKS[task]
        first = FIRST_BLOCK + 6 * BLOCKS.index(block)
        moved = scene_obs[..., first] - start_scene_obs[..., first]
        return moved > shift if shift > 0 else moved < shift
    if task in ROTATE_TASKS:
        return _rotated_by_euler(*ROTATE_TASKS[task], start_scene_obs, scene_obs)
    raise ValueError(
        f"{task} depends on contacts, which scene_obs does not hold: use achieved_tasks, or one of {SCENE_OBS_TASKS}"
    )


def _rotated_by_euler(block: str, angle: float, start: Any, end: Any) -> Any:
    xp = np if isinstance(start, np.ndarray) else _torch()
    first = FIRST_BLOCK + 6 * BLOCKS.index(block)
    shift = ((end[..., first : first + 3] - start[..., first : first + 3]) ** 2).sum(-1) ** 0.5
    before, after = (_euler_matrix(obs[..., first + 3 : first + 6], xp) for obs in (start, end))
    x, y, z = _relative_angles(before, after, xp)
    return (shift <= MAX_ROTATION_SHIFT) & _is_turned(x, y, z, angle)


def _torch() -> Any:
    import torch

    return torch


def _is_turned(x: Any, y: Any, z: Any, angle: float) -> Any:
    """Whether rotation (degrees about x, y, z) is one beyond ``angle`` about z with little tilt."""
    turned = (z > angle) & (z < 180) if angle > 0 else (z < angle) & (z > -180)
    return turned & (abs(x) < MAX_TILT) & (abs(y) < MAX_TILT)


Rows = tuple[tuple[Any, Any, Any], ...]
"""The rows of a 3 x 3 matrix whose entries are numbers, arrays or tensors."""


def _matrix(quaternion: ArrayLike) -> Rows:
    """Return the nine entries, row by row, of the rotation matrix of a quaternion x y z w."""
    x, y, z, w = np.asarray(quaternion) / np.linalg.norm(quaternion)
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )


def _euler_matrix(euler: Any, xp: Any) -> Rows:
    """Return the rows of Rz Ry Rx for Euler angles (..., 3) in radians."""
    (cx, cy, cz), (sx, sy, sz) = ([f(euler[..., k]) for k in range(3)] for f in (xp.cos, xp.sin))
    return (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )


def _relative_angles(start: Rows, end: Rows, xp: Any) -> tuple[Any, Any, Any]:
    """Return degrees about x, y, z of ``end @ start.T``, both given as rows of a rotation matrix."""

    def entry(row: int, column: int) -> Any:
        return sum(end[row][k] * start[column][k] for k in range(3))

    arctan2 = xp.arctan2
    scale = 180 / np.pi
    x = arctan2(entry(2, 1), entry(2, 2))
    y = arctan2(-entry(2, 0), (entry(2, 1) ** 2 + entry(2, 2) ** 2) ** 0.5)
    z = arctan2(entry(1, 0), entry(0, 0))
    return x * scale, y * scale, z * scale
