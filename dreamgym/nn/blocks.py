"""Multilayer perceptrons with layer norm and SiLU, and a linear layer for recurrences."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseNorm(nn.Module):
    """Linear, layer norm, SiLU."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, out_dim, bias=False)
        self.norm = nn.LayerNorm(out_dim, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_dim] to [..., out_dim]."""
        return F.silu(self.norm(self.linear(x)))


def mlp(in_dim: int, hidden: int, layers: int, out_dim: int) -> nn.Sequential:
    """``layers`` of `DenseNorm` and a linear output layer."""
    dims = [in_dim] + [hidden] * layers
    blocks: list[nn.Module] = [DenseNorm(a, b) for a, b in zip(dims[:-1], dims[1:], strict=True)]
    return nn.Sequential(*blocks, nn.Linear(dims[-1], out_dim))


class _WeightGradientLater(torch.autograd.Function):
    """Zeros that, in the backward pass, turn into one weight gradient for all the steps of a recurrence."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, inputs: list[Tensor], steps: int, batch: int) -> Tensor:
        ctx.inputs = inputs
        return weight.new_zeros(steps, batch, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        inputs = torch.cat(ctx.inputs)
        ctx.inputs.clear()
        return grads[0].flatten(0, 1).t() @ inputs, None, None, None


class SequenceLinear:
    """Applies one weight at every step of a recurrence, and takes its gradient once instead of once a step.

    Autograd would form and add up a full-size gradient at each of T steps: with small batches that, not arithmetic,
    is what unrolling costs. Here the loop multiplies by the detached weight and adds a slice of zeros; the gradient
    that arrives at all the slices, times all the inputs, is the weight's gradient: one matrix product.
    Without gradients it is a plain product. Forward once, backward at most once.

    Args:
        weight: [out, in].
        steps: T.
        batch: B.
        offset: [T, B, out], added to every product (a part of the sum that is known before the loop), or None.
    """

    def __init__(self, weight: Tensor, steps: int, batch: int, offset: Tensor | None = None) -> None:
        self.weight = weight.detach().t()
        self.inputs: list[Tensor] | None = None
        if torch.is_grad_enabled() and weight.requires_grad:
            self.inputs = []
            zeros = _WeightGradientLater.apply(weight, self.inputs, steps, batch)
            offset = zeros if offset is None else zeros + offset
        elif offset is None:
            offset = weight.new_zeros(steps, batch, weight.shape[0])
        self.offsets = offset.unbind(0)

    def __call__(self, step: int, x: Tensor) -> Tensor:
        """[B, in] to [B, out] at ``step``, which must run over 0 .. T - 1 in order."""
        if self.inputs is not None:
            self.inputs.append(x.detach())
        return torch.addmm(self.offsets[step], x, self.weight)
