"""robosuite's Lift and Can on plain Gymnasium, for any single arm it ships, with snapshots and an adversary."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.state_env import STATE, StateEnv

try:
    import mujoco

    from dreamgym.sims.mujoco_state import dump_physics, load_physics, physics_size, refresh_poses
    from dreamgym.sims.offscreen import Picture
    from dreamgym.sims.posing import rotation_of, solve_pose

    # It warns of optional parts at every import, which sets its level anew: a filter stays.
    logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)
    importlib.import_module("robosuite")
except ImportError as error:
    raise ImportError('robosuite is missing: pip install "dreamgym[robosuite]"') from error

# Task -> the suite's name of it, and of the object's body in it.
NAMES = {"lift": ("Lift", "cube_main"), "can": ("PickPlaceCan", "Can_main")}
TASKS = tuple(NAMES)
ROBOTS = ("Panda", "Sawyer", "IIWA", "Jaco", "Kinova3", "UR5e", "XArm7")
TURNING = ("IIWA", "XArm7")  # arms whose frame of actions turns with the first joint
POSE = 3 + 6  # position, and the first two columns of the rotation matrix: quaternions jump
ROOM = 220  # entries kept for the physics, which differ by task and arm, so that snapshots have one length
ARM = ROOM - 1  # the last of them: which of `ROBOTS`
EXTRA = 24  # the same for what the controllers remember, and at its end a push that is not over
PUSH = 1 + 6
TURN = 0.1  # metres that a radian counts as where a pose is solved for
HEADLESS: dict[str, Any] = {
    "has_renderer": False, "has_offscreen_renderer": False, "use_camera_obs": False, "ignore_done": True,
    "hard_reset": False, "control_freq": 20,
}  # fmt: skip
"""Options of the suite's envs: no rendering of its own, no horizon, models kept between resets, 20 Hz."""
_MODEL_SEED = 0  # the cube's size is drawn when a model is built: the same for every env


