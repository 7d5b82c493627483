"""Behaviour cloning on world-model features (DiWA III.B, S.2.2, Table S.3)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamgym.training.ema import EMA
from dreamgym.training.progress import latest, load_progress, save_progress
from dreamgym.training.stop import Stopped, stop_signals
from dreamgym_agents.diffusion_ppo.config import CloneConfig
from dreamgym_agents.diffusion_ppo.demonstrations import Demonstrations
from dreamgym_agents.diffusion_ppo.log import RunLog
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.settings import keep_settings

_log = logging.getLogger(__name__)

_STREAM = 7_919  # parts the seeds of epochs


def clone(
    policy: ChunkPolicy,
    data: Demonstrations,
    config: CloneConfig,
    run_dir: str | Path,
    held_out: Demonstrations | None = None,
    about: Mapping[str, Any] | None = None,
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

    Raises:
        ValueError: the run was begun with another config, other data or for another task.
        Stopped: SIGINT or SIGTERM ended the run; its progress is saved.
    """
    device = policy.centre.device
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    asked = {**asdict(config), "chunks": len(data), **(about or {})}
    keep_settings(run_dir / "clone.json", asked, free=("checkpoint_every_s",))
    optimizer = torch.optim.AdamW(policy.base.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    ema = EMA(policy, config.ema)
    epoch = _resume(run_dir, policy, optimizer, ema)
    features, chunk = data.features.to(device), policy.from_actions(data.chunk.to(device))
    saved = time.monotonic()
    with RunLog(run_dir, epoch, config.epochs, "epoch", "clone") as log, stop_signals() as stop:
        while epoch < config.epochs and not stop.is_set():
            loss = _pass(policy, optimizer, ema, features, chunk, config, epoch)
            epoch += 1
            if epoch == config.ema_start:
                ema = EMA(policy, config.ema)
            values = {}
            if epoch % max(1, config.epochs // 100) == 0 or epoch == config.epochs:
                values = {"loss": float(loss) / len(features), "lr": _rate(config, epoch - 1)}
                if held_out is not None:
                    values["held_out_loss"] = _loss(policy, held_out, device)
            log.advance(epoch, 1, values)
            if time.monotonic() - saved > config.checkpoint_every_s:
                save_progress(run_dir, epoch, policy, optimizer, ema, {})
                saved = time.monotonic()
    save_progress(run_dir, epoch, policy, optimizer, ema, {})
    if epoch < config.epochs:
        raise Stopped(f"stopped after epoch {epoch} of {run_dir}", stop)
    if ema.updates:
        policy.load_state_dict(ema.state_dict())


def _pass(
    policy: ChunkPolicy,
    optimizer: torch.optim.Optimizer,
    ema: EMA,
    features: Tensor,
    chunk: Tensor,
    config: CloneConfig,
    epoch: int,
) -> Tensor:
    """One pass over all chunks; returns the sum of their losses, a scalar."""
    device = features.device
    generator = torch.Generator(device).manual_seed(config.seed * 1_000_003 + epoch * _STREAM)
    for group in optimizer.param_groups:
        group["lr"] = _rate(config, epoch)
    order = torch.randperm(len(features), generator=generator, device=device)
    total = torch.zeros((), device=device)
    per_epoch = -(-len(order) // config.batch_size)
    for i, rows in enumerate(order.split(config.batch_size)):
        loss = policy.clone_loss(features[rows], chunk[rows], generator)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.detach() * len(rows)
        if epoch >= config.ema_start and (epoch * per_epoch + i) % config.ema_every == 0:
            ema.update(policy)
    return total


def _rate(config: CloneConfig, epoch: int) -> float:
    """Cosine from ``lr`` to ``final_lr``."""
    share = epoch / max(1, config.epochs - 1)
    return config.final_lr + (config.lr - config.final_lr) * (1 + math.cos(math.pi * min(1.0, share))) / 2


@torch.no_grad()
def _loss(policy: ChunkPolicy, data: Demonstrations, device: torch.device) -> float:
    generator = torch.Generator(device).manual_seed(0)
    return float(policy.clone_loss(data.features.to(device), policy.from_actions(data.chunk.to(device)), generator))


def _resume(run_dir: Path, policy: ChunkPolicy, optimizer: torch.optim.Optimizer, ema: EMA) -> int:
    path = latest(run_dir)
    if path is None:
        return 0
    epoch = load_progress(path, policy, optimizer, ema)[0]
    _log.info("resuming %s at epoch %d", run_dir, epoch)
    return epoch
