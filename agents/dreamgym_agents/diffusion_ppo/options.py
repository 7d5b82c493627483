"""What can be asked for on the command line of cloning and fine-tuning: every field is an option."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dreamgym.cli.bounds import Count, NotNegative, Positive, Seed, Threads, Whole
from dreamgym.fields import parse_fields
from dreamgym.training.processes import Processes
from dreamgym_agents.diffusion_ppo.recipes import make_env
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig, TuneConfig

GIVEN = ("total_steps", "bc_weight", "actor_lr", "tuned_steps", "num_updates", "clip", "eval_every")
"""Fields of `TuneConfig` that have an option of their own."""


@dataclass(frozen=True)
class CloneOptions:
    """What to clone, and how.

    Attributes:
        store: episode store of demonstrations, of ``dreamgym collect --kind demonstrations`` or ``dreamgym import``.
        task: task whose successful training demonstrations are imitated.
        out: the policy's folder; progress lives beside it in ``OUT.run``.
        checkpoint: the world model that encodes observations: a shipped name, a folder, or hf://organisation/name.
        kind: kind of policy: a diffusion policy, or a unimodal Gaussian one.
        preset: "paper", DiWA's sizes and schedule (Table S.3), or "tiny", ones for two cores.
        epochs: passes over the demonstrations; the preset's where not given.
        episodes: demonstrations to learn from.
        sampler: how a diffusion policy acts: through all its denoising steps with their noise, or by deterministic DDIM
            through fewer. Fine-tuning explores through all of them in either case.
        ddim_steps: denoising steps of DDIM.
        seed: seed of everything random.
        set: other fields of CloneConfig as FIELD=JSON, such as batch_size=512 ema=0.99.
        device: device to compute on.
        threads: threads of torch; torch's own number where not given.
        log: where curves go beside log.jsonl: TensorBoard's files, or Weights & Biases too.
    """

    store: Path
    task: str
    out: Path
    checkpoint: str = "playtable"
    kind: Literal["diffusion", "gaussian"] = "diffusion"
    preset: Literal["tiny", "paper"] = "tiny"
    epochs: Count | None = None
    episodes: Count = 50
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    ddim_steps: Count = 5
    seed: Seed = 0
    set: tuple[str, ...] = ()
    device: str = "cpu"
    threads: Threads | None = None
    log: Literal["tensorboard", "wandb"] = "tensorboard"

    @property
    def config(self) -> CloneConfig:
        """How to clone.

        Raises:
            ValueError: a field that is none, or a value that it cannot have.
        """
        config: CloneConfig = getattr(CloneConfig, self.preset)()
        config = replace(config, epochs=self.epochs or config.epochs, demonstrations=self.episodes, seed=self.seed)
        return replace(config, **parse_fields(self.set, CloneConfig))


@dataclass(frozen=True)
class TuneOptions:
    """What to fine-tune in which env, and how.

    Attributes:
        policy: folder that ``clone`` wrote.
        run: folder of the run; RUN/best is the policy of the highest imagined return.
        env: a dream's id, or a twin's for online fine-tuning.
        checkpoint: the env's world model, where the id does not name one; a twin needs it.
        task: task to tune for; the policy's own where not given.
        preset: "paper", DiWA's Table S.5, or "tiny", a fifth of its steps at three times the actor's rate.
        num_envs: episodes imagined side by side, by all processes together where torchrun started several.
        horizon: control steps of an episode; the id's own where not given.
        reward: "probability", the classifier's at every step (DiWA III.C), or "success", 1 once.
        reward_model: which of the world model's rewards ("success", "decoded"); its first where not given.
        uncertainty_limit: "auto" cuts an episode off where the model becomes unsure.
        total_steps: steps of all envs in all; the preset's where not given.
        bc_weight: weight of staying near the cloned policy; the preset's where not given.
        actor_lr: the policy's learning rate; the preset's where not given.
        tuned_steps: how many of the last denoising steps are tuned; the preset's where not given.
        num_updates: passes over the samples of an iteration; the preset's where not given.
        clip: PPO's clipping of the ratio; the preset's where not given.
        eval_every: iterations between evaluations and saved policies; the preset's where not given.
        set: other fields of TuneConfig as FIELD=JSON, such as gae_lambda=0.9 target_kl=0.02.
        num_workers: processes of a twin's simulators; 0: this process.
        seed: seed of everything random.
        device: device to compute on, the world model's too; the CPU where not given.
        threads: threads of torch; torch's own number where not given.
        log: where curves go beside log.jsonl: TensorBoard's files, or Weights & Biases too.
    """

    policy: Path
    run: Path
    env: str = "Dream-PlayTable-v0"
    checkpoint: str | None = None
    task: str | None = None
    preset: Literal["tiny", "paper"] = "tiny"
    num_envs: Count = 256
    horizon: Count | None = None
    reward: Literal["probability", "success"] = "probability"
    reward_model: str | None = None
    uncertainty_limit: Literal["none", "auto"] = "none"
    total_steps: Count | None = None
    bc_weight: NotNegative | None = None
    actor_lr: Positive | None = None
    tuned_steps: Count | None = None
    num_updates: Count | None = None
    clip: Positive | None = None
    eval_every: Count | None = None
    set: tuple[str, ...] = ()
    num_workers: Whole = 0
    seed: Seed = 0
    device: str | None = None
    threads: Threads | None = None
    log: Literal["tensorboard", "wandb"] = "tensorboard"

    @property
    def config(self) -> TuneConfig:
        """How to fine-tune.

        Raises:
            ValueError: a field that is none, or a value that it cannot have.
        """
        changes = {name: getattr(self, name) for name in GIVEN if getattr(self, name) is not None}
        preset: TuneConfig = getattr(TuneConfig, self.preset)()
        return replace(preset, seed=self.seed, **changes | parse_fields(self.set, TuneConfig))

    def make_env(self, task: str, world_model: str | None, chunk: int) -> Any:
        """The vector env, see `dreamgym_agents.diffusion_ppo.recipes.make_env`."""
        names, processes = ("horizon", "reward", "reward_model", "num_workers"), Processes.current()
        return make_env(
            self.env,
            task,
            chunk,
            checkpoint=world_model if self.env.startswith("Real-") or self.checkpoint else None,
            uncertainty_limit=None if self.uncertainty_limit == "none" else self.uncertainty_limit,
            num_envs=processes.share(self.num_envs, "num_envs"),
            device=self.device or processes.device,
            **{name: getattr(self, name) for name in names},
        )


@dataclass(frozen=True)
class DemoOptions:
    """What to fine-tune and score, and how.

    Attributes:
        policy: folder of a cloned policy; the one that ships where not given.
        out: folder of ``dreamgym demo``; the page has this section alone where there is none yet.
        checkpoint: the world model: a shipped name, a folder or hf://organisation/name; what the policy says where not
            given.
        total_steps: imagined steps of all envs in all.
        num_envs: episodes imagined side by side.
        horizon: control steps of an episode.
        bc_weight: weight of staying near the cloned policy.
        episodes: episodes before, and as many after, in the dream and in the twin.
        num_workers: processes of simulators; 0: this process.
        seed: seed of fine-tuning.
        threads: threads of torch.
    """

    policy: Path | None = None
    out: Path = Path("demo")
    checkpoint: str | None = None
    total_steps: Count = 400_000
    num_envs: Count = 256
    horizon: Count = 64
    bc_weight: NotNegative = 0.1
    episodes: Count = 100
    num_workers: Whole = 2
    seed: Seed = 0
    threads: Threads = 1
