"""LIBERO as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from dreamgym.sims.libero.assets import find_assets, initial_states, task_file
from dreamgym.sims.libero.problem import read_problem
from dreamgym.sims.libero.scene import ROBOTS
from dreamgym.sims.libero.simulation import Simulation
from dreamgym.sims.libero.tasks import TASKS, check_task, task_description
from dreamgym.sims.state_env import Sensors, StateEnv

CAMERAS = {"static": "agentview", "gripper": "robot0_eye_in_hand"}
"""The suite's cameras by sensor: "rgb_static" and "rgb_gripper"."""
VISUALS = ("thin", "stock")
MAX_OBJECTS = 8
MAX_JOINTS = 4
POSE = 3 + 6  # position, and the first two columns of the rotation matrix: quaternions jump
ROBOT_SIZE = POSE + 2 + 7
SCENE_SIZE = MAX_OBJECTS * POSE + MAX_JOINTS
ROOM = 400  # entries of a snapshot for the physics, which differ by task, so that snapshots have one length
EXTRA = 80  # the same for the controller and for the fixtures' poses
MAX_SIMULATIONS = 10  # tasks whose models are kept: one takes seconds to load, and some 100 MB with its renderers
HOME_NOISE = 0.02  # rad, of the arm's joints at a drawn start


