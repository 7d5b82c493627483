"""The inverse dynamics model (LAC-WM, section 3.1): what was done between two frames, as a latent action."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.blocks import CrossBlock, SelfBlock
from dreamgym.world_models.families.latent_action.config import LatentActionConfig


class InverseDynamics(nn.Module):
    """M causal attention blocks over both frames' tokens, then N blocks in which a learned query attends to them.

    Causal: tokens of the first frame see their own frame alone, those of the second both.
    """

    causal: Tensor

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        tokens, width = config.encoder.tokens, config.width
        self.embed = nn.Linear(config.encoder.width, width)
        self.place = nn.Parameter(0.02 * torch.randn(2 * tokens, width))
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        sizes = (width, config.heads, config.mlp_ratio)
        self.blocks = nn.ModuleList(SelfBlock(*sizes) for _ in range(config.inverse_blocks))
        self.queries = nn.ModuleList(CrossBlock(*sizes) for _ in range(config.query_blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.latent_dim)
        frame = torch.arange(2).repeat_interleave(tokens)
        self.register_buffer("causal", frame[:, None] >= frame[None, :], persistent=False)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Tokens [R, N, D] of a frame and of the next to latent actions [R, Z] of zero mean and unit variance."""
        x = self.embed(torch.cat([before, after], 1)) + self.place
        for block in self.blocks:
            x = block(x, self.causal)
        query = self.query.expand(len(x), -1, -1)
        for cross in self.queries:
            query = cross(query, x)
        return normalised(self.out(self.norm(query[:, 0])))


def normalised(latent: Tensor) -> Tensor:
    """Latent actions [..., Z], each of zero mean and unit variance: bounded, and yet continuous."""
    return F.layer_norm(latent, latent.shape[-1:])
