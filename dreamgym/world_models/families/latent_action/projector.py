"""A robot's own actions as latent actions (LAC-WM, section 3.2): also the explicit action encoder of EAC-WM (4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.types import ActionSpec


class ActionProjector(nn.Module):
    """An MLP of two layers, from a frame's control actions to one latent action, layer norms behind both.

    With 5 x 138 numbers (both hands of EgoDex) and 2,048 hidden ones it has the 1,550,528 parameters of Table 4.

    Args:
        action: of the robot; its bounds scale the entries to [-1, 1].
        actions_per_frame: a.
        width: hidden.
        latent_dim: Z.
    """

    centre: Tensor
    reach: Tensor

    def __init__(self, action: ActionSpec, actions_per_frame: int, width: int, latent_dim: int) -> None:
        super().__init__()
        low, high = torch.tensor(action.low), torch.tensor(action.high)
        self.register_buffer("centre", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(actions_per_frame * action.dim, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, latent_dim),
            nn.LayerNorm(latent_dim),
        )

    def forward(self, actions: Tensor) -> Tensor:
        """[..., a, A] to [..., Z]."""
        scaled = (actions - self.centre) / self.reach
        latent: Tensor = self.layers(scaled.flatten(-2))
        return latent
