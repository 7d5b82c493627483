"""Tokens to images, for people (LAC-WM, A.4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.config import LatentActionConfig

PATCH = 8
"""Pixels a side that a token becomes. With it, a hidden layer before the output and no places of their own for tokens
the decoder has the 153,845,952 parameters of Table 4; at 16 x 16 tokens it draws 128 pixels, which are then resized."""


class ImageDecoder(nn.Module):
    """A linear layer to the decoder's width, self-attention, and a linear layer to pixels."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        width, self.grid, self.size = config.decoder_width, config.encoder.grid, config.image[1:]
        self.embed = nn.Linear(config.encoder.token_dim, width)
        self.blocks = nn.ModuleList(_layer(width, config.decoder_heads) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, 3 * PATCH**2)

    def forward(self, tokens: Tensor) -> Tensor:
        """[R, N, D] to images [R, 3, H, W]; in [0, 1] once trained."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        patches = self.out(F.gelu(self.hidden(self.norm(x)))).transpose(1, 2)
        image = F.fold(patches, (self.grid * PATCH,) * 2, PATCH, stride=PATCH)
        return _resized(image, self.size)


def _layer(width: int, heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)


class PixelDecoder(nn.Module):
    """Tokens that are patches of the frame itself, put together."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        self.encoder, self.size = config.encoder, config.image[1:]

    def forward(self, tokens: Tensor) -> Tensor:
        """[R, N, D] to images [R, 3, H, W] in about [0, 1]."""
        size = (self.encoder.image_size,) * 2
        image = F.fold(tokens.transpose(1, 2), size, self.encoder.patch, stride=self.encoder.patch)
        return _resized((image + 1) / 2, self.size)


def _resized(image: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, tuple(size), mode="bilinear", antialias=True)


def make_decoder(config: LatentActionConfig) -> nn.Module:
    """The decoder of a config."""
    return ImageDecoder(config) if config.decoder_blocks else PixelDecoder(config)


__all__ = ["ImageDecoder", "PixelDecoder", "make_decoder"]
