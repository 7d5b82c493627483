"""Episodes that scripted operators make of single tasks in a suite, with the frames of success marked.

A suite brings its operators (`Suite.operators`); how an episode is begun, tried again, recorded and split is here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.suites.base import Sensors, Suite, some_names

MAX_TRIES = 40
VAL_EVERY = 10
RANDOM, STRAY, CLUMSY = "random", "stray", "clumsy"
ROAMING = (RANDOM, STRAY, CLUMSY)
"""Operators that do not demonstrate: a random walk, an expert that leaves its way now and then, and one with errors in
the positions that it acts on. World models and rewards learn from them what demonstrations do not show; they are not
to be imitated."""
KEPT = (RANDOM, CLUMSY)
"""Operators whose failures are kept."""


@dataclass(frozen=True)
class ScriptedEpisodes:
    """Which episodes to make; the picklable factory that `collect` takes.

    Attributes:
        suite: where.
        tasks: tasks of the suite, in turn; () for all of them.
        operators: names of operators, in turn; () for all that demonstrate (all but `ROAMING`).
        robot: one of the suite's; None for its first, or where there is only one.
        max_steps: rows of an episode at most; None for the suite's horizon.
        linger: rows from the first success on, itself among them; None goes on to ``max_steps``, so that all
            episodes have one length.
        snapshots: whether to record the simulator's state of every row, where it has one.
        simulator: further options of the suite's simulator, as of its cameras.
        max_tries: how often an operator may try until it succeeds.
        keep_failures: whether its last failure is kept then; else it is an error.
        initial_states: whether episodes begin from the benchmark's own initial states (`Suite.initial_states`), each
            operator's one after the other; else wherever the simulator's reset draws.

    Raises:
        ValueError: the suite has no such task, operator or robot, or a number is out of its range; or initial states
            of another robot.
    """

    suite: Suite
    tasks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    robot: str | None = None
    max_steps: int | None = None
    linger: int | None = 10
    snapshots: bool = True
    simulator: Mapping[str, Any] = field(default_factory=dict)
    max_tries: int = MAX_TRIES
    keep_failures: bool = False
    initial_states: bool = False

    def __post_init__(self) -> None:
        known, name = tuple(self.suite.operators), self.suite.name
        default = tuple(o for o in known if o not in ROAMING) or known
        object.__setattr__(self, "operators", tuple(self.operators) or default)
        object.__setattr__(self, "tasks", tuple(self.tasks) or self.suite.tasks)
        if unknown := [o for o in self.operators if o not in known]:
            raise ValueError(f"operators: {name} has {list(known)}, got {unknown}")
        if unknown := [t for t in self.tasks if t not in self.suite.tasks]:
            choice = some_names((*self.suite.tasks, *self.suite.task_sets), unknown)
            raise ValueError(f"tasks: {name} has {choice}, got {unknown}")
        robots = list(self.suite.robots)
        if self.robot is None and robots:
            object.__setattr__(self, "robot", robots[0])
        elif self.robot is not None and self.robot not in robots:
            raise ValueError(f"robot: {name} has {robots or 'a robot of its own'}, got {self.robot!r}")
        if self.max_steps is None:
            object.__setattr__(self, "max_steps", self.suite.horizon)
        if self.max_steps < 2 or (self.linger is not None and self.linger < 1):  # type: ignore[operator]
            raise ValueError(f"max_steps >= 2 and linger >= 1, or None; got {self.max_steps} and {self.linger}")
        if self.initial_states and not self.suite.initial_states:
            raise ValueError(f"initial_states: {name} has none of its own: leave it out")
        if self.initial_states and robots and self.robot != robots[0]:
            raise ValueError(
                f"initial_states: those of {name} are the {robots[0]}'s, and robot is {self.robot!r}: leave one out"
            )

    def info(self) -> dict[str, Any]:
        """What the store remembers: tasks, robot and settings, JSON-ready."""
        arm = {} if self.robot is None else {"robot": self.robot}
        settings = {k: getattr(self, k) for k in ("operators", "max_steps", "linger", "snapshots")}
        if self.simulator:
            settings["simulator"] = dict(self.simulator)
        if self.keep_failures:
            settings["max_tries"] = self.max_tries
        if self.initial_states:
            settings["initial_states"] = True
            settings["settle_steps"] = self.suite.settle_steps
        return {"tasks": list(self.tasks), **arm, "settings": settings}

    def __call__(self, worker_seed: int) -> ScriptedGenerator:
        return ScriptedGenerator(self, worker_seed)


class ScriptedGenerator:
    """Makes the episodes; episode i depends on the seed and i alone."""

    def __init__(self, config: ScriptedEpisodes, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        arm = {} if config.robot is None else {"robot": config.robot}
        self.env: Any = config.suite.make(horizon=None, **arm, **config.simulator)

    def entry(self, episode_index: int) -> tuple[str, str, str]:
        """(task, operator, split) of an episode."""
        tasks, operators = self.config.tasks, self.config.operators
        rest, task = divmod(episode_index, len(tasks))
        operator = operators[rest % len(operators)]
        return tasks[task], operator, "val" if self._turn(episode_index) % VAL_EVERY == 1 else "train"

    def _turn(self, episode_index: int) -> int:
        """How often all operators have been at all tasks before this episode."""
        return episode_index // (len(self.config.tasks) * len(self.config.operators))

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One episode that comes to success (or of an operator whose failures are kept).

        Returns:
            The simulator's sensors, "action" [T, A], "success" bool [T] and, if recorded, "snapshot" [T, S]; and the
            meta.

        Raises:
            RuntimeError: no success in ``max_tries`` tries: the operator does not fit the task.
        """
        rng = episode_rng(self.worker_seed, episode_index)
        task, operator, split = self.entry(episode_index)
        begin: dict[str, Any] = {"task": task}
        if self.config.initial_states:
            begin["init_state"] = self._turn(episode_index) % self.config.suite.initial_states
        for tries in range(1, self.config.max_tries + 1):
            rows = self._attempt(begin, operator, rng)
            done = bool(np.any(rows["success"]))
            if done or operator in KEPT or (self.config.keep_failures and tries == self.config.max_tries):
                meta = {
                    "kind": "demonstration", "suite": self.config.suite.name, **begin, "operator": operator,
                    "instruction": self.config.suite.instruction(task), "split": split, "success": done,
                    "tries": tries, "config": self.config.info()["settings"],
                }  # fmt: skip
                return {k: np.stack(v) for k, v in rows.items()}, meta
        raise RuntimeError(
            f"no success of {operator} at {task} in {self.config.max_tries} tries: it does not fit the task"
        )

    def _attempt(self, begin: Mapping[str, Any], operator: str, rng: np.random.Generator) -> dict[str, list[Any]]:
        """Rows of an episode from a reset with the options ``begin``."""
        env, config = self.env, self.config
        obs, info = config.suite.begin(env, int(rng.integers(2**31)), begin)
        act = config.suite.operators[operator](env, rng)
        recorded = config.snapshots and len(env.snapshot()) > 0
        left = config.max_steps or config.suite.horizon
        rows: dict[str, list[Any]] = {}
        while left > 0:
            action = act(obs)
            row = {**obs, "action": action, "success": np.bool_(info["is_success"])}
            if recorded:
                row["snapshot"] = env.snapshot()
            for key, value in row.items():
                rows.setdefault(key, []).append(value)
            if info["is_success"] and config.linger is not None:
                left = min(left, config.linger)
            left -= 1
            obs, _, terminated, _, info = env.step(action)
            if terminated and not info["is_success"]:
                break  # the simulator's own end: a fall
        return rows


def demonstrations(
    suite: Suite,
    *,
    tasks: tuple[str, ...] = (),
    operators: tuple[str, ...] = (),
    robot: str | None = None,
    max_steps: int | None = None,
    linger: int = 10,
    whole: bool = False,
) -> ScriptedEpisodes:
    """The collector of suites with operators; see `ScriptedEpisodes`. With ``whole`` episodes go on after success."""
    return ScriptedEpisodes(suite, tasks, operators, robot, max_steps, None if whole else linger)


class RandomWalk:
    """A slow random walk over the range of a simulator's actions: an operator of any suite."""

    def __init__(self, env: Any, rng: np.random.Generator) -> None:
        self.low, self.high, self.rng = env.action_space.low, env.action_space.high, rng
        self._walk = rng.standard_normal(len(self.low))

    def __call__(self, obs: Sensors) -> np.ndarray:
        """An action (A,)."""
        self._walk = 0.9 * self._walk + 0.436 * self.rng.standard_normal(len(self._walk))
        unit = np.tanh(self._walk)
        action: np.ndarray = (self.low + (self.high - self.low) * (unit + 1) / 2).astype(np.float32)
        return action
