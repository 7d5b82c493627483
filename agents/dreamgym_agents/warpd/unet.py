"""ConditionalUnet1D: a one-dimensional U-Net of residual blocks modulated by FiLM (Chi et al. 2024, Table 6)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dreamgym_agents.warpd.sizes import DenoiserConfig


class StepEmbedding(nn.Module):
    """The diffusion step as sines and cosines, then a perceptron of two layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.net = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))

    def forward(self, step: Tensor) -> Tensor:
        """[B] to [B, dim]."""
        half = self.dim // 2
        rates = torch.exp(torch.arange(half, device=step.device) * (-math.log(10_000) / (half - 1)))
        angles = step[:, None].float() * rates
        embedded: Tensor = self.net(torch.cat([angles.sin(), angles.cos()], -1))
        return embedded


def _block(inputs: int, outputs: int, kernel: int, groups: int) -> nn.Sequential:
    conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.GroupNorm(groups, outputs), nn.Mish())


class FiLMResidual(nn.Module):
    """Two convolution blocks; the condition scales and shifts every channel between them (FiLM)."""

    def __init__(self, inputs: int, outputs: int, condition: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = _block(inputs, outputs, kernel, groups)
        self.second = _block(outputs, outputs, kernel, groups)
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outputs))
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Sequences x [B, inputs, L], condition [B, condition] to [B, outputs, L]."""
        scale, shift = self.film(condition).unsqueeze(-1).chunk(2, 1)
        out: Tensor = self.second(scale * self.first(x) + shift) + self.skip(x)
        return out


class FiLMPair(nn.Module):
    """Two residual blocks, one after the other: a level."""

    def __init__(self, first: FiLMResidual, second: FiLMResidual) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """As `FiLMResidual`."""
        out: Tensor = self.second(self.first(x, condition), condition)
        return out


class ConditionalUnet1D(nn.Module):
    """Predicts the noise in a sequence, given the diffusion step and a condition.

    Two residual blocks a level and two in the middle, halving by strided and doubling by transposed convolutions, as
    Chi et al. describe it. The way up stops at the first level's resolution, one residual pair short of the way down.

    Args:
        channels: of the sequence.
        condition: entries of the condition.
        config: of kind "unet".
    """

    def __init__(self, channels: int, condition: int, config: DenoiserConfig) -> None:
        super().__init__()
        widths, kernel, groups = config.channels, config.kernel, config.groups
        self.embed = StepEmbedding(config.step_embed)
        total = config.step_embed + condition

        def residual(inputs: int, outputs: int) -> FiLMResidual:
            return FiLMResidual(inputs, outputs, total, kernel, groups)

        pairs = list(zip([channels, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList(FiLMPair(residual(i, o), residual(o, o)) for i, o in pairs)
        self.shrink = nn.ModuleList(nn.Conv1d(o, o, 3, 2, 1) for _, o in pairs[:-1])
        self.middle = FiLMPair(*(residual(widths[-1], widths[-1]) for _ in range(2)))
        self.up = nn.ModuleList(FiLMPair(residual(2 * o, i), residual(i, i)) for i, o in reversed(pairs[1:]))
        self.grow = nn.ModuleList(nn.ConvTranspose1d(i, i, 4, 2, 1) for i, _ in reversed(pairs[1:]))
        self.out = nn.Sequential(_block(widths[0], widths[0], kernel, groups), nn.Conv1d(widths[0], channels, 1))
        self.multiple = config.multiple

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Sequences x [B, L, C], step [B], condition [B, N] to the noise [B, L, C].

        Raises:
            ValueError: L is not a multiple of what the levels divide it by.
        """
        if x.shape[1] % self.multiple:
            raise ValueError(f"a sequence of {x.shape[1]} must be a multiple of {self.multiple} for this U-Net")
        condition = torch.cat([self.embed(step), condition], -1)
        h = x.transpose(1, 2)
        skips: list[Tensor] = []
        for i, level in enumerate(self.down):
            h = level(h, condition)
            skips.append(h)
            if i < len(self.shrink):
                h = self.shrink[i](h)
        h = self.middle(h, condition)
        for level, grow in zip(self.up, self.grow, strict=True):
            h = grow(level(torch.cat([h, skips.pop()], 1), condition))
        out: Tensor = self.out(h).transpose(1, 2)
        return out
