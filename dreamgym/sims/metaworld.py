"""Metaworld's tasks on plain Gymnasium: the ten of WARPD (Table 4), with snapshots."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.sims.state_env import STATE, StateEnv

try:
    import mujoco

    from dreamgym.sims.mujoco_state import dump_physics, load_physics, physics_size
    from dreamgym.sims.offscreen import Picture
    from dreamgym.sims.posing import solve_pose

    importlib.import_module("metaworld")
except ImportError as error:
    raise ImportError('Metaworld is missing: pip install "dreamgym[metaworld]"') from error

# Task -> the suite's name of it. WARPD, Table 4.
NAMES = {
    "window_open": "window-open-v3",
    "door_open": "door-open-v3",
    "drawer_open": "drawer-open-v3",
    "dial_turn": "dial-turn-v3",
    "faucet_close": "faucet-close-v3",
    "button_press": "button-press-v3",
    "door_unlock": "door-unlock-v3",
    "handle_press": "handle-press-v3",
    "plate_slide": "plate-slide-v3",
    "reach": "reach-v3",
}
TASKS = tuple(NAMES)
# Entries of one frame: hand 3, gripper opening, 14 of objects. The state is this, the one before, the goal 3.
FRAME = 18
QUATERNIONS = (slice(7, 11), slice(14, 18))  # of a frame
VECTOR = 6  # most entries of the vector that places a task's objects
ARM = 7  # the arm's joints come first, then two fingers, then what moves of the task
NEAR = 0.005  # metres: a goal so near is the same goal
UPRIGHT = 0.1  # a camera whose upward axis points down by more than that hangs upside down
TURN = 0.1  # metres that a radian counts as where a pose is solved for
ROOM = 80  # entries kept for the physics, which differ by task, so that snapshots have one length
# What the quaternions of an episode's first frame point along. Uneven, so that no simple rotation is at right angles.
FIRST = np.zeros(FRAME)
FIRST[QUATERNIONS[0]] = FIRST[QUATERNIONS[1]] = (1.0, 2.0, 4.0, 8.0)


class MetaworldEnv(StateEnv):
    """A Sawyer arm at one of ten tasks; objects and goals are placed at random.

    ``state`` (39,): hand position 3 (m), gripper opening (0 to 1), objects' positions and quaternions 14, padded with
    zeros; the same 18 of the frame before; goal position 3. Actions (4,) in [-1, 1]: the hand's displacement (x 0.01 m)
    and the gripper's effort (-1 opens).

    A quaternion and its negative are one rotation, and the suite's sign jumps when an object tumbles. Here it goes on
    without a jump within an episode: each has the sign that is nearer to the frame before, the first one that nearer to
    a fixed direction. A snapshot holds the frame before, hence the sign.

    Args:
        task: one of `TASKS`, or None to draw one at each reset.
        horizon: steps of an episode; the suite's own is 500.
        render_mode, cameras, image_size: see `StateEnv`.
        camera_name: which of the suite's cameras.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 80}
    tasks = TASKS
    snapshot_size = 2 + VECTOR + FRAME + ROOM

    def __init__(
        self,
        task: str | None = None,
        horizon: int | None = 500,
        render_mode: str | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 64,
        camera_name: str = "corner2",
    ) -> None:
        super().__init__(task, horizon, render_mode, cameras, image_size)
        self.camera_name = camera_name
        self._worlds: dict[str, Any] = {}
        self._pictures: dict[str, Picture] = {}
        self._placed: dict[str, np.ndarray] = {}
        self._before, self._success = np.zeros(FRAME), False
        bound = np.full(2 * FRAME + 3, 2.0)
        self._set_spaces(-bound, bound, np.full(4, -1.0), np.full(4, 1.0))

    @property
    def world(self) -> Any:
        """The suite's own env of the present task; made when first needed."""
        name = self.episode_task
        if name not in self._worlds:
            self._worlds[name] = _make_world(NAMES[name])
        return self._worlds[name]

    def _begin(self, seed: int) -> None:
        self._place(_draw_placement(self.world, self.episode_task, np.random.default_rng(seed)))

    def _place(self, vector: np.ndarray) -> None:
        """The suite's own reset, with objects and goal at ``vector``."""
        self.world._last_rand_vec = np.array(vector)
        obs, _ = self.world.reset()
        self._placed[self.episode_task] = np.array(vector)
        self._before, self._success = _signed(obs[FRAME : 2 * FRAME], FIRST), False

    def _advance(self, action: np.ndarray) -> None:
        self.world.curr_path_length = 0  # the horizon is ours
        obs, _, _, _, info = self.world.step(action.astype(np.float32))
        self._before, self._success = _signed(obs[FRAME : 2 * FRAME], self._before), bool(info["success"])

    def _state(self) -> np.ndarray:
        now = _signed(self.world._get_curr_obs_combined_no_goal(), self._before)
        return np.concatenate([now, self._before, self.world._get_pos_goal()])

    def _judge(self) -> dict[str, Any]:
        return {"is_success": self._success}

    def _dump(self) -> np.ndarray:
        placed = self._placed[self.episode_task]
        physics = dump_physics(self.world.model, self.world.data)
        out = np.zeros(1 + VECTOR + FRAME + ROOM)
        out[0] = len(placed)
        out[1 : 1 + len(placed)] = placed
        out[1 + VECTOR : 1 + VECTOR + FRAME] = self._before
        out[1 + VECTOR + FRAME : 1 + VECTOR + FRAME + len(physics)] = physics
        return out

    def _load(self, vector: np.ndarray) -> None:
        placed = vector[1 : 1 + int(vector[0])]
        world = self.world
        # A reset sets what the oracle compares with and costs a hundred steps: not where it would change nothing.
        if not np.array_equal(self._placed.get(self.episode_task, np.empty(0)), placed):
            self._place(placed)
        start = 1 + VECTOR + FRAME
        load_physics(world.model, world.data, vector[start : start + physics_size(world.model)])
        self._before = vector[1 + VECTOR : start].copy()
        self._success = bool(world.evaluate_state(world._get_obs(), np.zeros(4, np.float32))[1]["success"])
        world._prev_obs = world._get_curr_obs_combined_no_goal()

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        """Furniture where the goal says, then hand, fingers and what moves by solving for the joints."""
        state = sensors[STATE]
        world = self.world
        model, data = world.model, world.data
        self._furnish(state[-3:])
        turn = np.array(data.body("hand").xquat)

        def hand() -> np.ndarray:
            return np.concatenate([world.get_endeff_pos(), TURN * _signed4(data.body("hand").xquat, turn)])

        solve_pose(model, data, range(ARM), hand, np.concatenate([state[:3], TURN * turn]))
        moving = _signed(state[:FRAME], FIRST)
        solve_pose(model, data, range(ARM, ARM + 2), lambda: self._seen()[3:4], moving[3:4])
        solve_pose(model, data, range(ARM + 2, model.nv), lambda: self._seen()[4:], moving[4:])
        mujoco.mj_forward(model, data)

    def _seen(self) -> np.ndarray:
        return _signed(self.world._get_curr_obs_combined_no_goal(), FIRST)

    def _furnish(self, goal: np.ndarray) -> None:
        """Places objects so that the goal (3,) is where it should be: it keeps its distance from what it belongs to."""
        world, placed = self.world, self._placed.get(self.episode_task)
        if placed is None:
            placed = _draw_placement(world, self.episode_task, np.random.default_rng(0))
            self._place(placed)
        off = goal - world._get_pos_goal()
        if np.linalg.norm(off) > NEAR:
            space = world._random_reset_space
            vector = np.array(placed)
            vector[-3:] += off
            self._place(np.clip(vector, space.low, space.high))

    def _draw(self, size: int) -> np.ndarray:
        name = self.episode_task
        if name not in self._pictures:
            self._pictures[name] = Picture(self.world.model, size, self.camera_name)
        image = self._pictures[name].draw(self.world.data)
        # The suite hangs some of its cameras upside down (corner2): a picture shows what is above above.
        hangs = self.world.data.camera(self.camera_name).xmat.reshape(3, 3)[2, 1] < -UPRIGHT
        return np.ascontiguousarray(image[::-1, ::-1]) if hangs else image

    def _free(self) -> None:
        for picture in self._pictures.values():
            picture.close()
        for world in self._worlds.values():
            world.close()


