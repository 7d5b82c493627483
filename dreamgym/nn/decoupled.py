"""Decoupled diffusion with analytic attenuation (Huang et al. 2023, as LaDi-WM uses it: section 3.1, equations 3, 4).

A clean value z_0 is attenuated and noise grows, for n in [0, 1]:

    z_n = z_0 + n C + sqrt(n) eta,    C = -z_0,    so    z_n = (1 - n) z_0 + sqrt(n) eta        (equation 3)

sqrt(n) eta is Brownian motion at time n, so that going back by d, given z_n and z_0, is a Brownian bridge:

    mean = z_n + d z_0 - d / sqrt(n) eta,    variance = d (n - d) / n                           (equation 4)

Equation 4's mean is taken as printed, with its "delta t" read as delta n. What determines C is printed as
z_{t+1,n} + int C = 0; it must be z_0 + int C = 0, since only the clean value is to vanish at n = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Prediction = tuple[Tensor, Tensor]
"""A network's z_0 and eta."""


def attenuate(clean: Tensor, n: Tensor, noise: Tensor) -> Tensor:
    """Equation 3: z_n.

    Args:
        clean: z_0, [B, ...].
        n: [B], diffusion time in [0, 1].
        noise: eta, standard normal, as ``clean``.
    """
    n = n.view(-1, *([1] * (clean.dim() - 1)))
    return (1 - n) * clean + n.sqrt() * noise


def posterior(noisy: Tensor, n: float, step: float, clean: Tensor, noise: Tensor) -> tuple[Tensor, float]:
    """Equation 4: mean and variance of z at n - step, given z_n, z_0 and eta.

    Args:
        noisy: z_n.
        n: diffusion time, above 0.
        step: how far back, at most n.
        clean, noise: z_0 and eta, or a network's estimates.
    """
    return noisy + step * clean - step / n**0.5 * noise, step * (n - step) / n


def sample(
    denoise: Callable[[list[Tensor], Tensor], Sequence[Prediction]],
    noises: Sequence[Tensor],
    steps: int,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """Runs the reverse chain from pure noise at n = 1 to n = 0 in equal steps, for several values jointly.

    Args:
        denoise: (every z_n, n [B]) -> z_0 and eta of each.
        noises: where each starts, standard normal [B, ...].
        steps: at least 1.
        generator: source of the noise of the steps between.

    Returns:
        z_0 of each.
    """
    values, width = list(noises), 1 / steps
    for i in range(steps):
        n = 1 - i * width
        guesses = denoise(values, values[0].new_full((len(values[0]),), n))
        last = i == steps - 1
        for s, (clean, noise) in enumerate(guesses):
            mean, variance = posterior(values[s], n, n if last else width, clean, noise)
            if not last:
                mean = mean + variance**0.5 * torch.randn(
                    mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
                )
            values[s] = mean
    return values
