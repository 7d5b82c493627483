"""Generalised advantage estimation at k = 1, carried back along the denoising steps (DiWA S.2.4, Eq. 15)."""

from __future__ import annotations

import torch
from torch import Tensor


def gae(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Advantages and value targets of decisions.

    Args:
        reward: [S, B].
        value: [S, B], V of the state of each decision.
        next_value: [S, B], V of the state after it; where ``done``, what counts of the last state (0: nothing).
        done: [S, B] bool, the episode ended after the decision.
        discount: gamma, a decision.
        gae_lambda: lambda.

    Returns:
        Advantages and targets (advantage + value), [S, B] each.
    """
    delta = reward + discount * next_value - value
    carry = discount * gae_lambda * (~done)
    advantage = torch.empty_like(reward)
    running = torch.zeros_like(reward[0])
    for s in range(len(reward) - 1, -1, -1):
        running = delta[s] + carry[s] * running
        advantage[s] = running
    return advantage, advantage + value


def denoising_weights(steps: int, discount: float, device: torch.device | None = None) -> Tensor:
    """[K'], what of a decision's advantage the steps k = K' .. 1 of its chain get: discount^(k - 1).

    The paper prints both A(t, k) = gamma^k A(t, 1) and A(t, 1) = A(t, 1); the exponent k - 1 agrees with the second,
    and differs from the first by one common factor.
    """
    return discount ** torch.arange(steps - 1, -1, -1, dtype=torch.float32, device=device)
