"""Cross-augmentation (LAC-WM, section 3.1): two independent views of the same frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BRIGHTNESS, CONTRAST, TINT = 0.15, 0.2, 0.1


def augmented(frames: Tensor, shift: int, generator: torch.Generator | None) -> Tensor:
    """Frames of one window, all changed alike: shifted, lit and tinted at random.

    Args:
        frames: [B, T, 3, H, W] in [0, 1].
        shift: pixels at most, each way; 0 changes nothing at all.
        generator: of the draws.
    """
    if shift == 0:
        return frames
    batch, steps, _, height, width = frames.shape
    padded = F.pad(frames.flatten(0, 1), (shift,) * 4, mode="replicate").unflatten(0, (batch, steps))
    corner = torch.randint(0, 2 * shift + 1, (batch, 2), generator=generator, device=frames.device).tolist()
    moved = torch.stack([padded[i, :, :, y : y + height, x : x + width] for i, (y, x) in enumerate(corner)])
    draws = torch.rand((batch, 5), generator=generator, device=frames.device) * 2 - 1
    light, contrast = BRIGHTNESS * draws[:, 0], 1 + CONTRAST * draws[:, 1]
    tint = 1 + TINT * draws[:, 2:].view(batch, 1, 3, 1, 1)
    mean = moved.mean((1, 2, 3, 4), keepdim=True)
    lit = (moved - mean) * contrast.view(-1, 1, 1, 1, 1) + mean + light.view(-1, 1, 1, 1, 1)
    return (lit * tint).clamp(0, 1)
