"""Attempts at a suite's tasks by its scripted operators, from snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dreamgym.suites.base import Attempt, Suite, Trials
from dreamgym.suites.scripted import CLUMSY, ROAMING


def open_trials(suite: Suite, sensors: Sequence[str] = (), **kwargs: Any) -> Trials:
    """A simulator in which scripted operators try a suite's tasks; close it.

    Args:
        suite: whose tasks.
        sensors: what the frames must show beside the simulator's state: drawing costs most.
        kwargs: of the simulator, as checkpoints record them.

    Raises:
        ValueError: nobody acts by a script in this suite.
        ImportError: the simulator is missing.
    """
    if suite.trials is not None:
        return suite.trials(sensors, **kwargs)
    if not suite.operators:
        raise ValueError(f"nobody acts by a script in the suite {suite.name!r}")
    return OperatorTrials(suite, **kwargs)


class OperatorTrials:
    """Keeps `dreamgym.suites.base.Trials` for a suite with operators: its first, or the clumsy one where it is to miss.

    Args:
        suite: with operators.
        kwargs: of its simulator.

    Raises:
        ImportError: the simulator is missing.
    """

    def __init__(self, suite: Suite, **kwargs: Any) -> None:
        self.suite = suite
        self.expert = next((name for name in suite.operators if name not in ROAMING), next(iter(suite.operators)))
        self.clumsy = CLUMSY if CLUMSY in suite.operators else self.expert
        self.env: Any = suite.make(horizon=None, **kwargs)

    def attempt(
        self,
        task: str,
        snapshot: np.ndarray,
        rng: np.random.Generator,
        *,
        horizon: int,
        linger: int | None = None,
        noise: float = 0.0,
        miss: bool = False,
    ) -> Attempt:
        """See `dreamgym.suites.base.Trials`."""
        env, spec = self.env, self.env.action_space
        obs, _ = env.reset(seed=int(rng.integers(2**31)), options={"task": task, "snapshot": snapshot})
        act = self.suite.operators[self.clumsy if miss else self.expert](env, rng)
        spread = noise * (spec.high - spec.low) / 2
        spread[list(self.suite.action.binary)] = 0
        frames, marks = [obs], [False]
        actions: list[np.ndarray] = []
        while len(actions) < horizon and linger != 0:
            drawn = act(obs) + spread * rng.normal(size=len(spread))
            action = np.clip(drawn, spec.low, spec.high).astype(np.float32)
            obs, _, _, _, info = env.step(action)
            frames.append(obs)
            actions.append(action)
            marks.append(bool(info["is_success"]))
            if linger is not None:
                linger -= marks[-1]
        return Attempt(frames, np.stack(actions), np.array(marks))

    def close(self) -> None:
        """Frees the simulator."""
        self.env.close()
