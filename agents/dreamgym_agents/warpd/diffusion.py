"""Denoising diffusion over sequences: over latents (WARPD) or over chunks of actions (the baseline)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym_agents.warpd.sizes import DenoisingConfig
from dreamgym_agents.warpd.transformer import DenoisingTransformer
from dreamgym_agents.warpd.unet import ConditionalUnet1D


def build_denoiser(channels: int, length: int, condition: int, config: DenoisingConfig) -> nn.Module:
    """The network of ``config`` for sequences [B, length, channels] and a condition of so many entries."""
    if config.denoiser.kind == "unet":
        return ConditionalUnet1D(channels, condition, config.denoiser)
    return DenoisingTransformer(channels, length, condition, config.denoiser)


def _scheduler(config: DenoisingConfig) -> Any:
    try:
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    except ImportError as error:
        raise ImportError('WARPD\'s diffusion needs diffusers: pip install "dreamgym[agents]"') from error
    return DDPMScheduler(
        num_train_timesteps=config.steps, beta_schedule=config.schedule, clip_sample=True, prediction_type="epsilon"
    )


class Diffusion(nn.Module):
    """A DDPM over sequences x [B, L, C] given a condition [B, N].

    The samples are scaled to [-1, 1] entry by entry, over the range that `fit_range` saw, as Chi et al. do with
    actions: the noisiest steps of a cosine schedule are only well-conditioned where samples are clipped to a range.

    Args:
        channels, length: C and L.
        condition: N.
        config: see there.
    """

    low: Tensor
    high: Tensor

    def __init__(self, channels: int, length: int, condition: int, config: DenoisingConfig) -> None:
        super().__init__()
        self.shape, self.config = (length, channels), config
        self.denoiser = build_denoiser(channels, length, condition, config)
        self.scheduler = _scheduler(config)
        self.register_buffer("low", -torch.ones(length, channels))
        self.register_buffer("high", torch.ones(length, channels))

    @torch.no_grad()
    def fit_range(self, x: Tensor) -> None:
        """Takes the range of every entry from samples x [N, L, C]; an entry that never changes keeps a range of 1."""
        low, high = x.amin(0), x.amax(0)
        flat = high - low < 1e-6
        self.low.copy_(torch.where(flat, low - 0.5, low))
        self.high.copy_(torch.where(flat, high + 0.5, high))

    def loss(self, x: Tensor, condition: Tensor, generator: torch.Generator | None) -> Tensor:
        """The mean squared error of the predicted noise at a random step, scalar; x [B, L, C] in its own units."""
        x = (x - self.low) / (self.high - self.low) * 2 - 1
        noise = torch.randn(x.shape, generator=generator).to(x)
        step = torch.randint(0, self.config.steps, (len(x),), generator=generator).to(x.device)
        return F.mse_loss(self.denoiser(self.scheduler.add_noise(x, noise, step), step, condition), noise)

    @torch.no_grad()
    def sample(self, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draws one sequence for each condition [B, N]: [B, L, C], in the units of what was trained on."""
        where = condition.device if generator is None else generator.device
        x = torch.randn((len(condition), *self.shape), generator=generator, device=where).to(condition)
        self.scheduler.set_timesteps(self.config.inference_steps)
        for step in self.scheduler.timesteps:
            noise = self.denoiser(x, step.to(x.device).expand(len(x)), condition)
            x = self.scheduler.step(noise, step, x, generator=generator).prev_sample
        return (x + 1) / 2 * (self.high - self.low) + self.low
