"""Several layers of one shape as one: what ensembles and per-task heads are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """N linear layers with one weight tensor [N, in, out]."""

    def __init__(self, num: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_dim)
        self.weight = nn.Parameter(torch.empty(num, in_dim, out_dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num, out_dim).uniform_(-bound, bound))

    def one(self, x: Tensor, i: int) -> Tensor:
        """Layer ``i`` on x [B, in]."""
        return torch.addmm(self.bias[i], x, self.weight[i])

    def all(self, x: Tensor) -> Tensor:
        """Every layer on its own batch: x [N, B, in] -> [N, B, out]."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)
