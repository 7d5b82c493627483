"""The MLP that both policies and the critic are made of."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConditionedMLP(nn.Module):
    """An MLP on features and a second input, whose first layer is split in two.

    The features' share of the first layer (`condition`) is the same for all denoising steps of a decision, and features
    are forty times wider than a chunk: it is computed once.

    Args:
        feature_dim: Z.
        input_dim: size of the second input; 0 for none.
        hidden: widths.
        output_dim: size of the output.
    """

    def __init__(self, feature_dim: int, input_dim: int, hidden: tuple[int, ...], output_dim: int) -> None:
        super().__init__()
        self.features = nn.Linear(feature_dim, hidden[0])
        self.input = nn.Linear(input_dim, hidden[0], bias=False) if input_dim else None
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, hidden[1:], strict=False))
        self.out = nn.Linear(hidden[-1], output_dim)

    def condition(self, features: Tensor) -> Tensor:
        """[..., Z] to the features' share of the first layer, [..., hidden[0]]."""
        return self.features(features)

    def forward(self, condition: Tensor, x: Tensor | None = None) -> Tensor:
        """[..., output_dim] from what `condition` gave and the second input [..., input_dim]."""
        h = condition if x is None or self.input is None else condition + self.input(x)
        for layer in self.layers:
            h = layer(F.silu(h))
        return self.out(F.silu(h))


class DenoisingNet(nn.Module):
    """Predicts the noise in a chunk: epsilon(z, a^k, k).

    Args:
        feature_dim: Z.
        flat_dim: D.
        hidden: widths of the MLP.
        steps: K.
        time_dim: size of the sinusoidal embedding of k, even.
    """

    waves: Tensor

    def __init__(self, feature_dim: int, flat_dim: int, hidden: tuple[int, ...], steps: int, time_dim: int) -> None:
        super().__init__()
        self.mlp = ConditionedMLP(feature_dim, flat_dim, hidden, flat_dim)
        self.time = nn.Sequential(nn.Linear(time_dim, 2 * time_dim), nn.SiLU(), nn.Linear(2 * time_dim, hidden[0]))
        frequency = torch.exp(torch.arange(time_dim // 2) * (-math.log(10_000) / max(1, time_dim // 2 - 1)))
        angle = torch.arange(steps).unsqueeze(1) * frequency
        self.register_buffer("waves", torch.cat([angle.sin(), angle.cos()], 1), persistent=False)

    def times(self) -> Tensor:
        """[K, hidden[0]]: what step k = i + 1 adds to the first layer, in row i."""
        return self.time(self.waves)

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """Noise [..., D]; ``condition`` is `ConditionedMLP.condition` plus a row of `times`."""
        return self.mlp(condition, x)


class Critic(nn.Module):
    """V(z, t / T): the value of a state, from features and how much of the episode has passed.

    DiWA's critic sees the features alone. Its target (Eq. 17) ends at T, so it also depends on how much time is left;
    without that input the difference goes into the advantages as noise.
    """

    def __init__(self, feature_dim: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.mlp = ConditionedMLP(feature_dim, 1, hidden, 1)

    def forward(self, features: Tensor, elapsed: Tensor) -> Tensor:
        """[...] from features [..., Z] and the share of the horizon that has passed, [...] in [0, 1]."""
        return self.mlp(self.mlp.condition(features), elapsed.unsqueeze(-1)).squeeze(-1)
