"""From a store of demonstrations to a cloned policy, and from an env id to the vector env that fine-tuning needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dreamgym_agents.common.encoded import EncodedChunks, encode_chunks
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.diffusion_ppo.clone import clone
from dreamgym_agents.diffusion_ppo.config import DiffusionConfig, GaussianConfig
from dreamgym_agents.diffusion_ppo.diffusion import DiffusionPolicy
from dreamgym_agents.diffusion_ppo.gaussian import GaussianPolicy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

HELD_OUT = 20
"""Held-out demonstrations on which the cloning loss is logged."""


def clone_task(
    demonstrations: Path | str,
    task: str,
    checkpoint: str,
    kind: str,
    preset: str,
    config: CloneConfig,
    run_dir: Path,
    device: str = "cpu",
    acting: Mapping[str, Any] | None = None,
) -> ChunkPolicy:
    """Clones one task from a store, or goes on with it.

    Args:
        demonstrations: an `EpisodeStore` with marked demonstrations.
        task: whose.
        checkpoint: the world model that encodes observations.
        kind: "diffusion" or "gaussian".
        preset: "tiny" or "paper": sizes of the policy.
        config: how.
        run_dir: where progress lives.
        device: where to compute.
        acting: fields of the policy's config that say how it acts once it is cloned, as {"sampler": "ddim"}.

    Returns:
        The policy.

    Raises:
        ValueError: no such demonstration, or a run in ``run_dir`` that was begun with other settings.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.training.checkpoint import load

    opened, store = load(checkpoint, device), EpisodeStore.open(demonstrations)
    generator = torch.Generator(device).manual_seed(config.seed)
    sizes = math.prod(opened.spec.feature_shape), opened.spec.action
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # the network's first weights
        policy: ChunkPolicy
        if kind == "diffusion":
            policy = DiffusionPolicy(replace(getattr(DiffusionConfig, preset)(*sizes), **(acting or {})))
        else:
            policy = GaussianPolicy(replace(getattr(GaussianConfig, preset)(*sizes), **(acting or {})))

    def encoded(split: str, num: int) -> EncodedChunks:
        view = select_demonstrations(store, [task], split, num, successful=True)
        return encode_chunks(opened.model, view, policy.config.chunk, passes=config.passes, generator=generator)

    data = encoded("train", config.demonstrations)
    held_out = encoded("val", HELD_OUT) if len(store.select(task=task, split="val", success=True)) else None
    about = {"task": task, "world_model": str(checkpoint)}
    clone(policy.to(device), data, config, run_dir, held_out, about)
    return policy.eval()


def make_env(
    id: str,
    task: str,
    chunk: int,
    *,
    checkpoint: str | Checkpoint | None = None,
    num_envs: int = 256,
    horizon: int | None = None,
    reward: str = "probability",
    reward_model: str | None = None,
    uncertainty_limit: float | str | None = None,
    num_workers: int = 0,
    device: str | None = None,
) -> Any:
    """The vector env that `tune` needs, a dream or a twin ("Real-..."); arguments as of ``gymnasium.make_vec``."""
    import gymnasium as gym

    import dreamgym  # noqa: F401 - registers the ids

    options: dict[str, Any] = {"num_workers": num_workers} if id.startswith("Real-") else {}
    if horizon is not None:
        options["horizon"] = horizon
    if checkpoint is not None:
        options["world_model" if id.startswith("Real-") else "checkpoint"] = checkpoint
    return gym.make_vec(
        id,
        num_envs=num_envs,
        array="torch",
        chunk=chunk,
        task=task,
        reward=reward,
        reward_model=reward_model,
        uncertainty_limit=uncertainty_limit,
        share_features=True,  # the rollout copies what it keeps
        device=device,
        **options,
    )
