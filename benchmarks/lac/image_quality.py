"""Image quality: PSNR and SSIM of frames in [0, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2
WINDOW, SIGMA = 11, 1.5


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """[R] dB of frames [R, 3, H, W]."""
    return -10 * (a - b).square().flatten(1).mean(1).clamp(min=1e-10).log10()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """[R] structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, sigma 1.5, no padding."""
    axis = torch.arange(WINDOW, dtype=a.dtype) - WINDOW // 2
    line = torch.exp(-axis.square() / (2 * SIGMA**2))
    line = line / line.sum()
    kernel = (line[:, None] * line[None, :]).expand(3, 1, -1, -1)

    def blurred(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, groups=3)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    both = blurred(a * b) - mean_a * mean_b
    same = (2 * mean_a * mean_b + C1) * (2 * both + C2)
    return (same / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))).flatten(1).mean(1)
