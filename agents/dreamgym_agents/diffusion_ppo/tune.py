"""Fine-tuning in a dream (DiWA III.E, Algorithm 1) or, with the same loop, online in its twin (DPPO).

A run lives in a directory: ``tune.json`` (what was asked), ``progress/`` (weights and optimizer, the newest two),
``log.jsonl`` (a line an iteration), ``tensorboard/``, ``policies/`` (a policy every ``eval_every`` iterations) and
``best/`` (the one of the highest imagined return). Iteration i is a function of (seed, i) and the weights before it, so
that a run that was killed goes on along the curve of an unbroken one.

Started by ``torchrun``, each of several processes imagines its share of the envs, and gradients are averaged.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dreamgym.envs.faces.vector import DreamVectorEnv
from dreamgym.training.processes import Processes
from dreamgym_agents.common.runs import StageRun, run_stages
from dreamgym_agents.common.settings import keep_settings
from dreamgym_agents.diffusion_ppo.checkpoint import load_policy, save_policy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.ppo import Learner, optimizer_of, prepare, update
from dreamgym_agents.diffusion_ppo.rollout import Rollout, check_env, collect, is_real, score
from dreamgym_agents.diffusion_ppo.schedules import TuneConfig

EVAL_SEED = 424_242
"""Seed of every evaluation: all policies of a run are compared on the same starts and the same noise."""


@dataclass
class TuneResult:
    """What a run ended with.

    Attributes:
        iterations: done.
        dream_steps, sim_steps: env steps taken, evaluations included; one of them is 0.
        evaluations: {"iteration", "dream_steps", "sim_steps", "return", "success_rate"} of every policy that was saved.
        best: folder of the policy with the highest return in this env.
    """

    iterations: int
    dream_steps: int
    sim_steps: int
    evaluations: list[dict[str, Any]]
    best: Path


def tune(
    policy: ChunkPolicy,
    env: DreamVectorEnv,
    config: TuneConfig,
    run_dir: str | Path,
    *,
    task: str | None = None,
    world_model: str | None = None,
    log: str = "tensorboard",
) -> TuneResult:
    """Fine-tunes a cloned policy in a vector env of dreamgym; resumes where ``run_dir`` holds progress.

    Args:
        policy: the cloned policy; it is not changed.
        env: ``gym.make_vec(id, num_envs=B, array="torch", chunk=policy.config.chunk, reward="probability", ...)``: a
            dream, or a twin for online fine-tuning. Of several processes, this one's share of the envs.
        config: how.
        run_dir: where the run lives.
        task, world_model: written into the policies that are saved.
        log: "tensorboard", or "wandb" for Weights & Biases beside it.

    Raises:
        ValueError: an env or a policy that do not fit (see `check_env`), or a run that was begun with another config.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    run = Tuning(policy, env, config, Path(run_dir), {"task": task, "world_model": world_model})
    run_stages([run], run_dir, save_every_s=config.checkpoint_every_s, log=log)
    best = run.choose() if run.processes.main else run.run_dir / "best"
    run.processes.wait()
    return TuneResult(run.count, **run.counts(), evaluations=run.evaluations, best=best)


