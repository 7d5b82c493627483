"""A robot's own actions as latent actions (LAC-WM, section 3.2): also the explicit action encoder of EAC-WM (4.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.types import ActionSpec
from dreamgym.world_models.families.latent_action.inverse import normalised


class ActionProjector(nn.Module):
    """An MLP of two layers, from a frame's control actions to one latent action.

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
            nn.Linear(actions_per_frame * action.dim, width), nn.GELU(), nn.Linear(width, latent_dim)
        )

    def forward(self, actions: Tensor) -> Tensor:
        """[..., a, A] to [..., Z]."""
        scaled = (actions - self.centre) / self.reach
        return normalised(self.layers(scaled.flatten(-2)))
