"""Attention layers and feed-forward layers, pre-norm, each with its residual.

Their sizes are those that give the parameter counts of LAC-WM's Table 4: heads of 64 numbers whatever the width, no
biases on queries, keys and values, and gated feed-forward layers four times as wide.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Adds to tokens what they see in a context.

    Args:
        width: of tokens and context.
        heads: how many.
        head_dim: numbers of each.
    """

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, width)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """[R, Q, width], by itself or a context [R, K, width]; mask bool [R or 1, 1, Q, K], True where attended."""
        normed = self.norm(x)
        context = normed if context is None else context
        q, k, v = (self._split(t) for t in (self.query(normed), self.key(context), self.value(context)))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = x + self.out(seen.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Adds a gated (GEGLU) layer's output.

    Args:
        width: of tokens.
        ratio: hidden width over it.
    """

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        hidden = int(width * ratio)
        self.norm = nn.LayerNorm(width)
        self.wide, self.out = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width]."""
        value, gate = self.wide(self.norm(x)).chunk(2, -1)
        out: Tensor = x + self.out(value * F.gelu(gate))
        return out


class Temporal(Attention):
    """Attention of each token to the same place in earlier frames.

    Args:
        width, heads, head_dim: see `Attention`.
        quiet: whether it adds nothing before it is trained.
    """

    def __init__(self, width: int, heads: int, head_dim: int, quiet: bool) -> None:
        super().__init__(width, heads, head_dim)
        if quiet:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def over(self, x: Tensor, valid: Tensor, newest: bool = False) -> Tensor:
        """Frames [B, T, N, width], each token causal in time; valid bool [B, T]: frames that there were.

        With ``newest`` the last frame alone, [B, 1, N, width].
        """
        batch, steps, tokens, width = x.shape
        # Counted back from the newest frame: a short window means the same as the end of a long one.
        when = waves(torch.arange(steps - 1, -1, -1, device=x.device, dtype=torch.float32), width)
        rows = (x + when[:, None]).transpose(1, 2).flatten(0, 1)
        causal = torch.ones(steps, steps, dtype=torch.bool, device=x.device).tril()
        own = torch.eye(steps, dtype=torch.bool, device=x.device)  # frames that there were not see themselves
        mask = ((causal & valid[:, None, :]) | own).repeat_interleave(tokens, 0).unsqueeze(1)
        asked = -1 if newest else 0
        seen = self(rows[:, asked:], self.norm(rows), mask[:, :, asked:]) - rows[:, asked:]
        return x[:, asked:] + seen.unflatten(0, (batch, tokens)).transpose(1, 2)


def waves(place: Tensor, width: int) -> Tensor:
    """Sines and cosines of places [...]: [..., width], not learned."""
    half = width // 2
    rate = torch.exp(-math.log(10_000.0) * torch.arange(half, device=place.device, dtype=torch.float32) / half)
    angle = place[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)


def grid_waves(grid: int, width: int) -> Tensor:
    """[grid * grid, width]: of a token's row and column, half of the width each."""
    axis = torch.arange(grid, dtype=torch.float32)
    row, column = torch.meshgrid(axis, axis, indexing="ij")
    return torch.cat([waves(row.flatten(), width // 2), waves(column.flatten(), width // 2)], -1)
