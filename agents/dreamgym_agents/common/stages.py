"""Supervised stages: a loss over epochs of snippets of demonstrations."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dreamgym.training.ema import EMA
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.runs import StageRun


@dataclass
class EpochStage:
    """What one stage trains, and with which loss.

    Attributes:
        name: of the stage; its folder in the run.
        epochs: its budget.
        module: what is trained, and what progress is kept of.
        groups: parameter groups for Adam; parameters in none are frozen.
        loss: (batch, generator, epoch) to scalars, "loss" among them.
        prepare: called once before the first epoch with the demonstrations and a generator.
        ema: decay of the average that replaces the weights at the end; None for none.
        lead: steps that snippets hold before the first of their length; an episode's first row is repeated there.
    """

    name: str
    epochs: int
    module: nn.Module
    groups: list[dict[str, object]]
    loss: Callable[[dict[str, Tensor], torch.Generator, int], dict[str, Tensor]]
    prepare: Callable[[Demonstrations, torch.Generator], None] | None = None
    ema: float | None = None
    lead: int = 0


@dataclass(frozen=True)
class EpochConfig:
    """How a supervised stage goes through demonstrations.

    Attributes:
        length: steps of a snippet.
        batch_size: snippets a batch.
        snippets: random snippets of each trajectory that make an epoch.
        decay: whether every rate rises over the first epoch and falls to nought along half a cosine.
        grad_clip: largest gradient norm; None for none.
        seed: of snippets and noise.
    """

    length: int
    batch_size: int = 32
    snippets: int = 1
    decay: bool = False
    grad_clip: float | None = None
    seed: int = 0


class EpochRun(StageRun):
    """A supervised stage under way; what epoch i draws is a function of (seed, stage, i).

    Args:
        stage: what is trained.
        demonstrations: what it learns from.
        config: how.
        device: where the module is.
    """

    unit = "epoch"

    def __init__(
        self, stage: EpochStage, demonstrations: Demonstrations, config: EpochConfig, device: torch.device | str = "cpu"
    ) -> None:
        self.stage, self.config, self.device = stage, config, device
        self.name = self.folder = stage.name
        self.budget, self.module = stage.epochs, stage.module
        self.demonstrations = demonstrations.led(stage.lead) if stage.lead else demonstrations
        self.optimizer = torch.optim.Adam(stage.groups, fused=True)  # a sixth of the time on networks of many parts
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def begin(self, fresh: bool) -> None:
        if fresh and self.stage.prepare is not None:
            self.stage.prepare(self.demonstrations, self._generator(-1))
        if self.stage.ema is not None:
            self.ema = EMA(self.module, self.stage.ema)

    def step(self) -> Mapping[str, float]:
        """One epoch; the mean of each loss.

        Raises:
            FloatingPointError: the loss was not finite.
        """
        config, generator = self.config, self._generator(self.count)
        totals: dict[str, float] = {}
        batches = 0
        count = -(-len(self.demonstrations) * config.snippets // config.batch_size)
        self.module.train()
        length = config.length + self.stage.lead
        for batch in self.demonstrations.epoch(length, config.batch_size, generator, config.snippets):
            self._set_rates(batches / count, count)
            losses = self.stage.loss({k: v.to(self.device) for k, v in batch.items()}, generator, self.count)
            self._descend(losses)
            batches += 1
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value.item()
        self.module.eval()
        return {name: value / batches for name, value in totals.items()}

    def _descend(self, losses: dict[str, Tensor]) -> None:
        if not losses["loss"].isfinite():
            parts = {k: round(v.item(), 4) for k, v in losses.items()}
            raise FloatingPointError(
                f"epoch {self.count + 1} of {self.name}: {parts}; lower the learning rate or set grad_clip"
            )
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.module)

    def _set_rates(self, of_epoch: float, count: int) -> None:
        """For the update that begins when the share ``of_epoch`` of an epoch of ``count`` of them is over."""
        share, done = 1.0, self.count + of_epoch
        if self.config.decay:
            share = min(1.0, done + 1 / count) * 0.5 * (1 + math.cos(math.pi * done / self.budget))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _generator(self, epoch: int) -> torch.Generator:
        seed = (self.config.seed * 1_000_003 + zlib.crc32(self.name.encode()) + epoch * 7_919) % 2**63
        return torch.Generator().manual_seed(seed)
