"""The members: MLPs of one shape, run together."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn.stacked import StackedLinear


class MLPEnsemble(nn.Module):
    """E perceptrons with SiLU between their layers, each layer of all members one batched product.

    Args:
        num: members E.
        in_dim: entries of the input.
        hidden: widths of the hidden layers.
        out_dim: entries of the output.
    """

    def __init__(self, num: int, in_dim: int, hidden: tuple[int, ...], out_dim: int) -> None:
        super().__init__()
        self.num = num
        widths = (in_dim, *hidden, out_dim)
        self.layers = nn.ModuleList(StackedLinear(num, a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Every member's output [E, N, out] on x [N, in], or on its own rows x [E, N, in]."""
        if x.dim() == 2:
            x = x.expand(self.num, *x.shape)
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, StackedLinear)
            x = layer.all(x if k == 0 else F.silu(x))
        return x
