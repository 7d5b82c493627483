"""What the state-based simulators share: one dict of sensors, the step contract, snapshots, and the oracle's reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from dreamgym.fields import LARGEST_IMAGE
from dreamgym.sims.copied import Copied

Sensors = dict[str, np.ndarray]
STATE = "state"
CAMERA = "rgb_static"
RESET_OPTIONS = ("task", "snapshot")


def check_horizon(horizon: Any) -> None:
    """Raises ValueError unless it is None or a whole number of steps: comparisons let NaN pass, and nothing ends."""
    if horizon is not None and (not isinstance(horizon, Integral) or horizon < 1):
        raise ValueError(f"horizon: expected a whole number of at least 1 step or None, got {horizon!r}")


class StateEnv(Copied, gym.Env[Sensors, np.ndarray], ABC):
    """A simulator that observes a vector, with the calls that banks of starts and twins make.

    Observations: ``state`` (d,) float32; with ``cameras=("static",)`` also ``rgb_static`` (H, W, 3) uint8. Reward 1 and
    termination at the first step at which the task stands achieved; ``info["is_success"]`` is the oracle's verdict and
    ``info["task"]`` the task of the episode. A subclass fills in the hooks at the end.

    Args:
        task: one of ``tasks``; None draws one at each reset.
        horizon: truncate an episode after so many steps; None never does.
        render_mode: "rgb_array" or None.
        cameras: () or ("static",).
        image_size: pixels of the square image.

    Raises:
        ValueError: an argument is out of its range.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}
    tasks: ClassVar[tuple[str, ...]]
    snapshot_size: ClassVar[int]
    """S, entries of a snapshot: the same for every task."""
    posed_by: ClassVar[tuple[str, ...]] = (STATE,)
    """The sensors that `picture` reads."""
    _kept = ("episode_task", "_steps")

    def __init__(
        self,
        task: str | None,
        horizon: int | None,
        render_mode: str | None,
        cameras: Sequence[str],
        image_size: int,
    ) -> None:
        self._closed, self._begun = False, False
        self.task = None if task is None else self.check_task(task)
        check_horizon(horizon)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: expected None or 'rgb_array', got {render_mode!r}")
        if isinstance(cameras, str) or tuple(cameras) not in ((), ("static",)):
            raise ValueError(f"cameras: expected () or ('static',), got {cameras!r}")
        whole = isinstance(image_size, int | np.integer) and not isinstance(image_size, bool)
        if not whole or not 1 <= image_size <= LARGEST_IMAGE:
            raise ValueError(f"image_size: expected 1 to {LARGEST_IMAGE} pixels, got {image_size!r}")
        self.horizon, self.render_mode, self.cameras = horizon, render_mode, tuple(cameras)
        self.image_size = int(image_size)
        self.episode_task = self.task or self.tasks[0]
        self._steps = 0

    def _set_spaces(self, state_low: np.ndarray, state_high: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Bounds [d] of the state and [A] of the action."""
        found: dict[str, spaces.Space] = {
            STATE: spaces.Box(state_low.astype(np.float32), state_high.astype(np.float32), dtype=np.float32)
        }
        if self.cameras:
            found[CAMERA] = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        self.observation_space = spaces.Dict(found)  # type: ignore[assignment]
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def check_task(self, task: str) -> str:
        """The task; ValueError if there is none of that name."""
        if task not in self.tasks:
            raise ValueError(f"task: expected one of {list(self.tasks)}, got {task!r}")
        return task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Sensors, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds every random draw from here on.
            options: "task" replaces the environment's task for this episode; "snapshot", from `snapshot`, begins where
                that was taken (its task with it, unless "task" is given too).

        Raises:
            ValueError: an option is unknown or malformed, or the environment is closed.
        """
        super().reset(seed=seed)
        self._check_open()
        options = dict(options or {})
        if unknown := set(options) - set(RESET_OPTIONS):
            raise ValueError(f"reset options: expected some of {RESET_OPTIONS}, got {sorted(unknown)}")
        task, snapshot = options.get("task"), options.get("snapshot")
        if task is not None:
            self.check_task(task)
        if snapshot is not None:
            own = self._check_snapshot(snapshot)
            if task is not None and task != own:
                raise ValueError(f"this snapshot is of the task {own!r}, not of {task!r}")
            self.restore(snapshot)
        else:
            drawn = self.tasks[int(self.np_random.integers(len(self.tasks)))] if self.task is None else self.task
            self.episode_task = task or drawn
            self._begin(int(self.np_random.integers(2**31)))
        self._begun, self._steps = True, 0
        return self.observe(), self._info(self._judge())

    def step(self, action: np.ndarray) -> tuple[Sensors, float, bool, bool, dict[str, Any]]:
        """Applies one action [A], clipped to its bounds.

        Raises:
            ValueError: another shape, not finite, before `reset` or after `close`.
        """
        info = self.advance(action)
        terminated = bool(info["is_success"])
        truncated = self.horizon is not None and self._steps >= self.horizon
        return self.observe(), float(terminated), terminated, truncated, info

    def advance(self, action: np.ndarray) -> dict[str, Any]:
        """Applies one action as `step` does, and returns its info without observing: pictures cost most of a step."""
        self._check_begun("step")
        space = self.action_space
        assert isinstance(space, spaces.Box)
        action = np.asarray(action, np.float64)
        if action.shape != space.shape or not np.isfinite(action).all():
            raise ValueError(f"action: expected {space.shape} finite numbers, got {action!r}")
        self._advance(np.clip(action, space.low.astype(np.float64), space.high.astype(np.float64)))
        self._steps += 1
        return self._info(self._judge())

    def _info(self, judged: dict[str, Any]) -> dict[str, Any]:
        return {**judged, "is_success": bool(judged["is_success"]), "task": self.episode_task}

    def observe(self, cameras: bool = True) -> Sensors:
        """The observation of the present state, without stepping; without images if ``cameras`` is False."""
        self._check_begun("observe")
        space = self.observation_space
        assert isinstance(space, spaces.Dict)
        bounds = space[STATE]
        assert isinstance(bounds, spaces.Box)
        obs = {STATE: np.clip(self._state().astype(np.float32), bounds.low, bounds.high)}
        if self.cameras and cameras:
            obs[CAMERA] = self._draw(self.image_size)
        return obs

    def snapshot(self) -> np.ndarray:
        """Everything that decides how the simulation goes on, float64 [`snapshot_size`]."""
        self._check_begun("snapshot")
        head = [float(self.tasks.index(self.episode_task))]
        return np.concatenate([head, self._dump()])

    def restore(self, snapshot: np.ndarray) -> None:
        """Sets the state from `snapshot`, and the task; the count of steps stays.

        Raises:
            ValueError: not a snapshot of this simulator.
        """
        self._check_open()
        self.episode_task = self._check_snapshot(snapshot)
        self._load(np.array(snapshot, np.float64)[1:])  # a copy: MuJoCo refuses what a store holds, which is read-only
        self._begun = True

    def _check_snapshot(self, snapshot: np.ndarray) -> str:
        """The task of a snapshot; ValueError if it is not one of this simulator."""
        vector = np.asarray(snapshot, np.float64)
        size = self.snapshot_size
        if vector.shape != (size,) or not 0 <= vector[0] < len(self.tasks) or vector[0] % 1:
            raise ValueError(f"snapshot: expected one of {type(self).__name__}, ({size},), got shape {vector.shape}")
        if not np.isfinite(vector).all():
            at = np.flatnonzero(~np.isfinite(vector)).tolist()
            raise ValueError(f"snapshot: expected finite numbers, got {vector[at[0]]} at {at[:8]}: it is damaged")
        return self.tasks[int(vector[0])]

    def render(self) -> np.ndarray | None:
        """The camera's image (H, W, 3) uint8 in render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        self._check_begun("render")
        return self._draw(self.image_size)

    def picture(self, sensors: Mapping[str, np.ndarray], task: str) -> np.ndarray:
        """Draws a state that was recorded or imagined: the scene is posed as the state says, nothing is stepped.

        What a state does not tell stands as the simulator's model has it. The episode, if one was going on, is over:
        call `reset` before the next `step`.

        Args:
            sensors: those of ``posed_by``, finite.
            task: whose scene it is.

        Returns:
            (H, W, 3) uint8, H and W ``image_size``.

        Raises:
            ValueError: another task or shape, a number that is not finite, or the environment is closed.
        """
        self._check_open()
        self.episode_task = self.check_task(task)
        space = self.observation_space
        assert isinstance(space, spaces.Dict)
        found = {key: np.asarray(sensors[key], np.float64) for key in self.posed_by}
        for key, value in found.items():
            if value.shape != space[key].shape or not np.isfinite(value).all():
                raise ValueError(f"{key}: expected {space[key].shape} finite numbers, got {value!r}")
        self._begun = False
        self._pose(found)
        return self._draw(self.image_size)

    def close(self) -> None:
        """Frees what the simulator holds; may be called again."""
        if not self._closed:
            self._closed = True
            self._free()

    def _stands(self) -> bool:
        return self._begun and not self._closed

    def _is_closed(self) -> bool:
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the environment is closed: make a new one")

    def _check_begun(self, what: str) -> None:
        """ValueError where there is no state yet for ``what``."""
        self._check_open()
        if not self._begun:
            raise ValueError(f"{what} before reset: call reset() first")

    # -- what a simulator fills in --

    @abstractmethod
    def _begin(self, seed: int) -> None:
        """Puts `episode_task` where a reset puts it; all randomness from ``seed``."""

    @abstractmethod
    def _advance(self, action: np.ndarray) -> None:
        """One control step with a clipped action [A]."""

    @abstractmethod
    def _state(self) -> np.ndarray:
        """The state vector [d]."""

    @abstractmethod
    def _judge(self) -> dict[str, Any]:
        """``is_success`` and whatever else the oracle says of the present state."""

    @abstractmethod
    def _dump(self) -> np.ndarray:
        """The simulator's part of a snapshot, [S - 1]."""

    @abstractmethod
    def _load(self, vector: np.ndarray) -> None:
        """Sets the state from `_dump`; `episode_task` is set already."""

    def _pose(self, sensors: Mapping[str, np.ndarray]) -> None:
        """Puts the scene of `episode_task` where the sensors ``posed_by`` say, [d] each, for `_draw`."""
        raise ValueError(f"{type(self).__name__} cannot be posed from its state: draw its episodes with a camera")

    @abstractmethod
    def _draw(self, size: int) -> np.ndarray:
        """An image (size, size, 3) uint8."""

    def _free(self) -> None:
        """Frees what outlives Python's own collection."""
