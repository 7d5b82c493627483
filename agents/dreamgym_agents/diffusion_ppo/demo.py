"""The demo's second part: a shipped policy is fine-tuned in the dream, and scored in both worlds before and after.

Registered in the entry-point group ``dreamgym.demo``, so ``dreamgym demo`` shows it; ``python -m
dreamgym_agents.diffusion_ppo demo`` shows it alone, for any cloned policy.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamgym.evaluation.evaluate import evaluate
from dreamgym.evaluation.inference import difference
from dreamgym.evaluation.parts import Section
from dreamgym.evaluation.result import Evaluation, EvaluationConfig, evaluation_file
from dreamgym.training.checkpoint import Checkpoint
from dreamgym_agents.diffusion_ppo.checkpoint import load_policy, read_policy_config
from dreamgym_agents.diffusion_ppo.config import TuneConfig
from dreamgym_agents.diffusion_ppo.recipes import make_env
from dreamgym_agents.diffusion_ppo.shipped import shipped_for
from dreamgym_agents.diffusion_ppo.tune import tune

if TYPE_CHECKING:
    from dreamgym.evaluation.demo import Demo

_log = logging.getLogger(__name__)

RUN = "tuning"


@dataclass(frozen=True)
class TuningDemoConfig:
    """How the demo fine-tunes and scores: minutes on two cores.

    Attributes:
        tune: of the run.
        num_envs: episodes imagined side by side.
        horizon: control steps of an episode.
        score: of the policy before and after.
    """

    tune: TuneConfig = TuneConfig(total_steps=400_000, actor_lr=3e-5, bc_weight=0.1, eval_every=8)
    num_envs: int = 256
    horizon: int = 64
    score: EvaluationConfig = EvaluationConfig(num_workers=2, simulators=8, clips=4)


@dataclass(frozen=True)
class Tuned:
    """What `tune_and_score` came to.

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


def demo_part(demo: Demo) -> Section | None:
    """The section for `dreamgym demo`; None where no policy ships for its dream, or a signal ended the run."""
    policy = shipped_for(demo.checkpoint)
    if policy is None:
        return None
    config = TuningDemoConfig()
    config = replace(config, tune=replace(config.tune, seed=demo.facts["seed"]))
    return show(policy, demo.checkpoint, demo.folder, config)


def show(policy: Path, checkpoint: Checkpoint, out: Path, config: TuningDemoConfig | None = None) -> Section | None:
    """Fine-tunes and scores a cloned policy, and says so as a section of the demo in ``out``.

    Returns:
        The section; None where a signal ended the run.

    Raises:
        ValueError: a policy that was fine-tuned, or cloned on another world model's features.
        ImportError: the simulator's or the report extra is missing.
    """
    from dreamgym_agents.diffusion_ppo.demo_page import section

    done = tune_and_score(policy, checkpoint, out / RUN, config or TuningDemoConfig())
    return None if done is None else section(done)


def tune_and_score(policy: Path, checkpoint: Checkpoint, run: Path, config: TuningDemoConfig) -> Tuned | None:
    """Fine-tunes a cloned policy in the dream of ``checkpoint`` and scores it before and after, with progress bars.

    Args:
        policy: folder of a cloned policy.
        checkpoint: the world model that it was cloned on, with its rewards and start bank.
        run: folder of the run; an older run there is begun anew.
        config: how.

    Returns:
        The figures; None where a signal ended the run.

    Raises:
        ValueError: see `tune`.
    """
    task, base = read_policy_config(policy)["task"], load_policy(policy)
    if (run / "tune.json").is_file():
        shutil.rmtree(run)
    env = make_env(
        "Dream-v0", task, base.config.chunk, checkpoint=checkpoint, num_envs=config.num_envs, horizon=config.horizon
    )
    began = time.monotonic()
    result = tune(base, env, config.tune, run, task=task, world_model=checkpoint.path.name)
    seconds = time.monotonic() - began
    env.close()
    if not result.finished or result.best is None:
        _log.warning("fine-tuning was stopped: nothing is scored")
        return None
    chosen = json.loads((result.best / "config.json").read_text(encoding="utf-8"))["metrics"]["iteration"]
    score = replace(config.score, horizon=config.horizon)
    before = _score(policy, checkpoint, task, replace(score, clips=0), run, "before")
    before = replace(before, training={**before.training, "iteration": 0, "dream_steps": 0, "sim_steps": 0})
    before.save(evaluation_file(run / "evaluations", "before", task))
    after = before
    if chosen:
        after = _score(result.best, checkpoint, task, score, run, "after")
        after.save(evaluation_file(run / "evaluations", "after", task))
    played = -(-config.tune.eval_episodes // config.num_envs) * config.num_envs
    steps = result.dream_steps, result.sim_steps
    return Tuned(run, task, before, after, *steps, seconds, chosen, result.evaluations, played)


def _score(
    policy: Path, checkpoint: Checkpoint, task: str, config: EvaluationConfig, run: Path, name: str
) -> Evaluation:
    return evaluate(policy, checkpoint, task, config, clips_to=run / "evaluations", name=name, progress=True)


def counts(evaluation: Evaluation, side: str) -> tuple[int, int]:
    """(successes, episodes) in a world, "dream" or "twin"."""
    episodes = getattr(evaluation, side)
    return int(episodes.success.sum()), len(episodes)


def gain(done: Tuned, side: str) -> tuple[float, float, float]:
    """What fine-tuning added to success in a world, with the ends of Newcombe's interval."""
    return difference(counts(done.base, side), counts(done.tuned, side))


def flattery(evaluation: Evaluation) -> tuple[float, float, float]:
    """Success in the dream minus success in the twin, with the ends of Newcombe's interval."""
    return difference(counts(evaluation, "twin"), counts(evaluation, "dream"))


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
    return f"{told}, which agrees with the simulator within the interval."


def _on_steps(done: Tuned) -> str:
    scored = [done.base] if done.tuned is done.base else [done.base, done.tuned]
    taken = sum(int(np.sum(e.twin.length)) for e in scored if e.twin is not None)
    return (
        f"Fine-tuning took {done.dream_steps:,} imagined steps and {done.sim_steps:,} steps in the simulator; scoring "
        f"took {taken:,} there."
    )
