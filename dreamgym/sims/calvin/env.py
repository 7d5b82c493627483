"""CALVIN as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from dreamgym.fields import LARGEST_IMAGE
from dreamgym.sims.calvin.cameras import CAMERAS, DEPTHS, GRIPPER_FAR, Cameras
from dreamgym.sims.calvin.models import scene_files
from dreamgym.sims.calvin.placement import sample_scene_obs
from dreamgym.sims.calvin.scenes import ROBOT_LABELS, SCENE_LABELS, Scene, as_vector, find_scene
from dreamgym.sims.calvin.simulation import Simulation
from dreamgym.sims.calvin.tasks import TASKS, TaskState, achieved_tasks, check_task
from dreamgym.sims.copied import Copied
from dreamgym.sims.state_env import check_horizon

SETTLE_TICKS = 60  # a quarter of a second: blocks dropped at reset come to rest
# Generous bounds of the state: a block may be thrown off the table, joints overshoot a little.
_POSE_BOUND = [10.0, 10.0, 10.0, 3.15, 3.15, 3.15]
ROBOT_BOUND = np.array([*_POSE_BOUND, 0.2, *[4.0] * 7, 1.0], dtype=np.float32)
SCENE_BOUND = np.array([1.0] * 6 + 3 * _POSE_BOUND, dtype=np.float32)
RESET_OPTIONS = ("robot_obs", "scene_obs", "snapshot", "task")


class CalvinEnv(Copied, gym.Env[dict[str, np.ndarray], np.ndarray]):
    """A Panda at a play table with a drawer, a sliding door, a button, a switch, two lights and three blocks.

    Observations: ``robot_obs`` (15,) and ``scene_obs`` (24,) float32, ``rgb_static`` and ``rgb_gripper`` (H, W, 3)
    uint8, and where asked for ``depth_static`` and ``depth_gripper`` (H, W) float32 in metres.
    :attr:`state_labels` names the state's entries; positions in metres, angles in radians.

    Actions (7,) in [-1, 1] at 30 Hz: relative position (x 0.02 m) and Euler angles (x 0.05 rad), which accumulate on a
    target pose the arm follows, and the gripper: at or above 0 opens, below 0 closes.

    Reward 1 and termination once ``task`` is achieved relative to the state after reset; without a task never.

    Args:
        scene: "playtable" (built in, no assets needed), CALVIN's "A" to "D", or a Scene.
        cameras: any of "static", "gripper", and the depth that they see, "depth_static" and "depth_gripper"; empty for
            state observations only, which step much faster.
        image_size: pixels, one number or (height, width).
        visuals: "thin" meshes render alike and much faster than CALVIN's "stock" ones.
        task: one of :data:`~dreamgym.sims.calvin.tasks.TASKS`, or None.
        horizon: truncate an episode after so many steps; None never does.
        render_mode: "rgb_array" or None.
        assets: CALVIN's data folder; None reads the environment variable ``DREAMGYM_CALVIN_ASSETS``.

    Raises:
        ValueError: an argument is out of its range.
        FileNotFoundError: the scene needs assets that are not there.
        ImportError: pybullet is missing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    _kept = ("_start", "_episode_task", "_steps")
    state_labels = {"robot_obs": ROBOT_LABELS, "scene_obs": SCENE_LABELS}

    def __init__(
        self,
        scene: str | Scene = "playtable",
        cameras: tuple[str, ...] = CAMERAS,
        image_size: int | tuple[int, int] = 64,
        visuals: str = "thin",
        task: str | None = None,
        horizon: int | None = None,
        render_mode: str | None = None,
        assets: str | Path | None = None,
    ) -> None:
        self._simulation: Simulation | None = None
        self.scene = find_scene(scene)
        self.cameras = _check_cameras(cameras)
        self.height, self.width = _check_image_size(image_size)
        self.task = None if task is None else check_task(task)
        check_horizon(horizon)
        self.horizon = horizon
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        self._simulation = Simulation(self.scene, scene_files(self.scene, assets, visuals))
        self._cameras = Cameras(self._simulation, self.scene.camera, self.height, self.width)
        self.action_space = spaces.Box(-1.0, 1.0, (7,), np.float32)
        self.observation_space = self._make_observation_space()  # type: ignore[assignment]
        self._start: TaskState | None = None
        self._episode_task = self.task
        self._steps = 0

    def _make_observation_space(self) -> spaces.Dict:
        size = (self.height, self.width)
        found: dict[str, spaces.Space] = {
            "robot_obs": spaces.Box(-ROBOT_BOUND, ROBOT_BOUND, dtype=np.float32),
            "scene_obs": spaces.Box(-SCENE_BOUND, SCENE_BOUND, dtype=np.float32),
        }
        far = {"depth_static": self.scene.camera.far, "depth_gripper": GRIPPER_FAR}
        for camera in self.cameras:
            if camera in DEPTHS:
                found[camera] = spaces.Box(0.0, 1.01 * far[camera], size, np.float32)
            else:
                found[f"rgb_{camera}"] = spaces.Box(0, 255, (*size, 3), np.uint8)
        return spaces.Dict(found)

    @property
    def simulation(self) -> Simulation:
        """The physics behind the environment.

        Raises:
            ValueError: the environment is closed.
        """
        if self._simulation is None:
            raise ValueError("the environment is closed: make a new one")
        return self._simulation

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode.

        Without options the furniture is closed, the lights are off and the blocks lie at random places.

        Args:
            seed: seeds the blocks' places.
            options: any of ``robot_obs`` (15,), whose joints, gripper width and gripper action are set, and
                ``scene_obs`` (24,); or ``snapshot``, from :meth:`snapshot`; and ``task``, which replaces the
                environment's task for this episode. With a task and no ``scene_obs`` the furniture starts where the
                task can be done.

        Raises:
            ValueError: an option is unknown, malformed, or goes not with another.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        _check_options(options)
        simulation = self.simulation
        self._episode_task = check_task(options["task"]) if options.get("task") is not None else self.task
        if options.get("snapshot") is not None:
            simulation.restore(options["snapshot"])
        else:
            self._reset_from_obs(options.get("robot_obs"), options.get("scene_obs"))
        self._steps = 0
        self._start = start = simulation.task_state()
        return self.observe(), self._info(start, start)

    def _reset_from_obs(self, robot_obs: ArrayLike | None, scene_obs: ArrayLike | None) -> None:
        simulation = self.simulation
        robot: dict[str, Any] = {}
        if robot_obs is not None:
            vector = as_vector(robot_obs, 15, "robot_obs")
            robot = {"joints": vector[7:14], "finger": vector[6] / 2, "gripper_action": vector[14]}
        if scene_obs is not None:
            simulation.reset_scene(as_vector(scene_obs, 24, "scene_obs"))
            simulation.robot.reset(**robot)
        else:
            # The arm waits at home while the blocks fall, then goes where it is wanted.
            simulation.robot.reset()
            sample_scene_obs(simulation, self._episode_task, self.np_random)
            simulation.settle()
            simulation.tick(SETTLE_TICKS)
            simulation.robot.reset(**robot)
        simulation.settle()
        simulation.tick()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Apply one action (7,), clipped to [-1, 1].

        Raises:
            ValueError: the action has another shape or is not finite, or the environment was not reset or is closed.
        """
        info = self.advance(action)
        terminated = info["is_success"]
        truncated = self.horizon is not None and self._steps >= self.horizon
        return self.observe(), float(terminated), terminated, truncated, info

    def advance(self, action: np.ndarray) -> dict[str, Any]:
        """Apply one action as `step` does, and return its info without observing: pictures cost most of a step."""
        simulation = self.simulation
        if self._start is None:
            raise ValueError("step before reset: call reset() first")
        simulation.step(np.clip(as_vector(action, 7, "action"), -1.0, 1.0))
        self._steps += 1
        return self._info(self._start, simulation.task_state())

    def _info(self, start: TaskState, state: TaskState) -> dict[str, Any]:
        tasks = achieved_tasks(start, state)
        return {"is_success": self._episode_task in tasks, "tasks": tuple(name for name in TASKS if name in tasks)}

    def observe(self, cameras: bool = True) -> dict[str, np.ndarray]:
        """Return the observation of the present state without stepping; without images if ``cameras`` is False."""
        simulation = self.simulation
        obs = {
            "robot_obs": simulation.robot_obs().astype(np.float32),
            "scene_obs": simulation.scene_obs().astype(np.float32),
        }
        shown = self.cameras if cameras else ()
        for camera, depth in zip(CAMERAS, DEPTHS, strict=True):
            if camera not in shown and depth not in shown:
                continue
            image, metres = self._cameras.render(camera)
            obs |= {f"rgb_{camera}": image} if camera in shown else {}
            obs |= {depth: metres} if depth in shown else {}
        return obs

    def task_state(self) -> TaskState:
        """Return what the oracle needs of the present moment."""
        return self.simulation.task_state()

    def achieved(self, start: TaskState | None = None) -> set[str]:
        """Return the tasks achieved since ``start``, or since the last reset.

        Raises:
            ValueError: there is neither.
        """
        start = self._start if start is None else start
        if start is None:
            raise ValueError("achieved() before reset: call reset() first or pass a start state")
        return achieved_tasks(start, self.task_state())

    def snapshot(self) -> np.ndarray:
        """Return the whole simulator state as a float64 vector; see :meth:`Simulation.snapshot`."""
        return self.simulation.snapshot()

    def restore(self, state: np.ndarray) -> None:
        """Set the simulator's state from :meth:`snapshot`; episode counters and the task's start stay.

        Raises:
            ValueError: the array is not a snapshot of this scene.
        """
        self.simulation.restore(state)
        if self._start is None:
            self._start = self.task_state()

    def render(self) -> np.ndarray | None:
        """Return the static camera's image (H, W, 3) uint8 in render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        if self._simulation is None:
            raise ValueError("the environment is closed: make a new one")
        return self._cameras.render("static")[0]

    def close(self) -> None:
        """Free the physics client; may be called again."""
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    def _stands(self) -> bool:
        return self._simulation is not None and self._start is not None

    def _is_closed(self) -> bool:
        return self._simulation is None


