"""Demonstrations in the state-based suites: scripted experts, pushes and operators, with the frames of success marked.

python -m dreamgym.data.state_demonstrations --suite metaworld --tasks reach drawer_open --episodes 100 --out data/mw
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dreamgym.data.collect import collect
from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.sims.state_env import StateEnv

MAX_TRIES = 40
VAL_EVERY = 10
RANDOM, STRAY, CLUMSY = "random", "stray", "clumsy"
ROAMING = (RANDOM, STRAY, CLUMSY)
"""Who does not demonstrate, but shows world models and rewards what lies off the demonstrations' ways."""
NOISY = {"expert": 0.0, "noisy": 0.4}  # Metaworld: noise on the expert's actions
# Suite -> who can act in it.
OPERATORS: dict[str, tuple[str, ...]] = {
    "metaworld": ("expert", "noisy", STRAY, CLUMSY, RANDOM),
    "pusht": ("pusher", "habitual", CLUMSY, RANDOM),
    "robosuite": ("better", "okay", "worse", CLUMSY, RANDOM),
}
MAX_STEPS = {"metaworld": 200, "pusht": 300, "robosuite": 400}

Act = Callable[[np.ndarray], np.ndarray]
"""From the state (d,) to an action (A,)."""


@dataclass(frozen=True)
class StateDemonstrations:
    """Which demonstrations to make; the picklable factory that `collect` takes.

    Attributes:
        suite: one of `OPERATORS`.
        tasks: tasks of the suite, in turn; () for all of them.
        operators: who acts, in turn; () for all that demonstrate, which "random" (a random walk), "stray" (an expert
            who wanders off now and then, before success and after it) and "clumsy" (an expert who misjudges where the
            hand or the object is, by centimetres, or PushT's block, by pixels) do not. Random walks and clumsy hands
            are kept even if they fail.
        robot: robosuite's arm.
        max_steps: rows of an episode at most; None for the suite's own (`MAX_STEPS`).
        linger: rows from the first success on, itself among them; None goes on to ``max_steps``, so that all
            episodes have one length.
        snapshots: whether to record the simulator's state of every row.
    """

    suite: str
    tasks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    robot: str = "Panda"
    max_steps: int | None = None
    linger: int | None = 10
    snapshots: bool = True

    def __post_init__(self) -> None:
        if self.suite not in OPERATORS:
            raise ValueError(f"suite: expected one of {list(OPERATORS)}, got {self.suite!r}")
        known = OPERATORS[self.suite]
        object.__setattr__(self, "operators", tuple(self.operators) or tuple(o for o in known if o not in ROAMING))
        object.__setattr__(self, "tasks", tuple(self.tasks))
        if unknown := [o for o in self.operators if o not in known]:
            raise ValueError(f"operators: {self.suite} has {list(known)}, got {unknown}")
        if self.suite != "robosuite" and self.robot != StateDemonstrations.robot:
            raise ValueError(f"robot: {self.suite} has an arm of its own, got {self.robot!r}")
        if (self.max_steps is not None and self.max_steps < 2) or (self.linger is not None and self.linger < 1):
            raise ValueError(f"max_steps >= 2 and linger >= 1, or None; got {self.max_steps} and {self.linger}")

    def check(self) -> StateDemonstrations:
        """The same, if the suite's simulator knows its tasks and arm; else ValueError."""
        env = make_suite(self.suite, self.robot)
        for task in self.tasks:
            env.check_task(task)
        env.close()
        return self

    def __call__(self, worker_seed: int) -> StateDemonstrator:
        return StateDemonstrator(self, worker_seed)


