"""FrankaKitchen of Gymnasium-Robotics as a suite: a Franka arm, seven things to open, turn or move.

The whole suite is this file: the simulator under it is imported from its package. Success can be read off the state,
so a dream of it needs no classifier: `DecodedStateReward("kitchen", tasks)` scores what it imagines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.sims.state_env import STATE, StateEnv
from dreamgym.suites.base import Measure, Rows, Suite
from dreamgym.suites.scripted import RANDOM, RandomWalk, demonstrations
from dreamgym.types import ActionSpec

JOINTS, THINGS = 9, 21  # positions of the arm and its fingers, of all else
# The state (59,): positions and velocities of the arm (9 + 9), positions (21) and velocities (20) of the rest.
SIZE = 2 * JOINTS + THINGS + THINGS - 1
# Entries of the state that a task is about, and where they are to be: the package's own goals.
GOALS: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "bottom_burner": ((20, 21), (-0.88, -0.01)),
    "top_burner": ((24, 25), (-0.92, -0.01)),
    "light_switch": ((26, 27), (-0.69, -0.05)),
    "slide_cabinet": ((28,), (0.37,)),
    "hinge_cabinet": ((29, 30), (0.0, 1.45)),
    "microwave": ((31,), (-0.75,)),
    "kettle": ((32, 33, 34, 35, 36, 37, 38), (-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06)),
}
TASKS = tuple(GOALS)
NEAR = 0.3  # done: the entries are so near to the goal, in metres, radians and quaternion entries together
# Radians by which a reset displaces each of the arm's seven joints; the package's own begins at one place.
SPREAD = 0.05
PHYSICS = 103  # entries of the physics of this model


class KitchenEnv(StateEnv):
    """The kitchen on plain Gymnasium, with snapshots; observed without the noise that the package adds.

    ``state`` (59,): positions of the arm's joints 7 (radians) and fingers 2 (m), their velocities; positions of knobs,
    switch, cabinets, microwave and kettle 21 (radians, m, the kettle's pose as position and quaternion), their
    velocities 20. Actions (9,) in [-1, 1]: joint velocities, as a share of 2 rad/s, at 12.5 Hz.

    Args:
        task: one of `TASKS`, or None to draw one at each reset. All begin alike.
        horizon: steps of an episode; the package's own is 280.
        render_mode, cameras, image_size: see `StateEnv`.

    Raises:
        ImportError: Gymnasium-Robotics is not installed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 12}
    tasks = TASKS
    snapshot_size = 1 + PHYSICS

    def __init__(
        self,
        task: str | None = None,
        horizon: int | None = 280,
        render_mode: str | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 64,
    ) -> None:
        super().__init__(task, horizon, render_mode, cameras, image_size)
        kitchen = import_module("gymnasium_robotics.envs.franka_kitchen.kitchen_env")
        self._kitchen = kitchen.KitchenEnv(object_noise_ratio=0.0, robot_noise_ratio=0.0)
        self._robot: Any = self._kitchen.robot_env
        self._renderer: Any = None
        self._set_spaces(np.full(SIZE, -20.0), np.full(SIZE, 20.0), np.full(JOINTS, -1.0), np.full(JOINTS, 1.0))

    def _begin(self, seed: int) -> None:
        self._kitchen.reset(seed=seed)
        position = np.array(self._robot.data.qpos)
        position[: JOINTS - 2] += np.random.default_rng(seed).uniform(-SPREAD, SPREAD, JOINTS - 2)
        self._set(position, np.zeros(self._robot.model.nv))

    def _set(self, position: np.ndarray, velocity: np.ndarray) -> None:
        self._robot.set_state(position, velocity)
        self._robot.data.ctrl[:] = position[:JOINTS]
        self._robot._get_obs()  # the next command starts from the joints that it notes

    def _advance(self, action: np.ndarray) -> None:
        self._robot.step(action)

    def _state(self) -> np.ndarray:
        position, velocity = self._robot.data.qpos, self._robot.data.qvel
        return np.concatenate([position[:JOINTS], velocity[:JOINTS], position[JOINTS:], velocity[JOINTS:]])

    def _judge(self) -> dict[str, Any]:
        rows = {"state": self._state().astype(np.float32)}
        return {"is_success": bool(succeeded(self.episode_task, rows, rows))}

    def _dump(self) -> np.ndarray:
        from dreamgym.sims.mujoco_state import dump_physics

        return dump_physics(self._robot.model, self._robot.data)

    def _load(self, vector: np.ndarray) -> None:
        from dreamgym.sims.mujoco_state import load_physics

        load_physics(self._robot.model, self._robot.data, vector)
        self._robot._get_obs()

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        state = sensors[STATE]
        arm, rest = state[: 2 * JOINTS], state[2 * JOINTS :]
        self._set(np.concatenate([arm[:JOINTS], rest[:THINGS]]), np.concatenate([arm[JOINTS:], rest[THINGS:]]))

    def _draw(self, size: int) -> np.ndarray:
        if self._renderer is None:
            from dreamgym.sims.offscreen import Picture

            self._renderer = Picture(self._robot.model, size, _view())
        image: np.ndarray = self._renderer.draw(self._robot.data)
        return image

    def _free(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self._kitchen.close()


def _view() -> Any:
    """Where the package looks from by default."""
    import mujoco

    camera = mujoco.MjvCamera()
    camera.distance, camera.azimuth, camera.elevation = 2.2, 70.0, -35.0
    camera.lookat[:] = (-0.2, 0.5, 2.0)
    return camera


def away(task: str, rows: Rows) -> np.ndarray:
    """[...]: how far what ``task`` is about is from its goal, in ``rows`` of states [..., 59]."""
    entries, goal = GOALS[task]
    distance: np.ndarray = np.linalg.norm(rows["state"][..., list(entries)] - np.asarray(goal, np.float32), axis=-1)
    return distance


def startable(task: str, rows: Rows) -> np.ndarray:
    """[...] bool: the task is not done."""
    return away(task, rows) >= NEAR


def succeeded(task: str, start: Rows, now: Rows) -> np.ndarray:
    """[...] bool: the task is done."""
    return away(task, now) < NEAR


class KitchenRules:
    """The same on tensors; see `TaskRules`.

    Raises:
        ValueError: an unknown task.
    """

    keys: tuple[str, ...] = ("state",)

    def __init__(self, tasks: Sequence[str], device: torch.device | str) -> None:
        if unknown := [task for task in tasks if task not in GOALS]:
            raise ValueError(f"tasks of the kitchen are {list(TASKS)}, got {unknown}")
        self.goal, self.counts = torch.zeros(2, len(tasks), SIZE, device=device)
        for i, task in enumerate(tasks):
            entries, goal = (torch.tensor(x, device=device) for x in GOALS[task])
            self.goal[i, entries], self.counts[i, entries] = goal, 1.0

    def progress(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """[B]: how much nearer than `NEAR` the task's entries are."""
        return NEAR - ((now["state"] - self.goal[task]) * self.counts[task]).norm(dim=1)


SUITE = Suite(
    name="kitchen",
    tasks=TASKS,
    action=ActionSpec((-1.0,) * JOINTS, (1.0,) * JOINTS),
    frame_rate=12.5,
    horizon=280,
    simulator="dreamgym.suites.kitchen:KitchenEnv",
    extra="kitchen",
    module="gymnasium_robotics",
    licence="Gymnasium-Robotics MIT, kitchen Apache-2.0, MuJoCo Apache-2.0",
    layouts={"state": (("linear", SIZE),)},
    measures=(
        Measure("arm", "state", tuple(range(7)), "degrees", scale=180 / np.pi, moved=0.1),
        Measure("slide cabinet", "state", (28,), "cm", scale=100.0, moved=0.05),
        Measure("hinge cabinet", "state", (30,), "degrees", scale=180 / np.pi, moved=0.1),
        Measure("microwave", "state", (31,), "degrees", scale=180 / np.pi, moved=0.1),
        Measure("kettle", "state", (32, 33, 34), "cm", scale=100.0, moved=0.05),
    ),
    startable=startable,
    succeeded=succeeded,
    rules=KitchenRules,
    operators={RANDOM: RandomWalk},
    collectors={RANDOM: partial(demonstrations, operators=(RANDOM,))},
    draws=("state",),
    cameras={"rgb_static": "static"},
    axes=(*(f"joint {i}" for i in range(1, 8)), "left finger", "right finger"),
    settings={"cameras": tuple[str, ...], "image_size": int},
)
