"""Pixels to latents and back: CogVideoX's causal 3D autoencoder, at both resolutions of the cascade."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.pretrained import load_part
from dreamgym.world_models.families.video_cascade.sizes import AutoencoderSize

MOMENTUM = 0.01
"""Share of a batch in the running statistics of latents."""


class VideoAutoencoder(nn.Module):
    """Clips [B, T, C, H, W] in [0, 1] to scaled latents [B, t, Z, h, w] and back.

    Pixels are centred on ``pixel_mean``: CogVideoX's constant, or, of a camera that stands still, the mean image of
    the training frames, so that the network draws only what differs from it. Latents are scaled to unit variance by
    statistics that training keeps (pretrained: by CogVideoX's factor).

    Attributes:
        pixel_mean: [C, H, W] at high resolution.
        latent_mean, latent_std: [Z].
        change_std: [Z], of a latent's difference to its clip's first one, after scaling.
    """

    pixel_mean: Tensor
    latent_mean: Tensor
    latent_std: Tensor
    change_std: Tensor

    def __init__(self, config: VideoCascadeConfig) -> None:
        super().__init__()
        from diffusers import AutoencoderKLCogVideoX

        size = config.autoencoder
        self.high, self.low, self.pixel_gain = config.image[1:], config.low, 2.0
        arguments, kind = network_arguments(size, config.image[0]), AutoencoderKLCogVideoX
        made = kind(**arguments) if config.weights is None else load_part(kind, config.weights, "vae", arguments)
        self.network: Any = made
        ones = torch.ones(size.latent_channels)
        self.register_buffer("pixel_mean", torch.full(config.image, 0.5))
        self.register_buffer("latent_mean", 0 * ones)
        self.register_buffer("latent_std", ones / config.backbone.latent_scale)
        self.register_buffer("change_std", ones.clone())

    def fit_pixels(self, mean: Tensor) -> None:
        """Sets the mean image [C, H, W] in [0, 1] of the training frames."""
        self.pixel_mean.copy_(mean)

    def posterior(self, clip: Tensor) -> Tensor:
        """Means of the latents [B, t, Z, h, w], not scaled, of frames [B, T, C, H, W] at either resolution."""
        pixels = (clip - self._mean(clip)) * self.pixel_gain
        mode: Tensor = self.network.encode(pixels.transpose(1, 2)).latent_dist.mode()
        return mode.transpose(1, 2)

    def reconstruct(self, latents: Tensor) -> Tensor:
        """Frames [B, T, C, H, W], not clamped, of latents that are not scaled."""
        pixels = self.network.decode(latents.transpose(1, 2)).sample.transpose(1, 2)
        frames: Tensor = pixels / self.pixel_gain
        return frames + self._mean(frames)

    def encode(self, clip: Tensor) -> Tensor:
        """Scaled latents [B, t, Z, h, w] of frames [B, T, C, H, W] in [0, 1]: T = 1, or 1 and then whole strides."""
        return (self.posterior(clip).float() - _axis(self.latent_mean)) / _axis(self.latent_std)

    def decode(self, latents: Tensor) -> Tensor:
        """Frames [B, T, C, H, W] in [0, 1] of scaled latents [B, t, Z, h, w]."""
        raw = latents * _axis(self.latent_std) + _axis(self.latent_mean)
        return self.reconstruct(raw).float().clamp(0, 1)

    def shrink(self, clip: Tensor) -> Tensor:
        """Frames at low resolution, by the mean over areas."""
        return resize(clip, self.low)

    @torch.no_grad()
    def note_latents(self, latents: Tensor) -> None:
        """Moves the running statistics towards those of latents [B, t, Z, h, w] that are not scaled."""
        axes = (0, 1, 3, 4)
        self.latent_mean.lerp_(latents.mean(axes), MOMENTUM)
        self.latent_std.lerp_(latents.std(axes), MOMENTUM)
        if latents.shape[1] > 1:
            change = (latents[:, 1:] - latents[:, :1]).square().mean(axes).sqrt()
            self.change_std.lerp_(change / self.latent_std, MOMENTUM)

    def _mean(self, frames: Tensor) -> Tensor:
        if frames.shape[-2:] == self.pixel_mean.shape[-2:]:
            return self.pixel_mean
        height, width = frames.shape[-2:]
        return resize(self.pixel_mean[None, None], (height, width))[0, 0]


def resize(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames [B, T, C, H, W] at another height and width: the mean over areas, or bilinear where they grow."""
    if tuple(clip.shape[-2:]) == size:
        return clip
    mode = {"mode": "area"} if clip.shape[-1] > size[1] else {"mode": "bilinear", "align_corners": False}
    return F.interpolate(clip.flatten(0, 1), size, **mode).unflatten(0, clip.shape[:2])


def network_arguments(size: AutoencoderSize, channels: int = 3) -> dict[str, Any]:
    """Constructor arguments of `AutoencoderKLCogVideoX`."""
    blocks = len(size.channels)
    return {
        "in_channels": channels,
        "out_channels": channels,
        "down_block_types": ("CogVideoXDownBlock3D",) * blocks,
        "up_block_types": ("CogVideoXUpBlock3D",) * blocks,
        "block_out_channels": size.channels,
        "latent_channels": size.latent_channels,
        "layers_per_block": size.layers,
        "norm_num_groups": size.groups,
        "temporal_compression_ratio": size.stride,
    }


def _axis(values: Tensor) -> Tensor:
    return values[:, None, None]
