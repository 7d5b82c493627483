"""How much of its outline the T covers, from its state: the dense reward of gym-pusht, on tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dreamgym.suites.pusht.contacts import GOAL

BAR, STEM = ((-60.0, 0.0), (60.0, 30.0)), ((-15.0, 30.0), (15.0, 120.0))
"""The two rectangles of the T in its own frame: lowest and highest corner, pixels."""
SPACING = 3.0
"""Pixels between the points by which the area is counted."""


class CoverageShaping:
    """Pays the share of the outline that the block covers, 0 to 1, counted on points 3 pixels apart.

    gym-pusht's own reward is this share over that of a success, at most 1.

    Args:
        tasks: of the suite; it has one.
        device: of the tensors.
    """

    keys: tuple[str, ...] = ("state",)

    def __init__(self, tasks: Sequence[str], device: torch.device | str) -> None:
        self.points = torch.cat([_points(*BAR), _points(*STEM)]).to(device)  # [N, 2], in the block's frame
        self.goal = torch.tensor(GOAL, device=device)
        self.parts = torch.tensor([BAR, STEM], device=device)  # [2, lowest and highest, 2]

    def reward(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """See `Shaping.reward`."""
        state = now["state"]
        angle = torch.atan2(state[:, 5], state[:, 4])  # a decoded cosine and sine are not quite on the circle
        placed = _turned(self.points, angle) + state[:, None, 2:4]
        own = _turned(placed - self.goal[:2], -self.goal[2:])  # in the outline's frame
        inside = torch.stack([_inside(own, *part) for part in self.parts])
        return inside.sum(0).clamp(max=1).mean(1)


def _points(low: tuple[float, float], high: tuple[float, float]) -> Tensor:
    """[N, 2]: middles of the cells of a rectangle."""
    sides = [torch.arange(a + SPACING / 2, b, SPACING) for a, b in zip(low, high, strict=True)]
    return torch.cartesian_prod(*sides)


def _turned(points: Tensor, angle: Tensor) -> Tensor:
    """Points [N, 2] or [B, N, 2] turned by angles [B] (or one, [1]), [B, N, 2]."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = points[..., 0], points[..., 1]
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _inside(points: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[B, N] in [0, 1]: the share of the cell around each point that lies in a rectangle (exact where unturned)."""
    depth = torch.minimum(points - low, high - points)
    return (depth / SPACING + 0.5).clamp(0, 1).prod(-1)
