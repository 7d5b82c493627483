"""The noise schedule and the posterior of denoising (Ho et al. 2020, Equations 6 and 7)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

COSINE = "squaredcos_cap_v2"
MAX_BETA = 0.999


def betas(name: str, steps: int) -> Tensor:
    """Noise variances of steps 1 .. K, float64 [K].

    Args:
        name: "squaredcos_cap_v2" (Nichol and Dhariwal 2021, Equation 17), else a ``beta_schedule`` of diffusers.
        steps: K.

    Raises:
        ImportError: another schedule than the cosine, without diffusers.
    """
    if name != COSINE:
        try:
            from diffusers import DDPMScheduler
        except ImportError as error:
            raise ImportError(f'the schedule {name!r} needs diffusers: pip install "dreamgym[agents]"') from error
        made: Any = DDPMScheduler(num_train_timesteps=steps, beta_schedule=name)
        return torch.as_tensor(made.betas).double()
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=MAX_BETA)


class Posterior:
    """q(a^{k-1} | a^k, a^0) for all k at once: tensors [K], row i belongs to k = i + 1.

    Attributes:
        signal: sqrt(alpha_bar_k).
        noise: sqrt(1 - alpha_bar_k).
        from_clean, from_noisy: the mean is from_clean * a^0 + from_noisy * a^k.
        std: the standard deviation; 0 at k = 1.
    """

    def __init__(self, name: str, steps: int) -> None:
        beta = betas(name, steps)
        bar = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        self.signal, self.noise = bar.sqrt().float(), (1 - bar).sqrt().float()
        self.from_clean = (before.sqrt() * beta / (1 - bar)).float()
        self.from_noisy = ((1 - beta).sqrt() * (1 - before) / (1 - bar)).float()
        self.std = (beta * (1 - before) / (1 - bar)).sqrt().float()
