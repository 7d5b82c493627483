"""Behaviour cloning on world-model features (DiWA III.B, S.2.2, Table S.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamgym.training.ema import EMA
from dreamgym_agents.common.encoded import EncodedChunks
from dreamgym_agents.common.runs import StageRun, run_stages
from dreamgym_agents.common.settings import keep_settings
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.schedules import CloneConfig

_STREAM = 7_919  # parts the seeds of epochs


def clone(
    policy: ChunkPolicy,
    data: EncodedChunks,
    config: CloneConfig,
    run_dir: str | Path,
    held_out: EncodedChunks | None = None,
    about: Mapping[str, Any] | None = None,
    log: str = "tensorboard",
) -> None:
    """Trains ``policy`` in place on demonstrations; resumes where ``run_dir`` holds progress.

    Epoch i is a function of (seed, i) and the weights before it, so a run that was killed goes on along the same curve.

    Args:
        policy: an untrained policy; it holds the averaged weights in the end.
        data: what to imitate.
        config: how.
        run_dir: where progress and log.jsonl live.
        held_out: more demonstrations, on which the loss is logged too.
        about: what else the run is about, JSON-ready ("task", "world_model"), kept in clone.json beside the config.
        log: "tensorboard", or "wandb" for Weights & Biases beside it.

    Raises:
        ValueError: the run was begun with another config, other data or for another task.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    asked = {**asdict(config), "chunks": len(data), **(about or {})}
    keep_settings(Path(run_dir) / "clone.json", asked, free=("checkpoint_every_s",))
    run_stages([_Cloning(policy, data, config, held_out)], run_dir, save_every_s=config.checkpoint_every_s, log=log)


class _Cloning(StageRun):
    """Epochs over all chunks."""

    name, unit = "clone", "epoch"

    def __init__(
        self, policy: ChunkPolicy, data: EncodedChunks, config: CloneConfig, held_out: EncodedChunks | None
    ) -> None:
        self.policy = self.module = policy
        self.config, self.budget, self.device = config, config.epochs, policy.centre.device
        self.features, self.chunk = self._scaled(data)
        self.held_out = None if held_out is None else self._scaled(held_out)
        parameters = policy.base.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.ema = EMA(policy, config.ema)

    def _scaled(self, data: EncodedChunks) -> tuple[Tensor, Tensor]:
        """Features [N, Z], and chunks [N, D] in [-1, 1]."""
        return data.features.to(self.device), self.policy.from_actions(data.chunk.to(self.device))

    def step(self) -> dict[str, float]:
        """One epoch; its losses every hundredth of them."""
        config, number = self.config, self.count + 1
        loss = self._epoch()
        if number == config.ema_start:
            self.ema = EMA(self.policy, config.ema)
        if number % max(1, config.epochs // 100) and number != config.epochs:
            return {}
        values = {"loss": float(loss) / len(self.features), "lr": _rate(config, self.count)}
        if self.held_out is not None:
            with torch.no_grad():
                generator = torch.Generator(self.device).manual_seed(0)
                values["held_out_loss"] = float(self.policy.clone_loss(*self.held_out, generator))
        return values

    def _epoch(self) -> Tensor:
        """One pass over all chunks; returns the sum of their losses, a scalar."""
        config, epoch = self.config, self.count
        generator = torch.Generator(self.device).manual_seed(config.seed * 1_000_003 + epoch * _STREAM)
        for group in self.optimizer.param_groups:
            group["lr"] = _rate(config, epoch)
        order = torch.randperm(len(self.features), generator=generator, device=self.device)
        total = torch.zeros((), device=self.device)
        per_epoch = -(-len(order) // config.batch_size)
        for i, rows in enumerate(order.split(config.batch_size)):
            loss = self.policy.clone_loss(self.features[rows], self.chunk[rows], generator)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.detach() * len(rows)
            if self.ema is not None and epoch >= config.ema_start and not (epoch * per_epoch + i) % config.ema_every:
                self.ema.update(self.policy)
        return total


def _rate(config: CloneConfig, epoch: int) -> float:
    """Cosine from ``lr`` to ``final_lr``."""
    share = epoch / max(1, config.epochs - 1)
    return config.final_lr + (config.lr - config.final_lr) * (1 + math.cos(math.pi * min(1.0, share))) / 2
