"""Diffusion over the latents of a trained VAE (stage 2 of Fig. 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.diffusion import Diffusion

RANGE_EPOCHS = 4

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class LatentDiffusion(nn.Module):
    """A `Diffusion` over z [B, D], laid out as a sequence of ``config.diffusion.latent_channels`` channels."""

    def __init__(self, config: WARPDConfig, condition: int) -> None:
        super().__init__()
        channels = config.diffusion.latent_channels
        self.latent = config.vae.latent
        self.diffusion = Diffusion(channels, self.latent // channels, condition, config.diffusion)

    def loss(self, z: Tensor, condition: Tensor, generator: torch.Generator | None) -> Tensor:
        """See `Diffusion.loss`; z [B, D]."""
        return self.diffusion.loss(self._sequence(z), condition, generator)

    def sample(self, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One latent for each condition: [B, D]."""
        return self.diffusion.sample(condition, generator).flatten(1)

    def fit_range(self, z: Tensor) -> None:
        """See `Diffusion.fit_range`; z [N, D]."""
        self.diffusion.fit_range(self._sequence(z))

    def _sequence(self, z: Tensor) -> Tensor:
        return z.unflatten(1, self.diffusion.shape)


def draw(mean: Tensor, log_std: Tensor, generator: torch.Generator | None) -> Tensor:
    """A sample of the encoder's normal distribution."""
    return mean + log_std.exp() * torch.randn(mean.shape, generator=generator).to(mean)


@torch.no_grad()
def fit_latent_range(
    diffusion: LatentDiffusion, encode: Encode, demonstrations: Demonstrations, config: WARPDConfig,
    generator: torch.Generator,
) -> None:  # fmt: skip
    """Takes the range of the latents over a few epochs of snippets, as the encoder draws them.

    Args:
        diffusion: whose range is set.
        encode: snippets to mean and log standard deviation of z.
        demonstrations, config: what is encoded, and the length of a snippet.
        generator: of snippets and draws.
    """
    seen = [
        draw(*encode(batch["obs"], batch["action"]), generator)
        for _ in range(RANGE_EPOCHS)
        for batch in demonstrations.epoch(config.length, config.train.batch_size, generator)
    ]
    diffusion.fit_range(torch.cat(seen))
