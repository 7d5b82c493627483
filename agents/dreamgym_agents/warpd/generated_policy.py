"""Many small policies at once: multilayer perceptrons whose weights are rows of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamgym_agents.warpd.sizes import PolicyShape

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "tanh": torch.tanh, "silu": F.silu}


def unflatten(theta: Tensor, shape: PolicyShape) -> list[tuple[Tensor, Tensor]]:
    """Parts [B, P] into (weight [B, out, in], bias [B, out]) of each layer; views, not copies.

    Raises:
        ValueError: P is not what the shape has.
    """
    if theta.dim() != 2 or theta.shape[1] != shape.num_parameters:
        raise ValueError(f"weights of {shape} are [B, {shape.num_parameters}], got {tuple(theta.shape)}")
    # One split: the gradients of six slices would each be as large as theta.
    parts = theta.split([size for i, o in shape.layers for size in (i * o, o)], 1)
    pairs = zip(parts[::2], parts[1::2], shape.layers, strict=True)
    return [(weight.view(-1, o, i), bias) for weight, bias, (i, o) in pairs]


def run(theta: Tensor, obs: Tensor, shape: PolicyShape) -> Tensor:
    """The actions of B policies, each on its own observations: one batched matrix product a layer.

    Args:
        theta: [B, P], a policy a row.
        obs: [B, O], or [B, T, O] for T observations of each.
        shape: of the policies.

    Returns:
        [B, A] or [B, T, A].
    """
    single = obs.dim() == 2
    x = obs.unsqueeze(1) if single else obs
    activation = _ACTIVATIONS[shape.activation]
    layers = unflatten(theta, shape)
    for i, (weight, bias) in enumerate(layers):
        x = torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
        if i < len(layers) - 1:
            x = activation(x)
    return x.squeeze(1) if single else x


def initial_weights(shape: PolicyShape, generator: torch.Generator | None = None) -> Tensor:
    """Weights [P] as `torch.nn.Linear` would draw them: uniform within 1 / sqrt(inputs)."""
    draws = torch.rand(shape.num_parameters, generator=generator) * 2 - 1
    return draws * 3**0.5 * weight_scales(shape)


def weight_scales(shape: PolicyShape) -> Tensor:
    """Standard deviation [P] of what `initial_weights` draws, entry by entry."""
    parts = [torch.full((i * o + o,), 1 / math.sqrt(3 * i)) for i, o in shape.layers]
    return torch.cat(parts)
