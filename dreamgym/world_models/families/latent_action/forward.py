"""The forward dynamics model (LAC-WM, section 3.1): the next frame after a latent action."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.blocks import Attention, FeedForward, Temporal, grid_waves
from dreamgym.world_models.families.latent_action.config import LatentActionConfig


class ForwardBlock(nn.Module):
    """Attention within the frame, within the action, from frame to action and to earlier frames; feed-forward."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        sizes = (config.width, config.heads, config.head_dim)
        self.attention, self.action_attention, self.cross_attention = (Attention(*sizes) for _ in range(3))
        self.temporal = Temporal(*sizes, quiet=True) if config.horizon > 1 else None
        self.feed = FeedForward(config.width, config.mlp_ratio)

    def forward(self, x: Tensor, z: Tensor, valid: Tensor, newest: bool = False) -> tuple[Tensor, Tensor]:
        """Frames [B, T, N, width], actions [B * T, K, width], valid bool [B, T]; ``newest``: the last frame alone."""
        shape = x.shape[:2]
        z = self.action_attention(z)
        x = self.cross_attention(self.attention(x.flatten(0, 1)), z).unflatten(0, shape)
        if self.temporal is not None and shape[1] > 1:
            x = self.temporal.over(x, valid, newest)
        return self.feed(x[:, -1:] if newest else x), z


class ForwardDynamics(nn.Module):
    """The change of the frame's tokens is predicted, in units of a frame's usual change (``scale``).

    The paper predicts the embedding itself; predicting its change begins at the copy of the last frame. With eight
    blocks at a width of 512 it has the 93,844,480 parameters of Table 4.
    """

    scale: Tensor
    place: Tensor

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        width = config.width
        self.embed = nn.Linear(config.encoder.token_dim, width)
        self.embed_action = nn.Linear(config.latent_dim // config.action_tokens, width)
        self.action_tokens = config.action_tokens
        self.blocks = nn.ModuleList(ForwardBlock(config) for _ in range(config.forward_blocks))
        self.out = nn.Linear(width, config.encoder.token_dim, bias=False)
        nn.init.zeros_(self.out.weight)
        self.register_buffer("place", grid_waves(config.encoder.grid, width), persistent=False)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, tokens: Tensor, latent: Tensor, valid: Tensor | None = None, newest: bool = False) -> Tensor:
        """The frames that follow.

        Args:
            tokens: [B, T, N, D], frames in order.
            latent: [B, T, Z], what is done at each.
            valid: bool [B, T]: frames that there were; None: all.
            newest: whether the frame after the last one is all that is wanted: the last block then leaves out the rest.

        Returns:
            [B, T, N, D], the frame after each; [B, 1, N, D] of the newest.
        """
        valid = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if valid is None else valid
        x = self.embed(tokens) + self.place
        z = self.embed_action(latent.flatten(0, 1).unflatten(1, (self.action_tokens, -1)))
        for i, block in enumerate(self.blocks):
            x, z = block(x, z, valid, newest and i == len(self.blocks) - 1)
        return tokens[:, -x.shape[1] :] + self.scale * self.out(x)
