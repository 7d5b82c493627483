"""Searches for action sequences: each draws in units of half the action's range, and asks for values.

Means and sequences are [B, K, A] in [-1, 1]; K decisions, each held for some control actions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dreamgym_agents.planning.config import PlannerConfig

Score = Callable[[Tensor], Tensor]
"""From sequences [B, N, K, A] to values [B, N]."""


def search(config: PlannerConfig, score: Score, mean: Tensor, generator: torch.Generator | None) -> Tensor:
    """The plan of each env.

    Args:
        config: which search, and how much of it.
        score: values sequences.
        mean: [B, K, A], where the search begins: the rest of the last plan, or 0.
        generator: of the draws.

    Returns:
        [B, K, A]: of "shooting" and "cem" the best sequence that was scored, of "mppi" the last weighted mean.
    """
    return {"shooting": _shooting, "cem": _cem, "mppi": _mppi}[config.method](config, score, mean, generator)


def _shooting(config: PlannerConfig, score: Score, mean: Tensor, generator: torch.Generator | None) -> Tensor:
    num = config.candidates * config.rounds
    drawn = torch.rand((len(mean), num, *mean.shape[1:]), generator=generator, device=mean.device) * 2 - 1
    drawn[:, 0] = mean  # what was planned before competes
    return _best(drawn, score(drawn))[0]


def _cem(config: PlannerConfig, score: Score, mean: Tensor, generator: torch.Generator | None) -> Tensor:
    spread = mean.new_tensor(config.spread).expand_as(mean)
    plan, value = mean, torch.full((len(mean),), -torch.inf, device=mean.device)
    for _ in range(config.rounds):
        drawn = _gaussian(config, mean, spread, generator)
        values = score(drawn)
        found, best = _best(drawn, values)
        better = best > value
        plan, value = torch.where(better[:, None, None], found, plan), torch.where(better, best, value)
        elites = _rows(drawn, values.topk(config.elites, 1).indices)
        mean, spread = elites.mean(1), elites.std(1, correction=0).clamp(min=config.least_spread)
    return plan


def _mppi(config: PlannerConfig, score: Score, mean: Tensor, generator: torch.Generator | None) -> Tensor:
    spread = mean.new_tensor(config.spread).expand_as(mean)
    for _ in range(config.rounds):
        drawn = _gaussian(config, mean, spread, generator)
        values = score(drawn)
        usable = torch.isfinite(values)
        values = torch.where(usable, values, torch.where(usable, values, torch.inf).amin(1, True))
        values = torch.nan_to_num(values, posinf=0.0)  # of an env none of whose sequences stayed finite
        scaled = (values - values.amax(1, True)) / (values.std(1, correction=0, keepdim=True) + 1e-6)
        weight = torch.softmax(scaled / config.temperature, 1)[..., None, None]
        mean = (weight * drawn).sum(1)
        spread = (weight * (drawn - mean[:, None]).square()).sum(1).sqrt().clamp(min=config.least_spread)
    return mean


def _gaussian(config: PlannerConfig, mean: Tensor, spread: Tensor, generator: torch.Generator | None) -> Tensor:
    """[B, N, K, A] within [-1, 1]; the first of each env is the mean itself."""
    noise = torch.randn((len(mean), config.candidates, *mean.shape[1:]), generator=generator, device=mean.device)
    noise[:, 0] = 0
    return (mean[:, None] + spread[:, None] * noise).clamp(-1, 1)


def _best(drawn: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The best sequence of each env [B, K, A], and its value [B]."""
    value, index = values.max(1)
    return _rows(drawn, index.unsqueeze(1))[:, 0], value


def _rows(drawn: Tensor, index: Tensor) -> Tensor:
    """[B, M, K, A]: sequences ``index`` [B, M] of [B, N, K, A]."""
    return drawn[torch.arange(len(drawn), device=drawn.device)[:, None], index]