def _signed(frame: np.ndarray, before: np.ndarray) -> np.ndarray:
    """A copy of ``frame`` (18,) in which each quaternion has the sign that is nearer to that in ``before`` (18,)."""
    out = np.array(frame)
    for part in QUATERNIONS:
        if out[part] @ before[part] < 0:
            out[part] *= -1
    return out


def _signed4(quaternion: np.ndarray, near: np.ndarray) -> np.ndarray:
    return quaternion if quaternion @ near >= 0 else -quaternion


def _make_world(name: str) -> Any:
    """The suite's env of that name, goal in its observations, objects placed where it is told."""
    world = importlib.import_module("metaworld.env_dict").ALL_V3_ENVIRONMENTS[name]()
    world._partially_observable = False
    del world.sawyer_observation_space  # cached with the goal hidden
    world._freeze_rand_vec = True
    world._set_task_called = True
    return world


def _draw_placement(world: Any, task: str, rng: np.random.Generator) -> np.ndarray:
    """Where a reset puts objects and goal, drawn as the suite draws it."""
    space = world._random_reset_space
    while True:
        vector: np.ndarray = rng.uniform(space.low, space.high)
        # The suite's own rule of this task: the goal is not above the puck.
        if task != "reach" or np.linalg.norm(vector[:2] - vector[3:5]) >= 0.15:
            return vector


__all__ = ["NAMES", "TASKS", "MetaworldEnv"]