class RobosuiteEnv(StateEnv):
    """One arm with a gripper lifts a cube, or puts a can into its bin.

    ``state`` (21 + g,): the gripper's position 3 (m) and rotation 6 (two columns of its matrix), its g joints; the
    object's position 3 and rotation 6; the object relative to the gripper 3. Actions (7,) in [-1, 1] at 20 Hz: the
    gripper's displacement (x 0.05 m) and rotation (axis-angle, x 0.5 rad) in the frame of the base, and the fingers (at
    or above 0 they close, below they open). The suite's models of IIWA and XArm7 have the frame of their base on the
    first link: there the frame of actions turns with the first joint (`base_rotation`).

    Args:
        task: "lift" or "can"; None draws one at each reset.
        robot: one of `ROBOTS`.
        horizon: steps of an episode; robomimic's is 500 at most.
        render_mode, cameras, image_size: see `StateEnv`.
        camera_name: which of the suite's cameras.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    tasks = TASKS
    snapshot_size = 1 + ROOM + EXTRA

    def __init__(
        self,
        task: str | None = "lift",
        robot: str = "Panda",
        horizon: int | None = 500,
        render_mode: str | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 64,
        camera_name: str = "frontview",
    ) -> None:
        super().__init__(task, horizon, render_mode, cameras, image_size)
        if robot not in ROBOTS:
            raise ValueError(f"robot: expected one of {ROBOTS}, got {robot!r}")
        self.robot, self.camera_name = robot, camera_name
        self._worlds: dict[str, Any] = {}
        self._pictures: dict[str, Picture] = {}
        self._push, self._push_left = np.zeros(6), 0.0
        bound = np.full(len(self._state()), 3.0)
        self._set_spaces(-bound, bound, np.full(7, -1.0), np.full(7, 1.0))

    @property
    def world(self) -> Any:
        """The suite's own env of the present task; made when first needed."""
        name = self.episode_task
        if name not in self._worlds:
            self._worlds[name] = _make_world(NAMES[name][0], self.robot)
        return self._worlds[name]

    @property
    def _arm(self) -> Any:
        return self.world.robots[0]

    @property
    def gripper_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the grip site in the world."""
        site, data = self._arm.eef_site_id["right"], self.world.sim.data
        return np.array(data.site_xpos[site]), np.array(data.site_xmat[site]).reshape(3, 3)

    @property
    def object_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) and rotation matrix (3, 3) of the object in the world."""
        sim = self.world.sim
        body = sim.model.body_name2id(NAMES[self.episode_task][1])
        return np.array(sim.data.body_xpos[body]), np.array(sim.data.body_xmat[body]).reshape(3, 3)

    @property
    def bin(self) -> np.ndarray:
        """Where the can belongs (3,), in the world; of "can" only."""
        return np.array(self.world.target_bin_placements[self.world.object_id])

    @property
    def base_rotation(self) -> np.ndarray:
        """(3, 3): the rotation, in the world and at present, of the frame that actions are in."""
        return np.array(self._arm.composite_controller.get_controller_base_pose("right")[1]).reshape(3, 3)

    def perturb(self, rng: np.random.Generator, magnitude: float) -> None:
        """Adds a random translation and a random rotation to the actions that follow, before they are clipped.

        Each is of uniform direction and of length ``magnitude`` in units of the action, at most 1 of it a step: at 1
        the gripper is pushed for one step by the most that an action moves it (0.05 m and 0.5 rad, of which the arm
        follows some 2 cm), at 3 for three steps. A push replaces one that is not over.
        """
        self._check_begun("perturb")
        for part in (slice(0, 3), slice(3, 6)):
            direction = rng.standard_normal(3)
            self._push[part] = direction / np.linalg.norm(direction)
        self._push_left = float(magnitude)

    def _begin(self, seed: int) -> None:
        world = self.world
        # Every sampler of the suite holds this very generator.
        world.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        world.reset()
        _silence(world)
        self._push_left = 0.0

    def _advance(self, action: np.ndarray) -> None:
        action = action.copy()
        strength = min(1.0, self._push_left)
        self._push_left -= strength
        action[:6] = np.clip(action[:6] + strength * self._push, -1.0, 1.0)
        action[6] = 1.0 if action[6] >= 0 else -1.0
        self.world.step(action)
        refresh_poses(self.world.sim.model._model, self.world.sim.data._data)

    def _state(self) -> np.ndarray:
        position, rotation = self.gripper_pose
        where, turned = self.object_pose
        fingers = self.world.sim.data.qpos[self._arm._ref_gripper_joint_pos_indexes["right"]]
        parts = [position, rotation[:, :2].T.ravel(), fingers, where, turned[:, :2].T.ravel(), where - position]
        return np.concatenate(parts)

    def _judge(self) -> dict[str, Any]:
        return {"is_success": bool(self.world._check_success())}

    def _remembered(self) -> list[Any]:
        """(object, name) of the arrays that the controllers keep from one step to the next."""
        arm = self._arm
        return [(arm.gripper["right"], "current_action"), (arm.part_controllers["right"], "initial_joint")]

    def _dump(self) -> np.ndarray:
        sim = self.world.sim
        physics = dump_physics(sim.model._model, sim.data._data)
        # Each with its length before it: the fingers' grows from 1 to 2 at the first step.
        kept = [np.ravel(getattr(owner, name)) for owner, name in self._remembered()]
        memory = np.concatenate([[len(values), *values] for values in kept])
        out = np.zeros(ROOM + EXTRA)
        out[: len(physics)] = physics
        out[ARM] = ROBOTS.index(self.robot)
        out[ROOM : ROOM + len(memory)] = memory
        if self._push_left > 0:
            out[-PUSH:] = self._push_left, *self._push
        return out

    def _check_snapshot(self, snapshot: np.ndarray) -> str:
        task = super()._check_snapshot(snapshot)
        arm = ROBOTS[int(snapshot[1 + ARM])]
        if arm != self.robot:
            raise ValueError(
                f"a snapshot of a {arm}, and this simulator has a {self.robot}: make it with robot={arm!r} (a twin "
                f"with simulator_kwargs={{'robot': {arm!r}}})"
            )
        return task

    def _load(self, vector: np.ndarray) -> None:
        sim, at = self.world.sim, ROOM
        load_physics(sim.model._model, sim.data._data, vector[: physics_size(sim.model._model)])
        for owner, name in self._remembered():
            size = int(vector[at])
            setattr(owner, name, vector[at + 1 : at + 1 + size].copy())
            at += 1 + size
        for controller in self._arm.part_controllers.values():
            controller.new_update = True  # else they go by what they saw before
        self._push_left, self._push = float(vector[-PUSH]), vector[-PUSH + 1 :].copy()

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        """The arm by inverse kinematics, fingers and object as the state says; what else lies about stays."""
        state = sensors[STATE]
        sim, arm = self.world.sim, self._arm
        model, data = sim.model._model, sim.data._data
        fingers = arm._ref_gripper_joint_pos_indexes["right"]
        data.qpos[fingers] = state[POSE : POSE + len(fingers)]
        pose = state[POSE + len(fingers) :][:POSE]
        body = sim.model.body_name2id(NAMES[self.episode_task][1])
        at = model.jnt_qposadr[model.body_jntadr[body]]
        data.qpos[at : at + 3] = pose[:3]
        mujoco.mju_mat2Quat(data.qpos[at + 3 : at + 7], rotation_of(pose[3:]).ravel())
        hand = np.concatenate([state[:3], TURN * rotation_of(state[3:POSE])[:, :2].T.ravel()])
        solve_pose(model, data, arm._ref_joint_vel_indexes, self._hand, hand)
        mujoco.mj_forward(model, data)

    def _hand(self) -> np.ndarray:
        position, rotation = self.gripper_pose
        return np.concatenate([position, TURN * rotation[:, :2].T.ravel()])

    def _draw(self, size: int) -> np.ndarray:
        name, sim = self.episode_task, self.world.sim
        if name not in self._pictures:
            self._pictures[name] = Picture(sim.model._model, size, self.camera_name)
        return self._pictures[name].draw(sim.data._data)

    def _free(self) -> None:
        for picture in self._pictures.values():
            picture.close()
        for world in self._worlds.values():
            world.close()


def make_env(
    perturbation: float | None = None,
    perturbation_probability: float = PROBABILITY,
    perturbation_seed: int = 0,
    **kwargs: Any,
) -> gym.Env:
    """A `RobosuiteEnv`, with an adversary where ``perturbation`` is given (its unit: see `RobosuiteEnv.perturb`).

    Args:
        perturbation, perturbation_probability, perturbation_seed: see `Perturbed`.
        kwargs: see `RobosuiteEnv`.
    """
    return perturbed(RobosuiteEnv(**kwargs), perturbation, perturbation_probability, perturbation_seed)


def _make_world(name: str, robot: str) -> Any:
    """The suite's env: no rendering, no horizon."""
    suite = importlib.import_module("robosuite")
    world = suite.make(
        name,
        robots=robot,
        seed=_MODEL_SEED,
        **HEADLESS,
    )
    world.reset()
    _silence(world)
    return world


def _silence(world: Any) -> None:
    """Turns its sensors off, which cost a third of a step and are not read; a reset of "can" turns some on again."""
    for sensor in world._observables.values():
        sensor.set_enabled(False)


__all__ = ["NAMES", "ROBOTS", "TASKS", "RobosuiteEnv", "make_env"]
