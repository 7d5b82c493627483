"""Sampling a clip's latents by denoising (section 3.2): the preview, and at high resolution the monolithic baseline."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from dreamgym.world_models.families.video_cascade.backbone import VideoBackbone
from dreamgym.world_models.families.video_cascade.config import TRAIN_STEPS
from dreamgym.world_models.families.video_cascade.sizes import BackboneSize


class Sampled(NamedTuple):
    """A denoised clip.

    Attributes:
        latents: [B, T, Z, h, w].
        doubt: [B, T], how far the clean latents that were predicted half-way are from those at the end: root mean
            square.
    """

    latents: Tensor
    doubt: Tensor


def scheduler(size: BackboneSize) -> Any:
    """CogVideoX's noise schedule: velocity prediction, zero terminal signal."""
    from diffusers import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler(
        num_train_timesteps=TRAIN_STEPS, prediction_type="v_prediction", beta_schedule="scaled_linear",
        beta_start=0.00085, beta_end=0.012, snr_shift_scale=size.snr_shift, rescale_betas_zero_snr=True,
        timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip


def denoising_loss(
    backbone: VideoBackbone, latents: Tensor, first: Tensor, text: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Mean squared error of the predicted velocity, [B].

    Args:
        backbone: the transformer.
        latents: [B, T, Z, h, w], clean.
        first: [B, 1, Z, h, w].
        text: [B, L, D].
        generator: of noise and diffusion times.
    """
    schedule, batch, device = scheduler(backbone.size), len(latents), latents.device
    noise = torch.randn(latents.shape, generator=generator, device=device)
    time = torch.randint(0, TRAIN_STEPS, (batch,), generator=generator, device=device)
    noised = schedule.add_noise(latents, noise, time)
    target = schedule.get_velocity(latents, noise, time)
    return (backbone(noised, first, text, time) - target).square().flatten(1).mean(1)


def sample(
    backbone: VideoBackbone,
    first: Tensor,
    text: Tensor,
    empty: Tensor,
    frames: int,
    steps: int,
    guidance: float,
    generator: torch.Generator | None,
) -> Sampled:
    """Denoises a clip from noise in ``steps`` DDIM steps.

    Args:
        backbone: the transformer.
        first: [B, 1, Z, h, w], latents of the first frame.
        text: [B, L, D].
        empty: [B, L, D], the embedding of no instruction.
        frames: T.
        steps: network evaluations; twice as many with guidance.
        guidance: weight of the instruction; 1: none.
        generator: of the noise.
    """
    schedule = scheduler(backbone.size)
    schedule.set_timesteps(steps)  # the schedule reads its times: they stay on the host
    shape = (len(first), frames, *first.shape[2:])
    latents = torch.randn(shape, generator=generator, device=first.device)
    middle = clean = latents
    for number, time in enumerate(schedule.timesteps):
        velocity = _guided(backbone, latents, first, text, empty, time.to(first.device), guidance)
        out = schedule.step(velocity, time, latents, return_dict=True)
        latents, clean = out.prev_sample, out.pred_original_sample
        if number == len(schedule.timesteps) // 2:
            middle = clean
    return Sampled(latents, (clean - middle).square().mean((2, 3, 4)).sqrt())


def _guided(
    backbone: VideoBackbone, latents: Tensor, first: Tensor, text: Tensor, empty: Tensor, time: Tensor, guidance: float
) -> Tensor:
    """The velocity, moved away from what the backbone predicts without the instruction."""
    if guidance == 1:
        return backbone(latents, first, text, time.expand(len(latents)))
    both = torch.cat([text, empty])
    told, untold = backbone(
        torch.cat([latents] * 2), torch.cat([first] * 2), both, time.expand(2 * len(latents))
    ).chunk(2)
    return untold + guidance * (told - untold)
