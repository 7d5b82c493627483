"""Draws images from tokens, for people: nothing else reads what it draws."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig


class ImageDecoder(nn.Module):
    """One small convolutional network a camera, from its grid of tokens [B, N, C] to its image."""

    def __init__(self, config: LatentDiffusionConfig) -> None:
        super().__init__()
        self.grid, self.images = config.encoders[0].grid, dict(config.images)
        channels, width = sum(config.widths), config.decoder_width
        self.cameras = nn.ModuleDict({name: _network(channels, width) for name in config.images})

    def forward(self, tokens: Tensor, cameras: list[str]) -> dict[str, Tensor]:
        """Images [B, 3, H, W] in [0, 1] of the ``cameras`` asked for, from the tokens [B, N, C] of all of them."""
        out = {}
        parts = dict(zip(self.images, tokens.split(self.grid**2, 1), strict=True))
        for name in cameras:
            plane = parts[name].transpose(1, 2).unflatten(2, (self.grid, self.grid))
            drawn = self.cameras[name](plane).float()
            size = self.images[name][1:]
            if tuple(drawn.shape[2:]) != size:
                drawn = F.interpolate(drawn, size, mode="bilinear", antialias=True)
            out[name] = torch.sigmoid(drawn)
        return out


def _network(channels: int, width: int) -> nn.Sequential:
    """Sixteen times the grid's size, by four steps."""
    layers: list[nn.Module] = [nn.Conv2d(channels, 4 * width, 3, padding=1), nn.SiLU()]
    inside = 4 * width
    for outside in (2 * width, width, width // 2, max(8, width // 4)):
        layers += [nn.Conv2d(inside, 4 * outside, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]
        inside = outside
    return nn.Sequential(*layers, nn.Conv2d(inside, 3, 3, padding=1))
