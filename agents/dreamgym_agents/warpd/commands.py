"""``dreamgym warpd train``: each option is a field of `TrainOptions`.

    dreamgym collect --suite metaworld --tasks reach drawer_open --num-episodes 100 --store demos
    dreamgym warpd train --demonstrations demos --task drawer_open --checkpoint metaworld \
        --out policies/drawer_open
    dreamgym evaluate policies/drawer_open --horizon 100

The same command goes on with an interrupted run.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.training import checkpoint as checkpoints
from dreamgym.world_models.families.mlp import MLPWorldModel
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.warpd.config import SUITES, WARPDConfig
from dreamgym_agents.warpd.recipes import CHUNKS, as_learned, bounds, configure, cut, make_agent, read_demonstrations
from dreamgym_agents.warpd.saving import save
from dreamgym_agents.warpd.training import train as fit

FINEST = 0.1  # of a dream's own deviations: the least that its observations are scaled by
CHUNK = 32  # actions predicted at once where no length is given


@dataclass(frozen=True)
class TrainOptions:
    """What to train on which demonstrations, and how.

    Attributes:
        demonstrations: episode store, of one task or several.
        out: the agent's folder; progress lives beside it in ``OUT.run``.
        task: what the policy is to do where nobody tells it, as `dreamgym evaluate` does; needed where several tasks
            are learned.
        tasks: which to learn; by default ``task``, or all that are there.
        method: WARPD, with or without its world model, or a baseline of the same sizes.
        preset: "paper", the paper's sizes and schedule, or "tiny", ones for two cores.
        suite: whose settings the paper's are; what the store says where not given.
        condition: what generation is told; the suite's own where not given.
        length: steps of a snippet that is encoded, or of a chunk. By default: 32 for chunks, the paper's 64 where
            generation is told the state alone in "pusht" and "robosuite", else the longest demonstration.
        horizon: steps between two generations; by default the length, half of it for chunks.
        width: of the policy's two layers; the preset's where not given.
        vae_epochs: of the first stage.
        diffusion_epochs: of the second stage, or of a baseline's only one.
        batch_size: snippets an update.
        decay: whether learning rates fall over each stage.
        checkpoint: an MLP world model (a shipped name, a folder, or hf://organisation/name), in whose dream and twin
            the policy is to act: observations are scaled by no less than a tenth of the dream's own deviations, since
            what hardly changes in the demonstrations would have the dream's errors in it magnified.
        obs_key: which of the store's observations to read.
        seed: of everything random.
        device: where to compute.
        threads: torch threads.
    """

    demonstrations: Path
    out: Path
    task: str | None = None
    tasks: tuple[str, ...] = ()
    method: Literal["warpd", "warpd_no_world_model", "diffusion_policy", "latent_diffusion_policy", "mlp"] = "warpd"
    preset: Literal["tiny", "paper"] = "tiny"
    suite: Literal["metaworld", "pusht", "robosuite", "locomotion", "adroit"] | None = None
    condition: Literal["state", "task", "state+task"] | None = None
    length: int | None = None
    horizon: int | None = None
    width: int | None = None
    vae_epochs: int | None = None
    diffusion_epochs: int | None = None
    batch_size: int | None = None
    decay: bool = True
    checkpoint: str | None = None
    obs_key: str = "state"
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None

    def config(self, demonstrations: Demonstrations) -> WARPDConfig:
        """The preset of the suite with what was asked for."""
        suite = self.suite or _known(_told_suite(self.demonstrations), self.demonstrations)
        length, horizon = self.length, self.horizon
        if length is None and self.method in CHUNKS:
            length = CHUNK
        elif length is None and (suite not in ("pusht", "robosuite") or self.condition == "task"):
            length = int(demonstrations.lengths.max())
        if horizon is None and length is not None:
            horizon = length // 2 if self.method in CHUNKS else length
        sizes = {k: v for k, v in (("length", length), ("horizon", horizon)) if v is not None}
        config = configure(suite, self.preset, demonstrations, **sizes)
        asked = {name: getattr(self, name) for name in ("vae_epochs", "diffusion_epochs", "batch_size")}
        changes: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
        config = replace(config, train=replace(config.train, seed=self.seed, decay=self.decay, **changes))
        hidden = (self.width, self.width) if self.width else config.hidden
        return replace(config, condition=self.condition or config.condition, hidden=hidden)


def train(options: TrainOptions) -> None:
    """Trains WARPD or a baseline on demonstrations, or goes on with it; Ctrl-C saves and stops."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    _check_device(options.device)
    demos = _demonstrations(options)
    finest = None if options.checkpoint is None else FINEST * _deviations(options.checkpoint)
    config = options.config(demos)
    _tell(demos, config.length)
    demos = cut(demos, config, options.method)
    agent = make_agent(options.method, config, demos, bounds(demos), options.preset, finest).to(options.device)
    agent = fit(agent, demos, Path(f"{options.out}.run"))
    told = {"demonstrations": len(demos), "vae_epochs": config.train.vae_epochs}
    told["diffusion_epochs"] = config.train.diffusion_epochs
    task = options.task or demos.tasks[0]
    key = None if options.obs_key == "state" else options.obs_key  # of another observation the policy asks by its name
    print(f"wrote {save(options.out, agent, task=task, obs_key=key, world_model=options.checkpoint, metrics=told)}")


def _demonstrations(options: TrainOptions) -> Demonstrations:
    """What to learn from, as the method learns it."""
    task = options.task
    demos = read_demonstrations(options.demonstrations, options.tasks or ((task,) if task else None), options.obs_key)
    if task is None and len(demos.tasks) > 1:
        raise ValueError(f"say with --task which of {list(demos.tasks)} the policy is to do when it is loaded")
    if task is not None and task not in demos.tasks:
        raise ValueError(f"--task {task} is not among the tasks to learn, {list(demos.tasks)}: add it to --tasks")
    if options.obs_key != "state":  # what suite's settings are taken says nothing of what the entries are
        return demos
    return as_learned(demos, _told_suite(options.demonstrations) or "", options.method)


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--device {device}: torch cannot compute there ({reason}); try cpu") from error


def _tell(demos: Demonstrations, length: int) -> None:
    """Prints what of the demonstrations is not learned from as it stands."""
    for name, scale in zip(("observation", "action"), demos.scales("ignore"), strict=True):
        if len(still := (scale.std == 0).nonzero().flatten().tolist()):
            as_what = "left out" if name == "observation" else "kept as they are"
            print(f"{name} entries {still} never change in these demonstrations: they are {as_what}")
    if short := int((demos.lengths < length).sum()):
        print(f"{short} of {len(demos)} demonstrations have fewer than {length} steps: their last row is repeated")


def _deviations(checkpoint: str) -> Tensor:
    """Of each observed entry in the data of a checkpoint's dream, [O]."""
    model = checkpoints.load(checkpoint).model
    if not isinstance(model, MLPWorldModel):
        raise ValueError(f"--checkpoint {checkpoint}: expected an MLP world model, got one of family {model.family!r}")
    return model.scaling.std


def _told_suite(path: Path) -> str | None:
    """The suite that a store's demonstrations, or it itself, say they are of."""
    store = EpisodeStore.open(path)
    told = {m.get("suite", store.info.get("suite")) for m in store.metas}
    suite = told.pop() if len(told) == 1 else None
    return None if suite is None else str(suite)


def _known(suite: str | None, store: Path) -> str:
    """The suite, if the paper has settings for it."""
    if suite not in SUITES:
        raise ValueError(f"{store} does not say of which suite it is: give --suite, one of {list(SUITES)}")
    return suite


COMMANDS = {"train": train}
"""Under ``dreamgym warpd``, by the entry-point group ``dreamgym.commands``."""