class StateDemonstrator:
    """Makes the episodes; episode i depends on the seed and i alone."""

    def __init__(self, config: StateDemonstrations, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        self.env = make_suite(config.suite, config.robot)
        self.tasks = tuple(self.env.check_task(t) for t in config.tasks) or self.env.tasks

    def entry(self, episode_index: int) -> tuple[str, str, str]:
        """(task, operator, split) of an episode."""
        tasks, operators = self.tasks, self.config.operators
        rest, task = divmod(episode_index, len(tasks))
        turn, operator = divmod(rest, len(operators))
        return tasks[task], operators[operator], "val" if turn % VAL_EVERY == VAL_EVERY - 1 else "train"

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One demonstration that comes to success (or a random walk, or a clumsy try): state, action, success bool [T],
        snapshot.

        Raises:
            RuntimeError: no success in 40 tries: the operator does not fit the task.
        """
        rng = episode_rng(self.worker_seed, episode_index)
        task, operator, split = self.entry(episode_index)
        for tries in range(1, MAX_TRIES + 1):
            rows = self._attempt(task, operator, rng)
            done = bool(np.any(rows["success"]))
            if done or operator in (RANDOM, CLUMSY):
                meta = {
                    "kind": "demonstration", "suite": self.config.suite, "task": task, "operator": operator,
                    "split": split, "success": done, "tries": tries, "config": asdict(self.config),
                }  # fmt: skip
                return {k: np.stack(v) for k, v in rows.items()}, meta
        raise RuntimeError(f"no success of {operator} at {task} in {MAX_TRIES} tries: it does not fit the task")

    def _attempt(self, task: str, operator: str, rng: np.random.Generator) -> dict[str, list[Any]]:
        env, config = self.env, self.config
        obs, info = env.reset(seed=int(rng.integers(2**31)), options={"task": task})
        act = make_operator(config.suite, env, operator, rng)
        left = config.max_steps or MAX_STEPS[config.suite]
        rows: dict[str, list[Any]] = {"state": [], "action": [], "success": []}
        if config.snapshots:
            rows["snapshot"] = []
        while left > 0:
            action = act(obs["state"])
            row = {"state": obs["state"], "action": action, "success": np.bool_(info["is_success"])}
            if config.snapshots:
                row["snapshot"] = env.snapshot()
            for key, value in row.items():
                rows[key].append(value)
            if info["is_success"] and config.linger is not None:
                left = min(left, config.linger)
            left -= 1
            obs, _, _, _, info = env.step(action)
        return rows


def make_suite(suite: str, robot: str = "Panda") -> StateEnv:
    """The suite's simulator; ImportError with the pip line where it is not installed."""
    if suite == "metaworld":
        from dreamgym.sims.metaworld import MetaworldEnv

        return MetaworldEnv(horizon=None)
    if suite == "pusht":
        from dreamgym.sims.pusht import PushTEnv

        return PushTEnv(horizon=None)
    from dreamgym.sims.robosuite import RobosuiteEnv

    return RobosuiteEnv(robot=robot, horizon=None)


def make_operator(suite: str, env: StateEnv, operator: str, rng: np.random.Generator) -> Act:
    """Who acts in the episode that ``env`` has just begun; one of `OPERATORS` of its suite."""
    if operator == RANDOM:
        return _Wanderer(env, rng)
    if suite == "metaworld":
        from dreamgym.sims.metaworld import Expert

        if operator in (STRAY, CLUMSY):
            return (_Stray if operator == STRAY else _Clumsy)(env, rng)
        expert = Expert(env.episode_task, NOISY[operator])
        return lambda state: expert.act(state, rng)
    if suite == "pusht":
        from dreamgym.sims.pusht import HabitualPusher, Pusher

        if operator == CLUMSY:
            return _ClumsyPusher(rng)
        pusher = Pusher() if operator == "pusher" else HabitualPusher(rng)
        return lambda state: pusher.act(state, rng)
    from dreamgym.sims.robosuite import RobosuiteEnv
    from dreamgym.suites.robosuite.operators import Operator

    assert isinstance(env, RobosuiteEnv)
    hand = Operator(env, operator, rng)
    return lambda state: hand.act()


class _Wanderer:
    """A slow random walk over the actions' range."""

    def __init__(self, env: StateEnv, rng: np.random.Generator) -> None:
        space: Any = env.action_space
        self.low, self.high, self.rng = space.low, space.high, rng
        self._walk = rng.standard_normal(len(space.low))

    def __call__(self, state: np.ndarray) -> np.ndarray:
        self._walk = 0.9 * self._walk + 0.436 * self.rng.standard_normal(len(self._walk))
        unit = np.tanh(self._walk)
        action: np.ndarray = (self.low + (self.high - self.low) * (unit + 1) / 2).astype(np.float32)
        return action


class _Stray:
    """Metaworld's expert, who wanders off first and again and again: the task is come to from many sides, and left."""

    def __init__(self, env: StateEnv, rng: np.random.Generator) -> None:
        from dreamgym.sims.metaworld import Expert

        self.wander, self.expert, self.rng = _Wanderer(env, rng), Expert(env.episode_task), rng
        self._off, self._left = True, int(rng.integers(5, 40))

    def __call__(self, state: np.ndarray) -> np.ndarray:
        if self._left == 0:
            self._off = not self._off
            self._left = int(self.rng.integers(5, 30) if self._off else self.rng.integers(40, 90))
        self._left -= 1
        return self.wander(state) if self._off else self.expert.act(state, self.rng)


class _Clumsy:
    """Metaworld's expert, who takes the hand for elsewhere: it misses by centimetres, as cloned policies do.

    A dream that has seen hands that hit alone takes one that misses for one that hits, and so does its reward.
    """

    SPREAD = 0.02  # metres in each direction, times 0 to 2 by turns
    HAND = (slice(0, 3), slice(18, 21))  # now, and in the frame before

    def __init__(self, env: StateEnv, rng: np.random.Generator) -> None:
        from dreamgym.sims.metaworld import Expert

        self.expert, self.rng, self._left = Expert(env.episode_task, NOISY["noisy"] / 2), rng, 0
        self._error = np.zeros(3)

    def __call__(self, state: np.ndarray) -> np.ndarray:
        if self._left == 0:
            self._error = self.SPREAD * self.rng.uniform(0.0, 2.0) * self.rng.standard_normal(3)
            self._left = int(self.rng.integers(30, 100))
        self._left -= 1
        seen = state.copy()
        for part in self.HAND:
            seen[part] += self._error
        return self.expert.act(seen, self.rng)


class _ClumsyPusher:
    """PushT's habitual pusher with a trembling hand, who takes the block for elsewhere and for turned otherwise."""

    SPREAD = np.array([8.0, 8.0, 0.12])  # pixels and radians, times 0 to 2 by turns

    def __init__(self, rng: np.random.Generator) -> None:
        from dreamgym.sims.pusht import Habits, HabitualPusher

        self.pusher = HabitualPusher(rng, Habits(noise=float(rng.uniform(4.0, 16.0))))
        self.rng, self._error, self._left = rng, np.zeros(3), 0

    def __call__(self, state: np.ndarray) -> np.ndarray:
        if self._left == 0:
            self._error = self.SPREAD * self.rng.uniform(0.0, 2.0) * self.rng.standard_normal(3)
            self._left = int(self.rng.integers(20, 80))
        self._left -= 1
        seen = state.astype(np.float64)
        turn = np.arctan2(seen[5], seen[4]) + self._error[2]
        seen[2:4] += self._error[:2]
        seen[4:] = np.cos(turn), np.sin(turn)
        return self.pusher.act(seen, self.rng)


def main(argv: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dreamgym.data.state_demonstrations")
    parser.add_argument("--suite", required=True, choices=sorted(OPERATORS))
    parser.add_argument("--out", required=True, help="the episode store")
    parser.add_argument("--episodes", required=True, type=int, help="episodes to hold in the end")
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--operators", nargs="*", default=[])
    parser.add_argument("--robot", default="Panda")
    parser.add_argument("--max-steps", type=int, default=None)
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--linger", type=int, default=StateDemonstrations.linger, help="rows from the first success on")
    after.add_argument("--whole", action="store_true", help="go on to max-steps after success: episodes of one length")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = StateDemonstrations(
        args.suite,
        tuple(args.tasks),
        tuple(args.operators),
        args.robot,
        args.max_steps,
        None if args.whole else args.linger,
    )
    try:
        config.check()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    collect(config, args.out, num_workers=args.workers, seed=args.seed, num_episodes=args.episodes, info=asdict(config))


if __name__ == "__main__":
    main()
