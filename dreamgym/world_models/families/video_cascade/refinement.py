"""From low-resolution latents to high-resolution ones by a flow (section 3.3, appendix A)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(latents on the path [B, T, Z, h, w], time [B] in [0, 1]) to their velocity."""


def upsample(latents: Tensor, size: tuple[int, int]) -> Tensor:
    """Latents [B, T, Z, h, w] at another height and width, linearly (equation 2)."""
    grown = F.interpolate(latents.flatten(0, 1), size, mode="bilinear", align_corners=False)
    return grown.unflatten(0, latents.shape[:2])


def degrade(latents: Tensor, strength: Tensor, generator: torch.Generator | None) -> Tensor:
    """Latent degradation (A.3): sqrt(1 - s^2) z + s noise, whose squares add up to 1 (A.4), so the scale stays.

    Args:
        latents: [B, T, Z, h, w], of unit variance.
        strength: s in [0, 1), [B].
        generator: of the noise.
    """
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    share = strength.view(-1, 1, 1, 1, 1)
    return (1 - share.square()).sqrt() * latents + share * noise


def on_path(source: Tensor, target: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """The straight path from ``source`` (time 0) to ``target`` (1) at ``time`` [B], and its velocity (A.5, A.6)."""
    share = time.view(-1, 1, 1, 1, 1)
    return (1 - share) * source + share * target, target - source


def flow_loss(velocity: Velocity, source: Tensor, target: Tensor, generator: torch.Generator | None) -> Tensor:
    """Mean squared error of the velocity at a random time of the path, [B] (equation 4, A.7)."""
    time = torch.rand(len(source), generator=generator, device=source.device)
    here, wanted = on_path(source, target, time)
    return (velocity(here, time) - wanted).square().flatten(1).mean(1)


def euler(velocity: Velocity, source: Tensor, steps: int) -> Tensor:
    """Follows the velocity from time 0 to 1 in ``steps`` equal steps (equation 5, A.9).

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"the refinement takes at least 1 step, got {steps}")
    latents = source
    for i in range(steps):
        time = torch.full((len(source),), i / steps, device=source.device)
        latents = latents + velocity(latents, time) / steps
    return latents
