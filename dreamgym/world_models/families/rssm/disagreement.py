"""Disagreement of a small ensemble: how unsure the model is of the transition it has just made."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.rssm.config import RSSMConfig


class DisagreementHeads(nn.Module):
    """Heads that each predict, from h_t alone, the posterior's class probabilities at t.

    They predict a fixed random projection of the probabilities (Johnson-Lindenstrauss: variances survive it), which
    keeps all of them together at a few per cent of an imagined step. Each starts elsewhere and sees its own random
    half of the sequences, so where data are scarce they differ. Gradients stop before h and before the target.
    """

    projection: Tensor

    def __init__(self, config: RSSMConfig) -> None:
        super().__init__()
        heads, units, dim = config.ensemble_size, config.ensemble_units, config.ensemble_dim
        self.stoch = config.stoch
        self.hidden = nn.Linear(config.deter, heads * units)
        self.weight = nn.Parameter(torch.randn(heads, units, dim) / math.sqrt(units))
        self.bias = nn.Parameter(torch.zeros(heads, 1, dim))
        projection = torch.randn(config.stoch * config.classes, dim) / math.sqrt(dim)
        self.register_buffer("projection", projection)

    def forward(self, h: Tensor) -> Tensor:
        """Predictions [heads, N, dim] for h [N, deter]."""
        heads, units, _ = self.weight.shape
        hidden = F.silu(self.hidden(h)).unflatten(-1, (heads, units)).transpose(0, 1)
        return torch.baddbmm(self.bias, hidden, self.weight)

    def disagreement(self, h: Tensor) -> Tensor:
        """[N]: variance over the heads of the predicted class probabilities, summed over classes, a latent."""
        predictions = self(h)
        return (predictions - predictions.mean(0)).square().sum((0, 2)) / ((len(predictions) - 1) * self.stoch)

    def loss(self, h: Tensor, probs: Tensor, weight: Tensor) -> Tensor:
        """Mean squared error of every head; h [N, deter], probs [N, stoch * classes], weight [heads, N]."""
        target = probs.detach() @ self.projection
        error = (self(h.detach()) - target).square().sum(-1)
        return (error * weight).sum() / weight.sum().clamp(min=1)
