"""Any plain Gymnasium environment as a suite, by a function that says what success is.

    def at_the_flag(obs, reward, info):
        return obs[0] >= 0.45

    def swing(obs):
        return [1.0 if obs[1] > 0 else -1.0]

    CAR = gym_suite("MountainCarContinuous-v0", at_the_flag, tasks=("climb",), policies={"swing": swing})
    register_suite(CAR)

Then ``dreamgym collect --import car.py --suite MountainCarContinuous-v0 --episodes 100 --store data``, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from dreamgym.sims.state_env import check_horizon
from dreamgym.suites.base import Act, Sensors, Suite
from dreamgym.suites.scripted import RANDOM, RandomWalk, demonstrations
from dreamgym.types import ActionSpec

Success = Callable[[Any, float, dict[str, Any]], bool]
"""(the environment's observation, its reward, its info) -> whether the task stands achieved; reward 0 at a reset."""

Snapshots = tuple[Callable[[gym.Env], np.ndarray], Callable[[gym.Env, np.ndarray], Any]]
"""(env) -> what decides how it goes on, [S]; (env, that) -> sets it, and returns the observation."""

STATE, IMAGE = "state", "rgb"
"""Sensors of an environment whose observation is no Dict: a vector, or an image."""


def gym_suite(
    env: str | Callable[..., gym.Env],
    success: Success | Mapping[str, Success],
    *,
    tasks: tuple[str, ...] = ("reach_goal",),
    name: str | None = None,
    horizon: int | None = None,
    frame_rate: float | None = None,
    policies: Mapping[str, Callable[[Any], Any]] | None = None,
    snapshots: Snapshots | None = None,
    **kwargs: Any,
) -> Suite:
    """A suite of a Gymnasium environment; `register_suite` makes it known.

    A Box observation becomes the sensor "state" (an image "rgb"), a Dict its own sensors. Snapshots are MuJoCo's
    physics, or the environment's array ``state``, where an episode then repeats exactly; else there are none, and twins
    begin where the environment's own resets put them.

    Args:
        env: an id, or what makes the environment.
        success: what success is, for the one task, or by task.
        tasks: the task's name, where ``success`` is one function.
        name: of the suite; the id by default.
        horizon: control steps of an episode; the id's ``max_episode_steps`` by default.
        frame_rate: control steps a second, Hz; by default what the environment says (``dt``, or ``render_fps``), or 30.
        policies: what can collect demonstrations, by name: functions from the environment's observation to an action.
        snapshots: how to take and restore a snapshot, where the environment is of neither kind.
        kwargs: of the environment.

    Raises:
        ValueError: actions that are no bounded Box, no horizon, several tasks with one function, or snapshots that do
            not repeat.
    """
    check_horizon(horizon)
    judges = dict(success) if isinstance(success, Mapping) else {tasks[0]: success}
    if not isinstance(success, Mapping) and len(tasks) != 1:
        raise ValueError(f"one success function judges one task, got {tasks}: give a dict of functions by task")
    make = partial(GymSimulator, env, judges, snapshots=snapshots, **kwargs)
    probe = make()
    spec = gym.spec(env) if isinstance(env, str) else probe.env.spec
    steps = horizon or (None if spec is None else spec.max_episode_steps)
    label = name or (env if isinstance(env, str) else None)
    if steps is None or label is None:
        raise ValueError(f"{env!r} says neither its name nor how long an episode is: give name= and horizon=")
    rate = frame_rate or _frame_rate(probe.env)
    probe.close()
    hands = {who: _PolicyOperator(act) for who, act in (policies or {}).items()}
    kinds = {"demonstrations": demonstrations} if hands else {}
    return Suite(
        name=label,
        tasks=tuple(judges),
        action=probe.action,
        frame_rate=rate,
        horizon=steps,
        simulator=make,
        operators={**hands, RANDOM: RandomWalk},
        collectors={**kinds, RANDOM: partial(demonstrations, operators=(RANDOM,))},
    )


class GymSimulator(gym.Env[Sensors, np.ndarray]):
    """A Gymnasium environment with the calls of a simulator: sensors, tasks, a verdict, snapshots.

    Reward 1 and termination at the first step at which the task stands achieved; the environment's own end terminates
    too. ``info["is_success"]`` is the verdict.

    Args:
        env: an id, or what makes the environment; its time limit is left out.
        success: by task.
        task: the task of every episode; None draws one at each reset.
        horizon: truncate an episode after so many steps; None never does.
        snapshots: see `gym_suite`.
        kwargs: of the environment.
    """

    def __init__(
        self,
        env: str | Callable[..., gym.Env],
        success: Mapping[str, Success],
        task: str | None = None,
        horizon: int | None = None,
        snapshots: Snapshots | None = None,
        **kwargs: Any,
    ) -> None:
        self.env = _make(env, kwargs)
        self.success, self.tasks = dict(success), tuple(success)
        self.task = None if task is None else self._check_task(task)
        check_horizon(horizon)
        self.horizon = horizon
        self.metadata = self.env.metadata
        self.render_mode = self.env.render_mode
        self.action_space = self.env.action_space
        self.action = _action(self.action_space)
        self.observation_space = _sensor_space(self.env.observation_space)  # type: ignore[assignment]
        self.episode_task = self.task or self.tasks[0]
        self.observation: Any = None  # what the environment itself observed last
        self._steps = 0
        self._snapshots = _checked(self.env, snapshots) if snapshots else _found(self.env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Sensors, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: of the environment and of the draw of a task.
            options: "task" of this episode; "snapshot" to begin at.

        Raises:
            ValueError: another option, an unknown task, or a snapshot that cannot be restored.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        task, snapshot = options.pop("task", None), options.pop("snapshot", None)
        if options:
            raise ValueError(f"reset options: expected some of ('task', 'snapshot'), got {sorted(options)}")
        drawn = self.task or self.tasks[int(self.np_random.integers(len(self.tasks)))]
        self.observation, info = self.env.reset(seed=seed)
        if snapshot is not None:
            self.restore(snapshot)
            drawn, info = self.episode_task, {}
        self.episode_task, self._steps = self._check_task(task or drawn), 0
        return self.observe(), self._info(0.0, info)

    def step(self, action: np.ndarray) -> tuple[Sensors, float, bool, bool, dict[str, Any]]:
        """Applies one action [A], clipped to its bounds.

        Raises:
            ValueError: before `reset`.
        """
        if self.observation is None:
            raise ValueError("step before reset: call reset() first")
        space = self.action_space
        assert isinstance(space, spaces.Box)
        action = np.clip(np.asarray(action, space.dtype), space.low, space.high)
        self.observation, reward, ended, _, info = self.env.step(action)
        self._steps += 1
        told = self._info(float(reward), info)
        done: bool = told["is_success"]
        truncated = self.horizon is not None and self._steps >= self.horizon
        return self.observe(), float(done), done or bool(ended), truncated, told

    def observe(self, cameras: bool = True) -> Sensors:
        """What the sensors show at present."""
        if self.observation is None:
            raise ValueError("observe before reset: call reset() first")
        return _sensors(self.env.observation_space, self.observation)

    def snapshot(self) -> np.ndarray:
        """The task and what decides how the environment goes on, float64 [1 + S]; empty where it has no snapshots."""
        if self._snapshots is None:
            return np.zeros(0)
        state = np.asarray(self._snapshots[0](self.env), np.float64).ravel()
        return np.concatenate([[float(self.tasks.index(self.episode_task))], state])

    def restore(self, snapshot: np.ndarray) -> None:
        """Sets the task and the state from `snapshot`; the count of steps stays.

        Raises:
            ValueError: the environment has no snapshots, or this is none of them.
        """
        if self._snapshots is None:
            raise ValueError("this environment has no snapshots: give gym_suite snapshots=(take, restore)")
        vector = np.asarray(snapshot, np.float64)
        if self.observation is None:
            self.observation, _ = self.env.reset()
        if vector.shape != self.snapshot().shape or not 0 <= vector[0] < len(self.tasks):
            raise ValueError(f"snapshot: expected shape {self.snapshot().shape}, got {vector.shape}")
        self.episode_task = self.tasks[int(vector[0])]
        self.observation = self._snapshots[1](self.env, vector[1:])

    def render(self) -> Any:
        """The environment's own picture."""
        return self.env.render()

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def _check_task(self, task: str) -> str:
        if task not in self.tasks:
            raise ValueError(f"task: expected one of {list(self.tasks)}, got {task!r}")
        return task

    def _info(self, reward: float, info: dict[str, Any]) -> dict[str, Any]:
        done = bool(self.success[self.episode_task](self.observation, reward, info))
        return {**info, "is_success": done, "task": self.episode_task}


@dataclass(frozen=True)
class _PolicyOperator:
    """A policy of the environment's own observations as an operator."""

    policy: Callable[[Any], Any]

    def __call__(self, env: Any, rng: np.random.Generator) -> Act:
        return lambda obs: np.asarray(self.policy(env.observation), np.float32).reshape(env.action_space.shape)


def _make(env: str | Callable[..., gym.Env], kwargs: Mapping[str, Any]) -> gym.Env:
    if not isinstance(env, str):
        return env(**kwargs)
    return gym.make(env, max_episode_steps=-1, disable_env_checker=True, **kwargs)  # -1: no time limit


def _action(space: gym.Space) -> ActionSpec:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
        raise ValueError(f"a suite's action is a bounded Box of shape (A,), got {space}: wrap the environment")
    return ActionSpec(tuple(map(float, space.low)), tuple(map(float, space.high)))


def _frame_rate(env: gym.Env) -> float:
    dt = getattr(env.unwrapped, "dt", None)
    return 1 / float(dt) if dt else float(env.metadata.get("render_fps", 30.0))


def _is_image(space: gym.Space) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3


def _parts(space: gym.Space) -> dict[str, gym.Space]:
    """Spaces by sensor."""
    if isinstance(space, spaces.Dict):
        return dict(space.items())
    return {IMAGE if _is_image(space) else STATE: space}


def _sensor_space(space: gym.Space) -> spaces.Dict:
    flat = {k: v if _is_image(v) else spaces.flatten_space(v) for k, v in _parts(space).items()}
    for key, part in flat.items():
        if not isinstance(part, spaces.Box):
            raise ValueError(f"the observation {key!r} has no fixed size ({space}): wrap the environment")
    boxes = {k: b if _is_image(b) else spaces.Box(-np.inf, np.inf, b.shape, np.float32) for k, b in flat.items()}
    return spaces.Dict(boxes)


def _sensors(space: gym.Space, observation: Any) -> Sensors:
    """The observation by sensor: images as they are, all else flat, float32."""
    named = observation if isinstance(space, spaces.Dict) else dict.fromkeys(_parts(space), observation)
    out = {}
    for key, part in _parts(space).items():
        value = named[key]
        out[key] = np.array(value if _is_image(part) else np.asarray(spaces.flatten(part, value), np.float32))
    return out


# -- snapshots --


def _take_state(env: gym.Env) -> np.ndarray:
    """The environment's attribute ``state``, flat."""
    return np.asarray(env.unwrapped.state, np.float64).ravel()  # type: ignore[attr-defined]


def _set_state(env: gym.Env, vector: np.ndarray) -> Any:
    """Sets ``state`` and returns the observation of it."""
    inner: Any = env.unwrapped
    before = np.asarray(inner.state)
    value = vector.reshape(before.shape).astype(before.dtype)
    inner.state = tuple(value) if isinstance(inner.state, tuple) else value
    return inner._get_obs() if hasattr(inner, "_get_obs") else np.asarray(value, np.float32)


def _take_physics(env: gym.Env) -> np.ndarray:
    """MuJoCo's whole state."""
    from dreamgym.sims.mujoco_state import dump_physics

    inner: Any = env.unwrapped
    return dump_physics(inner.model, inner.data)


def _set_physics(env: gym.Env, vector: np.ndarray) -> Any:
    """Sets MuJoCo's state and returns the observation of it."""
    from dreamgym.sims.mujoco_state import load_physics

    inner: Any = env.unwrapped
    load_physics(inner.model, inner.data, vector)
    return inner._get_obs()


def _found(env: gym.Env) -> Snapshots | None:
    """Snapshots that an environment has by what it is made of, if they repeat; else None."""
    inner: Any = env.unwrapped
    env.reset(seed=0)
    found: Snapshots | None = None
    if type(getattr(inner, "model", None)).__name__ == "MjModel" and hasattr(inner, "_get_obs"):
        found = _take_physics, _set_physics
    elif isinstance(getattr(inner, "state", None), (np.ndarray, tuple)):
        shows_it = env.observation_space.shape == np.shape(inner.state)
        found = (_take_state, _set_state) if shows_it or hasattr(inner, "_get_obs") else None
    return found if found is not None and _repeats(env, found) else None


def _checked(env: gym.Env, snapshots: Snapshots) -> Snapshots:
    if not _repeats(env, snapshots):
        raise ValueError("these snapshots do not repeat: after restoring one, the same actions lead elsewhere")
    return snapshots


def _repeats(env: gym.Env, snapshots: Snapshots, steps: int = 5) -> bool:
    """Whether an episode goes on from a snapshot as it went on before."""
    take, put = snapshots
    rng = np.random.default_rng(0)
    space: Any = env.action_space
    actions = [rng.uniform(space.low, space.high).astype(space.dtype) for _ in range(2 * steps)]
    env.reset(seed=0)
    seen = [env.step(a)[0] for a in actions[:steps]][-1]
    taken = np.array(take(env), np.float64)
    first = [seen, *(env.step(a)[0] for a in actions[steps:])]
    again = [put(env, taken), *(env.step(a)[0] for a in actions[steps:])]
    pairs = (_sensors(env.observation_space, x) for x in first), (_sensors(env.observation_space, x) for x in again)
    return all(np.allclose(a[k], b[k], rtol=0, atol=1e-5) for a, b in zip(*pairs, strict=True) for k in a)
