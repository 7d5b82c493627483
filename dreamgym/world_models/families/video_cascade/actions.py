"""Actions as the embeddings that the transformers attend to: a token a latent frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig


class ActionEncoder(nn.Module):
    """Actions [B, F - 1, a, A] of a clip to embeddings [B, T, D], one for each of its latent frames.

    A token holds the actions that lead through the frames of its latent, scaled by the robot's bounds; the first
    latent, to which none led, has its position alone, and so has every frame of a clip whose actions are not told.
    """

    middle: Tensor
    reach: Tensor

    def __init__(self, config: VideoCascadeConfig) -> None:
        super().__init__()
        low, high = torch.tensor(config.control.low), torch.tensor(config.control.high)
        self.register_buffer("middle", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)
        width, self.stride = config.text.width, config.autoencoder.stride
        entries = self.stride * config.actions_per_frame * config.control.dim
        self.network = nn.Sequential(nn.Linear(entries, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.position = nn.Parameter(0.02 * torch.randn(config.latent_frames, width))

    def forward(self, actions: Tensor, told: Tensor | None = None) -> Tensor:
        """Embeddings [B, T, D] of actions [B, F - 1, a, A]; where ``told`` [B] is false, of none."""
        scaled = (actions - self.middle) / self.reach
        moved = self.network(scaled.unflatten(1, (-1, self.stride)).flatten(2))
        if told is not None:
            moved = torch.where(told[:, None, None], moved, 0.0)
        return self.position + nn.functional.pad(moved, (0, 0, 1, 0))

    def pair(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, T, D] of actions, and of none."""
        return self(actions), self.position.expand(len(actions), -1, -1)
