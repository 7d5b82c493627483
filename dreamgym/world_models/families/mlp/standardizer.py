"""Units: observations and their changes as the networks see them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.types import ActionSpec

CONSTANT = 1e-4  # an entry whose spread is below this share of its size does not move
SMALLEST_CHANGE = 1e-3  # least spread of a change, as a share of the spread of the entry itself


class Standardizer(nn.Module):
    """Standardises observations, their one-step changes and actions.

    Attributes:
        mean, std: [O], of the observations. An entry that never moves has std 1, so it becomes 0 and not noise.
        delta_std: [O], of one step's change.
        low, high: [O], range of the data, standardised.
    """

    mean: Tensor
    std: Tensor
    delta_std: Tensor
    low: Tensor
    high: Tensor
    middle: Tensor
    reach: Tensor

    def __init__(self, obs_dim: int, action: ActionSpec) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(obs_dim))
        self.register_buffer("std", torch.ones(obs_dim))
        self.register_buffer("delta_std", torch.ones(obs_dim))
        self.register_buffer("low", torch.full((obs_dim,), -torch.inf))
        self.register_buffer("high", torch.full((obs_dim,), torch.inf))
        low, high = torch.tensor(action.low), torch.tensor(action.high)
        self.register_buffer("middle", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)

    def fit(self, obs: Tensor, delta: Tensor, margin: float) -> None:
        """Sets every statistic.

        Args:
            obs: [N, O], observations of the training data.
            delta: [M, O], changes from one step to the next.
            margin: by how much of itself the range of the data is widened.
        """
        obs, delta = obs.double(), delta.double()
        mean, std = obs.mean(0), obs.std(0)
        std = torch.where(std > CONSTANT * (mean.abs() + std), std, 1.0)
        self.mean.copy_(mean)
        self.std.copy_(std)
        # About zero, not about the mean: the network predicts a change, and none at all is its natural zero.
        self.delta_std.copy_(torch.maximum(delta.square().mean(0).sqrt(), SMALLEST_CHANGE * std))
        low, high = (obs.amin(0) - mean) / std, (obs.amax(0) - mean) / std
        self.low.copy_(low - margin * (high - low))
        self.high.copy_(high + margin * (high - low))

    def obs(self, raw: Tensor) -> Tensor:
        """Standardised observations [..., O]."""
        return (raw - self.mean) / self.std

    def raw(self, obs: Tensor) -> Tensor:
        """Observations [..., O] in their own units."""
        return obs * self.std + self.mean

    def action(self, raw: Tensor) -> Tensor:
        """Actions [..., A] with their bounds at -1 and 1."""
        return (raw - self.middle) / self.reach

    @property
    def step(self) -> Tensor:
        """[O]: one unit of a network's output as a change of the standardised observation."""
        return self.delta_std / self.std
