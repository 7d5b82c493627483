"""The inverse dynamics model (LAC-WM, section 3.1): what was done between two frames, as a latent action."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.blocks import Attention, FeedForward, Temporal, grid_waves
from dreamgym.world_models.families.latent_action.config import LatentActionConfig


class CausalLayer(nn.Module):
    """Attention within each frame, attention of the second frame's tokens to the first's, feed-forward."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        sizes = (config.width, config.heads, config.head_dim)
        self.attention, self.temporal = Attention(*sizes), Temporal(*sizes, quiet=False)
        self.feed = FeedForward(config.width, config.mlp_ratio)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """[R, 2, N, width]; valid: bool [R, 2], all true."""
        shape = x.shape[:2]
        x = self.attention(x.flatten(0, 1)).unflatten(0, shape)
        out: Tensor = self.feed(self.temporal.over(x, valid))
        return out


class QueryLayer(nn.Module):
    """Attention among queries, and from them to the frames."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        sizes = (config.width, config.heads, config.head_dim)
        self.own_attention, self.cross_attention = Attention(*sizes), Attention(*sizes)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """[R, 1, width] by [R, K, width]."""
        out: Tensor = self.cross_attention(self.own_attention(query), context)
        return out


class InverseDynamics(nn.Module):
    """Causal attention layers over both frames, then layers in which a learned query attends to them.

    Causal: the first frame's tokens see nothing of the second. With four layers of each kind at a width of 512 it has
    46,939,840 parameters, 128 fewer than Table 4 states.
    """

    place: Tensor

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        width, layers = config.width, config.inverse_blocks
        self.embed = nn.Linear(config.encoder.token_dim, width, bias=False)
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.layers = nn.ModuleList(CausalLayer(config) for _ in range(layers))
        self.queries = nn.ModuleList(QueryLayer(config) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.latent_dim)
        self.norm_out = nn.LayerNorm(config.latent_dim)
        self.register_buffer("place", grid_waves(config.encoder.grid, width), persistent=False)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Tokens [R, N, D] of a frame and of the next to latent actions [R, Z]."""
        x = self.contextual(before, after)
        query = self.query.expand(len(x), -1, -1)
        for layer in self.queries:
            query = layer(query, x.flatten(1, 2))
        out: Tensor = self.norm_out(self.out(self.norm(query[:, 0])))
        return out

    def contextual(self, before: Tensor, after: Tensor) -> Tensor:
        """What the causal layers make of both frames, [R, 2, N, width]."""
        x = self.embed(torch.stack([before, after], 1)) + self.place
        valid = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        for layer in self.layers:
            x = layer(x, valid)
        return x
