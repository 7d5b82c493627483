"""What fine-tuning came to: the scores before and after, and the sentences that say what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import gain as gained


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning a policy and scoring it before and after came to.

    Attributes:
        run: the run's folder; `dreamgym report` reads it.
        task: what the policy does.
        base, tuned: the evaluations, from the same starts; the same one where no tuned policy imagined better.
        dream_steps, sim_steps: of fine-tuning.
        seconds: fine-tuning took.
        chosen: iteration of the tuned policy.
        course: scores in the dream during the run, as in `TuneResult.evaluations`.
        course_episodes: episodes of each of them.
    """

    run: Path
    task: str
    base: Evaluation
    tuned: Evaluation
    dream_steps: int
    sim_steps: int
    seconds: float
    chosen: int
    course: list[dict[str, Any]]
    course_episodes: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the figures without the episodes."""
        return {
            "task": self.task,
            "world_model": self.base.world_model,
            "dream_steps": self.dream_steps,
            "sim_steps": self.sim_steps,
            "seconds": round(self.seconds, 1),
            "chosen_iteration": self.chosen,
            "course": self.course,
            "base": self.base.summary(),
            "tuned": self.tuned.summary(),
            "gain": {side: [round(x, 6) for x in gain(self, side)] for side in ("twin", "dream")},
        }


def counts(evaluation: Evaluation, side: str) -> tuple[int, int]:
    """(successes, episodes) in a world, "dream" or "twin"."""
    episodes = getattr(evaluation, side)
    return int(episodes.success.sum()), len(episodes)


def gain(done: Tuned, side: str) -> tuple[float, float, float]:
    """What fine-tuning added to success in a world, with the ends of its 95% interval."""
    return gained(getattr(done.base, side), getattr(done.tuned, side))


def flattery(evaluation: Evaluation) -> tuple[float, float, float]:
    """Success in the dream minus success in the twin, with the ends of its 95% interval."""
    assert evaluation.twin is not None and evaluation.dream is not None
    return gained(evaluation.twin, evaluation.dream)


def words(done: Tuned) -> list[str]:
    """What the figures mean, also where that is not what one hoped for."""
    if done.tuned is done.base:
        return [
            f"After {done.dream_steps:,} imagined steps no policy of the run did better in the dream than the one it "
            "began with, so there is nothing new to show in the simulator.",
            _on_steps(done),
        ]
    return [_on_gain(done), _on_dream(done), _on_steps(done)]


def _on_gain(done: Tuned) -> str:
    value, low, high = (100 * x for x in gain(done, "twin"))
    before, after = (e.twin.success for e in (done.base, done.tuned) if e.twin is not None)
    only = int((after & ~before).sum()), int((before & ~after).sum())
    told = (
        f"In the simulator success went from {100 * before.mean():.0f}% to {100 * after.mean():.0f}%: {value:+.0f} "
        f"points, 95% interval {low:+.0f} to {high:+.0f}. Of {len(after)} episodes {only[0]} were done only after "
        f"fine-tuning and {only[1]} only before."
    )
    if low > 0:
        return f"{told} That is more than chance explains."
    if high < 0:
        return f"{told} Fine-tuning in the dream did harm, and more than chance explains."
    return f"{told} The interval holds zero: with so few episodes this gain cannot be told from chance."


def _on_dream(done: Tuned) -> str:
    value, low, high = (100 * x for x in flattery(done.tuned))
    rates = [100 * counts(e, "dream")[0] / counts(e, "dream")[1] for e in (done.base, done.tuned)]
    told = f"The dream itself says {rates[0]:.0f}% before and {rates[1]:.0f}% after"
    if low > 0:
        before = 100 * flattery(done.base)[0]
        return (
            f"{told}. It flatters the tuned policy by {value:.0f} points (95% interval {low:.0f} to {high:.0f}); "
            f"before fine-tuning it was {before:.0f}. What works in the dream need not work in the simulator: believe "
            "the simulator. A gap that grows is a policy that exploits the dream."
        )
    if high < 0:
        return f"{told}. It is too strict with the tuned policy, by {-value:.0f} points ({-high:.0f} to {-low:.0f})."
    return f"{told}; of the tuned policy that agrees with the simulator within the interval."


def _on_steps(done: Tuned) -> str:
    scored = [done.base] if done.tuned is done.base else [done.base, done.tuned]
    taken = sum(int(np.sum(e.twin.length)) for e in scored if e.twin is not None)
    return (
        f"Fine-tuning took {done.dream_steps:,} imagined steps and {done.sim_steps:,} steps in the simulator; scoring "
        f"took {taken:,} there."
    )
