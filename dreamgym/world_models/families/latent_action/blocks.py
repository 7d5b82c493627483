"""Attention blocks, pre-norm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention from queries to a context.

    Args:
        width: of queries and output.
        heads: a divisor of it.
        context_width: of the context; None: the same.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width or width, width)
        self.value = nn.Linear(context_width or width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """[R, Q, width] by a context [R, K, ...]; mask bool [R or 1, 1, Q, K], True where attended."""
        context = x if context is None else context
        q, k, v = (self._split(t) for t in (self.query(x), self.key(context), self.value(context)))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Mlp(nn.Sequential):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out or width))


class SelfBlock(nn.Module):
    """Self-attention and an MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[R, K, width]."""
        x = x + self.attention(self.norm(x), mask=mask)
        out: Tensor = x + self.mlp(self.norm_mlp(x))
        return out


class CrossBlock(nn.Module):
    """Cross-attention to a context, and an MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm, self.norm_context, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[R, Q, width] by a context [R, K, width]."""
        x = x + self.attention(self.norm(x), self.norm_context(context))
        out: Tensor = x + self.mlp(self.norm_mlp(x))
        return out
