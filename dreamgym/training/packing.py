"""Smaller tensors for shipping: matrices as int8 rows with a scale, zeros and ones as bits.

A packed tensor stands in a file under its own name with a suffix; `unpack` reads any mixture of packed and plain ones.

    name::int8   [out, ...] int8       name::scale  [out] float32: row = int8 * scale
    name::head   [N, a]                name::bits   [N, ceil(b / 8)] uint8, lowest bit first; name::width [1]: b
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_SMALL = 4096
"""Entries below which int8 saves nothing worth a rounding error."""


def pack_weight(name: str, value: Tensor, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """A parameter in ``dtype``: a floating type is a cast; torch.int8 rounds matrices of 4,096 entries or more to 8
    bits with one scale a row (an output unit), and casts the rest to float16.
    """
    if dtype is None or not value.is_floating_point():
        return {name: value.contiguous()}
    if dtype != torch.int8:
        return {name: value.to(dtype).contiguous()}
    if value.dim() < 2 or value.numel() < _SMALL:
        return {name: value.to(torch.float16).contiguous()}
    rows = value.detach().float().flatten(1)
    scale = rows.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / 127
    whole = (rows / scale.unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    return {f"{name}::int8": whole.unflatten(1, value.shape[1:]).contiguous(), f"{name}::scale": scale}


def pack_bits(name: str, value: Tensor) -> dict[str, Tensor]:
    """Stores the last columns of a [N, Z] tensor, where they hold only zeros and ones (one-hot), as bits."""
    if value.dim() != 2 or not value.is_floating_point():
        return {name: value.contiguous()}
    binary = ((value == 0) | (value == 1)).all(0)
    others = (~binary).nonzero()
    head = int(others.max()) + 1 if len(others) else 0
    width = value.shape[1] - head
    if width < 64:
        return {name: value.contiguous()}
    bits = nn.functional.pad(value[:, head:].to(torch.uint8), (0, -width % 8)).unflatten(1, (-1, 8))
    places = torch.tensor([1 << i for i in range(8)], dtype=torch.uint8)
    return {
        f"{name}::head": value[:, :head].contiguous(),
        f"{name}::bits": (bits * places).sum(2, dtype=torch.uint8),
        f"{name}::width": torch.tensor([width]),
    }


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was packed, by its own name; plain tensors as they are.

    Raises:
        ValueError: a part of a packed tensor is missing.
    """
    out = {}
    for key, value in tensors.items():
        name, _, part = key.partition("::")
        try:
            if part == "int8":
                out[name] = value.float() * tensors[f"{name}::scale"].reshape(-1, *[1] * (value.dim() - 1))
            elif part == "bits":
                head, width = tensors[f"{name}::head"], int(tensors[f"{name}::width"])
                bits = (value.unsqueeze(2) >> torch.arange(8, dtype=torch.uint8)) & 1
                out[name] = torch.cat([head, bits.flatten(1)[:, :width].to(head.dtype)], 1)
            elif part not in ("scale", "head", "width"):
                out[key] = value
        except KeyError as missing:
            raise ValueError(f"{key!r} stands without {missing}") from missing
    return out


@torch.no_grad()
def round_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Gives a module the weights that it will have once saved in ``dtype`` and loaded again, so that what is measured
    and fitted on it holds for what ships.
    """
    for name, parameter in module.named_parameters():
        parameter.copy_(unpack(pack_weight(name, parameter, dtype))[name])
