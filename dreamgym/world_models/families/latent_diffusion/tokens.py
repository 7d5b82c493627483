"""Images to standardised tokens, one stream an encoder (LaDi-WM, equation 1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dreamgym.nn.encoders import VisionEncoder
from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig

FEATURES = "features/"
"""Prefix of the keys under which a batch has an encoder's tokens ready: "features/dinov2" [B, T, N, Z]."""


class Tokens(nn.Module):
    """Encoders, and what brings their tokens to unit variance: a mean and a scale, and principal components between
    them where only some channels are kept.

    Args:
        config: of the model.
    """

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleDict({e.kind: VisionEncoder(e, load=False) for e in config.encoders})
        self.scalings = nn.ModuleDict(
            {e.kind: _Scaling(e.token_dim, width) for e, width in zip(config.encoders, config.widths, strict=True)}
        )
        count, channels = config.chunk, sum(config.widths)
        self.change: Tensor
        self.register_buffer("change", torch.ones(count, channels))

    def encode(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every encoder's own tokens.

        Args:
            images: each camera uint8 [M, 3, H, W].

        Returns:
            [M, N, Z] by kind of encoder, the cameras' tokens one after the other.

        Raises:
            ValueError: a camera is missing, or its images have another size, shape or type.
        """
        for name, shape in self.config.images.items():
            if name not in images:
                raise ValueError(f"camera {name!r} is missing: this model reads {list(self.config.images)}")
            if tuple(images[name].shape[1:]) != tuple(shape):
                found = tuple(images[name].shape[1:])
                raise ValueError(f"images of camera {name!r} have shape {found}, this model reads {tuple(shape)}")
        sizes = {shape[1:] for shape in self.config.images.values()}
        if len(sizes) == 1:  # one pass for all cameras
            stacked = torch.stack([images[name] for name in self.config.images], 1)
            return {
                kind: e(stacked.flatten(0, 1)).unflatten(0, stacked.shape[:2]).flatten(1, 2)
                for kind, e in self.encoders.items()
            }
        return {
            kind: torch.cat([encoder(images[name]) for name in self.config.images], 1)
            for kind, encoder in self.encoders.items()
        }

    def scaled(self, features: Mapping[str, Tensor]) -> Tensor:
        """Encoders' tokens [..., N, Z] each to standardised ones side by side, [..., N, sum of widths]."""
        return torch.cat([self.scalings[kind](features[kind].float()) for kind in self.scalings], -1)

    def of_batch(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Standardised tokens [B, T, N, C] of a batch [B, T, ...]: ready ones, or those of its images."""
        ready = {kind: batch[FEATURES + kind] for kind in self.encoders if FEATURES + kind in batch}
        if len(ready) == len(self.encoders):
            return self.scaled(ready)
        size = batch[next(iter(self.config.images))].shape[:2]
        images = {name: batch[name].flatten(0, 1) for name in self.config.images}
        return self.scaled({k: v.unflatten(0, size) for k, v in self.encode(images).items()})

    @torch.no_grad()
    def fit(self, features: Mapping[str, Tensor]) -> None:
        """Sets means, components and scales from training data, [M, N, Z] by kind."""
        for kind, scaling in self.scalings.items():
            assert isinstance(scaling, _Scaling)
            scaling.fit(features[kind].flatten(0, 1).float())

    @torch.no_grad()
    def fit_changes(self, tokens: Tensor) -> None:
        """Sets the spread of every channel's change at every lag from windows of tokens [M, 1 + chunk, N, C]."""
        change = tokens[:, 1:] - tokens[:, :1]
        self.change.copy_(change.square().mean((0, 2)).sqrt().clamp(min=0.05))


class _Scaling(nn.Module):
    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.reduced = channels < width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("components", torch.eye(width, channels) if self.reduced else torch.zeros(0, 0))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.mean
        return (x @ self.components if self.reduced else x) / self.scale

    def fit(self, rows: Tensor) -> None:
        """Sets the statistics from [M, Z]."""
        self.mean.copy_(rows.mean(0))
        centred = rows - self.mean
        if self.reduced:
            covariance = (centred.T @ centred).double() / len(rows)
            _, vectors = torch.linalg.eigh(covariance)
            self.components.copy_(vectors.flip(1)[:, : self.components.shape[1]])
            centred = centred @ self.components
        self.scale.copy_(centred.std(0).clamp(min=1e-3))
