"""What can be asked for on the command line of WARPD and its baselines: every field is an option."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dreamgym.cli.bounds import Count, Seed, Threads
from dreamgym.data import EpisodeStore
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.warpd.config import PLANNED_OFTEN, SUITES, WARPDConfig
from dreamgym_agents.warpd.recipes import CHUNKS, configure

CHUNK = 32  # actions predicted at once where no length is given


@dataclass(frozen=True)
class TrainOptions:
    """What to train on which demonstrations, and how.

    Attributes:
        store: episode store of demonstrations, of one task or several.
        out: the agent's folder; progress lives beside it in ``OUT.run``.
        task: what the policy is to do where nobody tells it, as `dreamgym evaluate` does; needed where several tasks
            are learned.
        tasks: tasks to learn; where not given ``task``, or all that are there.
        method: WARPD, with or without its world model, or a baseline of the same sizes.
        preset: "paper", the paper's sizes and schedule, or "tiny", ones for two cores.
        suite: the suite whose settings the paper's are; what the store says where not given.
        condition: what generation is told; the suite's own where not given.
        length: steps of a snippet that is encoded, or of a chunk. Where not given 32 for chunks, the paper's 64 where
            generation is told the state alone in "pusht" and "robosuite", else the longest demonstration.
        horizon: steps between two generations; where not given the length, half of it for chunks.
        width: width of the policy's two layers; the preset's where not given.
        vae_epochs: epochs of the first stage; the preset's where not given.
        diffusion_epochs: epochs of the second stage, or of a baseline's only one; the preset's where not given.
        batch_size: snippets in an update; the preset's where not given.
        decay: let learning rates fall over each stage.
        checkpoint: a world model of the same observation (a shipped name, a folder, or hf://organisation/name), in
            whose dream and twin the policy is to act: observations are scaled by no less than a tenth of the dream's
            own deviations, since what hardly changes in the demonstrations would have the dream's errors in it
            magnified.
        obs_key: which of the store's observations is read.
        seed: seed of everything random.
        device: device to compute on.
        threads: threads of torch; torch's own number where not given.
        log: where curves go beside log.jsonl: TensorBoard's files, or Weights & Biases too.
    """

    store: Path
    out: Path
    task: str | None = None
    tasks: tuple[str, ...] = ()
    method: Literal[
        "warpd",
        "warpd_no_world_model",
        "diffusion_policy",
        "diffusion_policy_relative",
        "latent_diffusion_policy",
        "mlp",
    ] = "warpd"
    preset: Literal["tiny", "paper"] = "tiny"
    suite: Literal["metaworld", "pusht", "robosuite", "locomotion", "adroit"] | None = None
    condition: Literal["state", "task", "state+task"] | None = None
    length: Count | None = None
    horizon: Count | None = None
    width: Count | None = None
    vae_epochs: Count | None = None
    diffusion_epochs: Count | None = None
    batch_size: Count | None = None
    decay: bool = True
    checkpoint: str | None = None
    obs_key: str = "state"
    seed: Seed = 0
    device: str = "cpu"
    threads: Threads | None = None
    log: Literal["tensorboard", "wandb"] = "tensorboard"

    def config(self, demonstrations: Demonstrations) -> WARPDConfig:
        """The preset of the suite with what was asked for."""
        suite = self.suite or _known(told_suite(self.store), self.store)
        length, horizon = self.length, self.horizon
        if length is None and self.method in CHUNKS:
            length = CHUNK
        elif length is None and (suite not in PLANNED_OFTEN or self.condition == "task"):
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


def told_suite(path: Path) -> str | None:
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
