"""Features of an encoder for the Fréchet distance, and metrics by networks of others where one has them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.evaluation.making.likeness import frechet

PLACES = 2
"""Features are the encoder's tokens averaged over so many places a side."""
BATCH = 64
NETWORKS = ("lpips", "fid", "fvd")
"""Metrics by networks that no package brings: each is a TorchScript file. "lpips" maps two batches of frames
[R, 3, H, W] in [0, 1] to distances [R]; "fid" frames, and "fvd" clips [R, T, 3, H, W], to features [R, Z]."""


def features(tokens: Tensor) -> Tensor:
    """[R, D * PLACES^2] of an encoder's tokens [R, N, D]."""
    grid = round(tokens.shape[1] ** 0.5)
    return F.adaptive_avg_pool2d(tokens.transpose(1, 2).unflatten(2, (grid, grid)), PLACES).flatten(1)


@torch.no_grad()
def by_networks(made: Tensor, real: Tensor, files: dict[str, Path]) -> dict[str, float]:
    """The metrics whose networks there are, of clips [R, T, 3, H, W] in [0, 1].

    Raises:
        ValueError: a network of another name than `NETWORKS`.
    """
    if unknown := set(files) - set(NETWORKS):
        raise ValueError(f"networks: expected some of {NETWORKS}, got {sorted(unknown)}")
    out = {}
    for name, file in files.items():
        network = torch.jit.load(str(file)).eval()
        if name == "fvd":
            out[name] = frechet(*(_features(network, clips) for clips in (made, real)))
            continue
        frames = made.flatten(0, 1), real.flatten(0, 1)
        if name == "fid":
            out[name] = frechet(*(_features(network, each) for each in frames))
        else:
            pairs = zip(frames[0].split(BATCH), frames[1].split(BATCH), strict=True)
            out[name] = float(torch.cat([network(a, b).flatten() for a, b in pairs]).mean())
    return out


def _features(network: nn.Module, inputs: Tensor) -> Tensor:
    return torch.cat([network(part) for part in inputs.split(BATCH)]).flatten(1)
