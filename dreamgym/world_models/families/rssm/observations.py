"""Encoders and decoders of the RSSM: an encoder a sensor, fused by one layer, and a decoder a sensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.nn.blocks import DenseNorm, mlp
from dreamgym.nn.vectors import VectorCodec
from dreamgym.world_models.families.rssm.config import RSSMConfig


def normalize_image(image: Tensor) -> Tensor:
    """uint8 [0, 255] to float [-1, 1] (DiWA S.4), in the memory order in which convolutions run fastest."""
    return image.to(dtype=torch.float32, memory_format=torch.channels_last).mul_(1 / 127.5).sub_(1)


class ImageEncoder(nn.Sequential):
    """Four stride-2 convolutions (the Dreamer stack): [N, C, H, W] in [-1, 1] to [N, 8 * depth * H/16 * W/16]."""

    def __init__(self, shape: tuple[int, int, int], depth: int) -> None:
        channels = [shape[0], depth, 2 * depth, 4 * depth, 8 * depth]
        layers: list[nn.Module] = []
        for a, b in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.SiLU()]
        super().__init__(*layers, nn.Flatten())
        self.out_dim = 8 * depth * (shape[1] // 16) * (shape[2] // 16)
        _channels_last(self)


class ImageDecoder(nn.Module):
    """Mirror of `ImageEncoder`: features [N, Z] to images [N, C, H, W], in the normalised range."""

    def __init__(self, in_dim: int, shape: tuple[int, int, int], depth: int) -> None:
        super().__init__()
        self.grid = (8 * depth, shape[1] // 16, shape[2] // 16)
        self.linear = nn.Linear(in_dim, self.grid[0] * self.grid[1] * self.grid[2])
        channels = [8 * depth, 4 * depth, 2 * depth, depth, shape[0]]
        layers: list[nn.Module] = []
        for a, b in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.SiLU(), nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        _channels_last(self)

    def forward(self, features: Tensor) -> Tensor:
        """[N, Z] to [N, C, H, W]."""
        grid = self.linear(features).unflatten(1, self.grid)
        return self.layers(grid.contiguous(memory_format=torch.channels_last))


class ObservationEncoder(nn.Module):
    """Every sensor that the variant reads, encoded apart, concatenated, fused by a fully connected layer (S.2.1)."""

    def __init__(self, config: RSSMConfig, codecs: nn.ModuleDict) -> None:
        super().__init__()
        self.sensors = config.inputs
        self.images = nn.ModuleDict()
        self.vectors = nn.ModuleDict()
        width = 0
        for name in self.sensors:
            if name in config.images:
                encoder = ImageEncoder(config.images[name], config.encoder_depth)
                self.images[name] = encoder
                width += encoder.out_dim
            else:
                self.vectors[name] = mlp(_codec(codecs, name).dim, config.vector_units, 1, config.vector_units)
                width += config.vector_units
        self.fuse = DenseNorm(width, config.embed)

    def forward(self, obs: dict[str, Tensor]) -> Tensor:
        """Images uint8 [N, C, H, W] and vectors in their codec's space [N, e] to embeddings [N, E]."""
        parts = []
        for name in self.sensors:
            if name in self.images:
                parts.append(self.images[name](normalize_image(obs[name])))
            else:
                parts.append(self.vectors[name](obs[name]))
        return self.fuse(torch.cat([p.to(parts[0].dtype) for p in parts], dim=-1))


class ObservationDecoder(nn.Module):
    """One head per decoded sensor; images in the normalised range, vectors in the codec's space."""

    def __init__(self, config: RSSMConfig, codecs: nn.ModuleDict) -> None:
        super().__init__()
        self.heads = nn.ModuleDict()
        for name in config.targets:
            if name in config.images:
                self.heads[name] = ImageDecoder(config.latent_dim, config.images[name], config.decoder_depth)
            else:
                self.heads[name] = mlp(config.latent_dim, config.vector_units, 2, _codec(codecs, name).dim)

    def forward(self, features: Tensor, name: str) -> Tensor:
        """Output of one head, float32: features [N, Z] to [N, C, H, W] or [N, e]."""
        output: Tensor = self.heads[name](features)
        return output.float()


def _channels_last(module: nn.Module) -> None:
    """Moves convolution weights to the memory order in which CPUs and GPUs convolve fastest."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _codec(codecs: nn.ModuleDict, name: str) -> VectorCodec:
    codec = codecs[name]
    assert isinstance(codec, VectorCodec)
    return codec
