"""`ArmsEnv`: one of several robots lifts an object of robosuite's and puts it down beside where it lay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dreamgym.sims.mujoco_state import dump_physics, load_physics, physics_size, refresh_poses
from dreamgym.sims.robosuite_arms.embodiments import EMBODIMENTS
from dreamgym.sims.robosuite_arms.objects import CATEGORIES, INSTANCES, THINGS
from dreamgym.sims.robosuite_arms.oracles import Contacts, Progress
from dreamgym.sims.robosuite_arms.scene import TABLE_TOP, Shelf, Table
from dreamgym.sims.robosuite_arms.views import NUM_PARAMETERS, Pictures, draw_sway, view_at
from dreamgym.sims.state_env import StateEnv

TASKS = tuple(f"move_{category}" for category in CATEGORIES)
POSE = 3 + 6  # position, and the first two columns of the rotation matrix: quaternions jump
STATE_DIM = POSE + 1 + POSE + POSE + 3
PLACES = np.array([0.08, 0.12])  # m: objects begin within this of the table's middle, in x and y
ROOM = 340  # entries kept for the physics, which differ by robot, so that snapshots have one length
MEMORY = 24  # the same for what the controllers remember
ROBOT, THING, CLOCK = 0, 1, 2  # heads of a snapshot
HEADS, PROGRESS = 3, 5
_MODEL_SEED = 0


class ArmsEnv(StateEnv):
    """A robot at a table with one object, which it is to lift and to put down at least 0.1 m aside.

    ``state`` (31,): the hand's position 3 (m) and rotation 6 (two columns of its matrix); how far the hand is closed
    (1, 0 open to 1); the object's position 3 and rotation 6; the camera's position 3 and rotation 6; the object
    relative to the hand 3. It means the same for every robot. Actions differ by robot: `EMBODIMENTS`. Beside
    ``is_success`` an info holds "contact" and "lifted", whether the hand has touched and lifted the object so far.

    Args:
        task: "move_cube" or another of `TASKS`; None draws one at each reset.
        robot: one of `EMBODIMENTS`.
        horizon: control steps of an episode at 20 Hz.
        instances: "train", "held_out" or "all": which objects of a category may lie there. A category that has none
            of them is all of them (the held-out categories have one instance each).
        render_mode, cameras, image_size: see `StateEnv`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    tasks = TASKS
    snapshot_size = 1 + HEADS + PROGRESS + NUM_PARAMETERS + ROOM + MEMORY

    def __init__(
        self,
        task: str | None = None,
        robot: str = "panda_joints",
        horizon: int | None = 250,
        instances: str = "train",
        render_mode: str | None = None,
        cameras: Sequence[str] = ("static",),
        image_size: int = 64,
    ) -> None:
        super().__init__(task, horizon, render_mode, cameras, image_size)
        if robot not in EMBODIMENTS:
            raise ValueError(f"robot: expected one of {list(EMBODIMENTS)}, got {robot!r}")
        if instances not in INSTANCES:
            raise ValueError(f"instances: expected one of {INSTANCES}, got {instances!r}")
        self.robot, self.instances, self.embodiment = robot, instances, EMBODIMENTS[robot]
        self.world = Table(self.embodiment, _MODEL_SEED)
        self.world.reset()
        self._silence()
        self.shelf = Shelf(self.world, self.embodiment.colour)
        self._contacts = Contacts(self.shelf)
        self._pictures: Pictures | None = None
        self._clock = 0  # control steps since the episode began, restored with it: what the camera goes by
        self._sway: np.ndarray | None = None
        self._progress = Progress(np.zeros(3))
        bounds = np.full(STATE_DIM, 4.0)
        action = self.embodiment.action
        self._set_spaces(-bounds, bounds, np.array(action.low), np.array(action.high))

    # -- what operators look at --

    @property
    def gripper_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the hand's grip site in the world."""
        site, data = self._arm.eef_site_id["right"], self.world.sim.data
        return np.array(data.site_xpos[site]), np.array(data.site_xmat[site]).reshape(3, 3)

    @property
    def object_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the object in the world."""
        body, data = self.shelf.bodies[self.shelf.used], self.world.sim.data
        return np.array(data.body_xpos[body]), np.array(data.body_xmat[body]).reshape(3, 3)

    @property
    def object_start(self) -> np.ndarray:
        """(3,) where the object lay when the episode began, m."""
        return self._progress.start.copy()

    @property
    def object_height(self) -> float:
        """How far the object's highest point lies above its frame while it stands, m."""
        return float(self.world.things[self.shelf.used].top_offset[2])

    def encode(self, move: np.ndarray, turn: np.ndarray, fingers: float) -> np.ndarray:
        """This robot's action (A,) for a displacement (3,) m and rotation (3,) rad of its hand; see `Embodiment`."""
        sim, arm = self.world.sim, self._arm
        base = np.array(arm.composite_controller.get_controller_base_pose("right")[1]).reshape(3, 3)
        site = sim.model.site_id2name(arm.eef_site_id["right"])
        rows = [sim.data.get_site_jacp(site), sim.data.get_site_jacr(site)]
        jacobian = np.concatenate([row.reshape(3, -1) for row in rows])[:, arm._ref_arm_joint_indexes]
        return self.embodiment.encode(move, turn, fingers, base, jacobian)

    # -- the simulator's hooks --

    @property
    def _arm(self) -> Any:
        return self.world.robots[0]

    def _silence(self) -> None:
        """Turns the suite's sensors off, which cost a third of a step and are not read."""
        for sensor in self.world._observables.values():
            sensor.set_enabled(False)

    def _begin(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.world.rng.bit_generator.state = np.random.default_rng(rng.integers(2**31)).bit_generator.state
        self.world.reset()
        self._silence()
        index = int(rng.choice(self._choices(self.episode_task)))
        self.shelf.use(index)
        place = np.array([*rng.uniform(-PLACES, PLACES), TABLE_TOP + self.shelf.bottom(index) + 0.001])
        self.shelf.lay_out(place, float(rng.uniform(-0.5, 0.5)))
        self._clock = 0
        self._sway = draw_sway(rng) if self.embodiment.moving_camera else None
        self._progress = Progress(self.object_pose[0])

    def _choices(self, task: str) -> list[int]:
        """Indices of the objects that may lie there."""
        category = CATEGORIES[TASKS.index(task)]
        mine = [i for i, thing in enumerate(THINGS) if thing.category == category]
        wanted = [i for i in mine if self.instances == "all" or THINGS[i].held_out == (self.instances == "held_out")]
        return wanted or mine

    def _advance(self, action: np.ndarray) -> None:
        action = self.embodiment.action.prepare(action).astype(np.float64)
        self.world.step(action)
        refresh_poses(self.shelf.model, self.world.sim.data._data)
        self._clock += 1
        self._progress.update(self.object_pose[0], self._contacts())

    def _state(self) -> np.ndarray:
        position, rotation = self.gripper_pose
        where, turned = self.object_pose
        parts = [position, rotation[:, :2].T.ravel(), [self._closed_by()], where, turned[:, :2].T.ravel()]
        return np.concatenate([*parts, view_at(self._sway, self._clock).pose, where - position])

    def _closed_by(self) -> float:
        """How far the hand is closed, 0 to 1: the mean over its actuators of where they were sent."""
        sent = np.ravel(self._arm.gripper["right"].current_action)
        return float((np.mean(sent * self.embodiment.closing) + 1) / 2)

    def _judge(self) -> dict[str, Any]:
        success = self._progress.succeeded(self.object_pose[0], self._contacts())
        return {"is_success": success, "contact": self._progress.contact, "lifted": self._progress.lifted}

    def _remembered(self) -> list[Any]:
        """(object, name) of the arrays that the controllers keep from one step to the next."""
        arm = self._arm
        return [(arm.gripper["right"], "current_action"), (arm.part_controllers["right"], "initial_joint")]

    def _dump(self) -> np.ndarray:
        physics = dump_physics(self.shelf.model, self.world.sim.data._data)
        kept = [np.ravel(getattr(owner, name)) for owner, name in self._remembered()]
        memory = np.concatenate([[len(values), *values] for values in kept])
        out = np.zeros(self.snapshot_size - 1)
        out[ROBOT], out[THING] = list(EMBODIMENTS).index(self.robot), self.shelf.used
        out[CLOCK] = self._clock
        out[HEADS : HEADS + PROGRESS] = self._progress.to_vector()
        at = HEADS + PROGRESS
        if self._sway is not None:
            out[at : at + NUM_PARAMETERS] = self._sway
        at += NUM_PARAMETERS
        out[at : at + len(physics)] = physics
        out[at + ROOM : at + ROOM + len(memory)] = memory
        return out

    def _check_snapshot(self, snapshot: np.ndarray) -> str:
        task = super()._check_snapshot(snapshot)
        robot = list(EMBODIMENTS)[int(snapshot[1 + ROBOT])]
        if robot != self.robot:
            raise ValueError(
                f"a snapshot of {robot!r}, and this simulator has {self.robot!r}: make it with robot={robot!r}"
            )
        return task

    def _load(self, vector: np.ndarray) -> None:
        self._clock = int(vector[CLOCK])
        self.shelf.use(int(vector[THING]))
        self._progress = Progress.from_vector(vector[HEADS : HEADS + PROGRESS])
        at = HEADS + PROGRESS
        self._sway = vector[at : at + NUM_PARAMETERS].copy() if self.embodiment.moving_camera else None
        at += NUM_PARAMETERS
        model, data = self.shelf.model, self.world.sim.data._data
        load_physics(model, data, vector[at : at + physics_size(model)])
        at += ROOM
        for owner, name in self._remembered():
            size = int(vector[at])
            setattr(owner, name, vector[at + 1 : at + 1 + size].copy())
            at += 1 + size
        for controller in self._arm.part_controllers.values():
            controller.new_update = True  # else they go by what they saw before

    def _draw(self, size: int) -> np.ndarray:
        if self._pictures is None:
            self._pictures = Pictures(self.shelf, size)
        return self._pictures.draw(self.world.sim.data._data, view_at(self._sway, self._clock))

    def _free(self) -> None:
        if self._pictures is not None:
            self._pictures.close()
        self.world.close()


def make_env(**kwargs: Any) -> ArmsEnv:
    """An `ArmsEnv`."""
    return ArmsEnv(**kwargs)
