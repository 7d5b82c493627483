"""The demo's second part: a shipped policy is fine-tuned in the dream, and scored in both worlds before and after.

Registered in the entry-point group ``dreamgym.demo``, so ``dreamgym demo`` shows it; ``dreamgym diffusion-ppo demo``
shows it alone, for any cloned policy.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dreamgym.evaluation.pages.parts import Section
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation, evaluation_file
from dreamgym.training.checkpoint import Checkpoint
from dreamgym_agents.diffusion_ppo.checkpoint import load_policy, read_policy_config
from dreamgym_agents.diffusion_ppo.recipes import make_env
from dreamgym_agents.diffusion_ppo.schedules import TuneConfig
from dreamgym_agents.diffusion_ppo.shipped import shipped_for
from dreamgym_agents.diffusion_ppo.tune import tune
from dreamgym_agents.diffusion_ppo.tuned import Tuned

if TYPE_CHECKING:
    from dreamgym.evaluation.pages.demo import Demo

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


def demo_part(demo: Demo) -> Section | None:
    """The section for `dreamgym demo`; None where no policy ships for its dream."""
    policy = shipped_for(demo.checkpoint)
    if policy is None:
        return None
    config = TuningDemoConfig()
    config = replace(config, tune=replace(config.tune, seed=demo.facts["seed"]))
    return show(policy, demo.checkpoint, demo.folder, config)


def show(policy: Path, checkpoint: Checkpoint, out: Path, config: TuningDemoConfig | None = None) -> Section:
    """Fine-tunes and scores a cloned policy, and says so as a section of the demo in ``out``.

    Raises:
        ValueError: a policy that was fine-tuned, or cloned on another world model's features.
        ImportError: the simulator's or the report extra is missing.
        Stopped: a signal ended the run.
    """
    from dreamgym_agents.diffusion_ppo.demo_page import section  # needs the report extra

    return section(tune_and_score(policy, checkpoint, out / RUN, config or TuningDemoConfig()))


def tune_and_score(policy: Path, checkpoint: Checkpoint, run: Path, config: TuningDemoConfig) -> Tuned:
    """Fine-tunes a cloned policy in the dream of ``checkpoint`` and scores it before and after, with progress bars.

    Args:
        policy: folder of a cloned policy.
        checkpoint: the world model that it was cloned on, with its rewards and start bank.
        run: folder of the run; an older run there is begun anew.
        config: how.

    Returns:
        The figures.

    Raises:
        ValueError, Stopped: see `tune`.
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