def _check_cameras(cameras: Sequence[str]) -> tuple[str, ...]:
    if isinstance(cameras, str):
        raise ValueError(f"cameras: expected a tuple such as ({cameras!r},), got the string {cameras!r}")
    unknown = [camera for camera in cameras if camera not in CAMERAS + DEPTHS]
    if unknown or len(set(cameras)) != len(cameras):
        raise ValueError(f"cameras: expected some of {CAMERAS + DEPTHS}, each once, got {tuple(cameras)}")
    return tuple(cameras)


def _check_image_size(image_size: Any) -> tuple[int, int]:
    size = (image_size, image_size) if isinstance(image_size, (int, np.integer)) else image_size
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(
        isinstance(side, (int, np.integer)) and 1 <= side <= LARGEST_IMAGE for side in size
    ):  # fmt: skip
        raise ValueError(f"image_size: expected 1 to {LARGEST_IMAGE} pixels or (height, width), got {image_size!r}")
    return int(size[0]), int(size[1])


def _check_options(options: dict[str, Any]) -> None:
    unknown = set(options) - set(RESET_OPTIONS)
    if unknown:
        raise ValueError(f"reset options: expected some of {RESET_OPTIONS}, got {sorted(unknown)}")
    if options.get("snapshot") is not None and (
        options.get("robot_obs") is not None or options.get("scene_obs") is not None
    ):
        raise ValueError("reset options: a snapshot holds the whole state, pass it without robot_obs and scene_obs")