class LiberoEnv(StateEnv):
    """A mounted arm at one of LIBERO's 130 tasks.

    Observations: ``robot_obs`` (18,) float32: the hand's position 3 (m) and rotation 6 (two columns of its matrix),
    the fingers 2 (m), the arm's joints 7 (rad; the last is 0 for arms of 6); ``scene_obs`` (76,): for each of the
    task's objects in the order of `object_names` its position 3 and rotation 6, then the joints of its fixtures in
    the order of `joint_names` (zeros where the task has fewer than 8 objects or 4 joints); ``rgb_static`` and
    ``rgb_gripper`` (H, W, 3) uint8, LIBERO's "agentview" and "eye in hand", upright (LIBERO's own images, and those in
    its data sets, are upside down).

    Actions (7,) in [-1, 1] at 20 Hz: the hand's displacement (x 0.05 m) and rotation vector (x 0.5 rad) in the world,
    and the fingers (above 0 they close, below they open).

    Reward 1 and termination at the first step at which the goal of the task file holds.

    Args:
        task: one of `TASKS`, as "libero_goal/put_the_bowl_on_the_plate"; None draws one at each reset.
        robot: one of `ROBOTS`; the benchmark's initial states are those of the Panda.
        horizon: steps of an episode; None never truncates.
        render_mode: "rgb_array" or None.
        cameras: any of "static" and "gripper".
        image_size: pixels of the square images.
        visuals: "thin" draws without shadows, reflections and multisampling; "stock" with them.
        assets: LIBERO's assets; None reads the environment variable ``DREAMGYM_LIBERO_ASSETS``.

    Raises:
        ValueError: an argument is out of its range, or the task file is damaged.
        FileNotFoundError: the assets, or one of them, are not there.
        ImportError: robosuite is missing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    tasks = TASKS
    snapshot_size = 1 + ROOM + EXTRA
    posed_by = ("robot_obs", "scene_obs")

    def __init__(
        self,
        task: str | None = "libero_goal/put_the_bowl_on_the_plate",
        robot: str = "Panda",
        horizon: int | None = 600,
        render_mode: str | None = None,
        cameras: Sequence[str] = (),
        image_size: int = 128,
        visuals: str = "thin",
        assets: str | Path | None = None,
    ) -> None:
        super().__init__(task, horizon, render_mode, (), image_size)
        self.cameras = _check_cameras(cameras)
        if visuals not in VISUALS:
            raise ValueError(f"visuals: expected one of {VISUALS}, got {visuals!r}")
        if robot not in ROBOTS:
            raise ValueError(f"robot: expected one of {ROBOTS}, got {robot!r}")
        self.robot, self.visuals, self.assets = robot, visuals, find_assets(assets)
        self._simulations: dict[str, Simulation] = {}
        self._init_state: int | None = None
        self.action_space = spaces.Box(-1.0, 1.0, (7,), np.float32)
        self.observation_space = self._make_observation_space()  # type: ignore[assignment]

    def _make_observation_space(self) -> spaces.Dict:
        # Generous: a thing may be thrown off the table; joints of 6 rad.
        found: dict[str, spaces.Space] = {
            "robot_obs": spaces.Box(-10.0, 10.0, (ROBOT_SIZE,), np.float32),
            "scene_obs": spaces.Box(-10.0, 10.0, (SCENE_SIZE,), np.float32),
        }
        for camera in self.cameras:
            found[f"rgb_{camera}"] = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        return spaces.Dict(found)

    def check_task(self, task: str) -> str:
        """The task; ValueError with the nearest names if there is none of that name."""
        return check_task(task)

    @property
    def simulation(self) -> Simulation:
        """The physics of the present task; made when first needed."""
        task = self.episode_task
        if task not in self._simulations:
            while len(self._simulations) >= MAX_SIMULATIONS:
                self._simulations.pop(next(iter(self._simulations))).close()
            problem = read_problem(task_file(self.assets, task))
            self._simulations[task] = Simulation(problem, self.assets, self.robot)
        return self._simulations[task]

    @property
    def task_description(self) -> str:
        """The sentence of the present task, as the benchmark gives it to policies."""
        return task_description(self.episode_task)

    @property
    def object_names(self) -> tuple[str, ...]:
        """The present task's movable things, in the order of ``scene_obs``."""
        return self.simulation.scene.objects

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The joints of the present task's fixtures, in the order of ``scene_obs``."""
        return self.simulation.joint_names

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Sensors, dict[str, Any]]:
        """Starts an episode: by default at a draw of the task file's initial states.

        Args:
            seed: seeds every random draw from here on.
            options: "task" and "snapshot" as in `StateEnv.reset`; "init_state", the index of one of the benchmark's
                own initial states of the task (0 to 49). They do not say where the fixtures stand, which the
                benchmark draws: here they stand in the middle of their regions.

        Raises:
            ValueError: an option is unknown or malformed, or the environment is closed.
            FileNotFoundError: there is no file of initial states.
        """
        options = dict(options or {})
        self._init_state = options.pop("init_state", None)
        if self._init_state is not None and options.get("snapshot") is not None:
            raise ValueError("reset options: expected init_state or snapshot, got both")
        return super().reset(seed=seed, options=options)

    def _begin(self, seed: int) -> None:
        simulation = self.simulation
        if self._init_state is None:
            simulation.draw(np.random.default_rng(seed), HOME_NOISE)
            return
        if self.robot != "Panda":  # a Sawyer's model has as many joints: it would take the Panda's angles
            raise ValueError(
                f"init_state: the benchmark's initial states are the Panda's, and this simulator has a {self.robot}: "
                "make it with robot='Panda', or reset without init_state"
            )
        states, index = initial_states(self.assets, self.episode_task), self._init_state
        if not isinstance(index, int | np.integer) or isinstance(index, bool) or not 0 <= index < len(states):
            raise ValueError(f"init_state: expected 0 to {len(states) - 1}, got {index!r}")
        try:
            simulation.set_state(states[index])
        except ValueError as error:
            raise ValueError(f"initial state {index} is not one of {self.episode_task!r}: {error}") from error

    def set_init_state(self, state: np.ndarray) -> Sensors:
        """Sets an initial state of the benchmark's form (time, qpos, qvel) and observes it.

        Args:
            state: (1 + nq + nv,) of the present task.

        Raises:
            ValueError: it is of another task, or not finite.
        """
        self._check_begun("set_init_state")
        self.simulation.set_state(np.asarray(state, np.float64))
        return self.observe()

    def _advance(self, action: np.ndarray) -> None:
        self.simulation.step(action)

    def _judge(self) -> dict[str, Any]:
        return {"is_success": self.simulation.succeeded()}

    def _state(self) -> np.ndarray:
        return np.concatenate([self.simulation.robot_state(), *self.simulation.scene_state()])

    def observe(self, cameras: bool = True) -> Sensors:
        """The observation of the present state, without stepping; without images if ``cameras`` is False."""
        self._check_begun("observe")
        simulation = self.simulation
        robot, (things, joints) = simulation.robot_state(), simulation.scene_state()
        obs = {"robot_obs": np.zeros(ROBOT_SIZE, np.float32), "scene_obs": np.zeros(SCENE_SIZE, np.float32)}
        obs["robot_obs"][: len(robot)] = robot
        obs["scene_obs"][: things.size] = things.ravel()
        obs["scene_obs"][MAX_OBJECTS * POSE : MAX_OBJECTS * POSE + len(joints)] = joints
        for key in obs:
            np.clip(obs[key], -10.0, 10.0, out=obs[key])
        for camera in self.cameras if cameras else ():
            obs[f"rgb_{camera}"] = self._draw_camera(camera, self.image_size)
        return obs

    def _dump(self) -> np.ndarray:
        physics, memory = self.simulation.dump()
        out = np.zeros(ROOM + EXTRA)
        out[: len(physics)] = physics
        out[ROOM : ROOM + len(memory)] = memory
        out[-1] = ROBOTS.index(self.robot)
        return out

    def _check_snapshot(self, snapshot: np.ndarray) -> str:
        task = super()._check_snapshot(snapshot)
        robot = ROBOTS[int(snapshot[-1])]
        if robot != self.robot:
            raise ValueError(
                f"a snapshot of a {robot}, and this simulator has a {self.robot}: make it with robot={robot!r} (a twin "
                f"with simulator_kwargs={{'robot': {robot!r}}})"
            )
        return task

    def _load(self, vector: np.ndarray) -> None:
        self.simulation.load(vector[:ROOM], vector[ROOM:])

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        robot, scene = (sensors[key] for key in self.posed_by)
        things = scene[: MAX_OBJECTS * POSE].reshape(MAX_OBJECTS, POSE)
        self.simulation.pose(robot, things, scene[MAX_OBJECTS * POSE :])

    def _draw(self, size: int) -> np.ndarray:
        return self._draw_camera("static", size)

    def _draw_camera(self, camera: str, size: int) -> np.ndarray:
        return self.simulation.draw_camera(CAMERAS[camera], size, self.visuals == "stock")

    def _free(self) -> None:
        for simulation in self._simulations.values():
            simulation.close()


def _check_cameras(cameras: Sequence[str]) -> tuple[str, ...]:
    if isinstance(cameras, str) or not set(cameras) <= set(CAMERAS) or len(set(cameras)) < len(tuple(cameras)):
        raise ValueError(f"cameras: expected some of {tuple(CAMERAS)}, got {cameras!r}")
    return tuple(cameras)