class Tuning(StageRun):
    """Iterations of Algorithm 1; the budget is counted in env steps."""

    name = "tune"
    shares = True

    def __init__(
        self, policy: ChunkPolicy, env: DreamVectorEnv, config: TuneConfig, run_dir: Path, about: dict[str, Any]
    ) -> None:
        core = check_env(env, policy.config.chunk)
        self.env, self.config, self.run_dir, self.about, self.core = env, config, run_dir, about, core
        self.budget, self.steps, self.processes = config.total_steps, 0, Processes.current()
        if self.processes.main:
            self._check_same_run(policy)
        # The critic's first weights come from torch's global generator: a resumed run loads them, a new one draws them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.learner = Learner(policy.to(core.device).for_tuning(config.tuned_steps), config).to(core.device)
        self.module, self.policy = self.learner, self.learner.policy
        self.optimizer = optimizer_of(self.learner, config)
        paid_to_horizon = core.rules.reward != "success"
        self.scale = config.reward_scale or (1 / core.rules.horizon if paid_to_horizon else 1.0)
        bootstrap = config.bootstrap == "horizon" or (config.bootstrap == "auto" and not paid_to_horizon)
        decisions = config.decisions or -(-core.rules.horizon // policy.config.chunk)
        self.rollout = Rollout.empty(self.policy, decisions, core.num_envs, bootstrap, core.device)
        self.evaluations: list[dict[str, Any]] = []

    def _check_same_run(self, policy: ChunkPolicy) -> None:
        """Writes what was asked, or raises where the run was begun with something else."""
        rules = self.core.rules
        asked = {**self.about, **asdict(self.config)} | {
            "num_envs": self.core.num_envs * self.processes.count,
            "reward": rules.reward,
            "reward_model": type(self.core.reward).__name__,
            "horizon": rules.horizon,
            "uncertainty_limit": rules.uncertainty_limit,
            "real": is_real(self.core),
            "cloned_sha256": _digest(policy.base),
        }
        # What may change without bending the curve.
        keep_settings(self.run_dir / "tune.json", asked, free=("total_steps", "checkpoint_every_s"))

    @property
    def done(self) -> int:
        """Env steps so far, evaluations included."""
        return self.steps

    def extra(self) -> dict[str, Any]:
        return {"steps": self.steps, "evaluations": self.evaluations}

    def restore(self, extra: Mapping[str, Any]) -> None:
        self.steps, self.evaluations = extra["steps"], extra["evaluations"]

    def step(self) -> dict[str, float]:
        """One iteration."""
        if self.count % self.config.eval_every == 0:
            self._evaluate()
        return self.iterate()

    def finish(self) -> None:
        self._evaluate()

    def counts(self) -> dict[str, int]:
        """Env steps so far, by where they were taken."""
        real = is_real(self.core)
        return {"dream_steps": 0 if real else self.steps, "sim_steps": self.steps if real else 0}

    def iterate(self) -> dict[str, float]:
        """One iteration of Algorithm 1."""
        config, began = self.config, time.monotonic()
        rank, processes = self.processes.rank, self.processes
        seed = (config.seed * 1_000_003 + rank * 500_009_999 + self.count * 7_919 + 1) % 2**62
        generator = torch.Generator(self.core.device).manual_seed(seed)
        values = self._of_all(collect(self.env, self.policy, self.rollout, generator, seed))
        collected = time.monotonic()
        samples = prepare(self.learner, self.rollout, config, self.scale, generator, processes)
        train_actor = self.count >= config.critic_warmup
        values |= update(self.learner, self.optimizer, samples, config, generator, train_actor, processes)
        self.steps += int(values.pop("steps"))
        times = {"collect_seconds": collected - began, "update_seconds": time.monotonic() - collected}
        return {**values, **self.counts(), **times}

    def _of_all(self, values: dict[str, float]) -> dict[str, float]:
        """What the processes' episodes came to together: means, and sums of what is counted."""
        if self.processes.count == 1:
            return values
        mean = self.processes.mean(torch.tensor(list(values.values()), dtype=torch.float64, device=self.core.device))
        told = dict(zip(values, mean.tolist(), strict=True))
        return told | {k: told[k] * self.processes.count for k in ("episodes", "steps")}

    def _evaluate(self) -> None:
        """Scores the policy as it acts, on the same starts each time, and saves it; every process does the same."""
        if self.evaluations and self.evaluations[-1]["iteration"] == self.count:
            return
        generator = torch.Generator(self.core.device).manual_seed(EVAL_SEED)
        rounds = -(-self.config.eval_episodes // self.core.num_envs)
        found = score(self.env, self.policy, generator, EVAL_SEED, rounds)
        self.steps += int(found["steps"])
        entry: dict[str, Any] = {"iteration": self.count, **self.counts()}
        entry |= {k: found[k] for k in ("return", "success_rate")}
        self.evaluations.append(entry)
        if self.processes.main:
            save_policy(self._folder(self.count), self.policy, metrics=entry, **self.about)

    def _folder(self, iteration: int) -> Path:
        return self.run_dir / "policies" / f"iteration_{iteration:06d}"

    def choose(self) -> Path:
        """Writes the policy of the highest return as ``best``; never by a real episode unless the env is real."""
        entry = max(self.evaluations, key=lambda e: e["return"])
        policy = load_policy(self._folder(entry["iteration"]), self.core.device)
        return save_policy(self.run_dir / "best", policy, metrics=entry, **self.about)


def _digest(net: nn.Module) -> str:
    """Tells one network's weights from another's."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
