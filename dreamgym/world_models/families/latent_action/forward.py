"""The forward dynamics model (LAC-WM, section 3.1): the next frame after a latent action."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.blocks import Attention, CrossBlock, SelfBlock
from dreamgym.world_models.families.latent_action.config import LatentActionConfig


class Temporal(nn.Module):
    """Attention of each token to the same place in earlier frames; adds nothing before it is trained."""

    def __init__(self, width: int, heads: int, horizon: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.when = nn.Parameter(0.02 * torch.randn(horizon, width))
        self.attention = Attention(width, heads)
        self.gate = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Tokens [B, T, N, width], T at most the horizon; valid bool [B, T]: frames that there were."""
        batch, steps, tokens, _ = x.shape
        # Places in time count from the newest frame: a short window means the same as the end of a long one.
        rows = (self.norm(x) + self.when[-steps:, None]).transpose(1, 2).flatten(0, 1)
        causal = torch.ones(steps, steps, dtype=torch.bool, device=x.device).tril()
        own = torch.eye(steps, dtype=torch.bool, device=x.device)  # frames that there were not see themselves
        mask = (causal & valid[:, None, :]) | own
        mask = mask.repeat_interleave(tokens, 0).unsqueeze(1)
        seen = self.attention(rows, mask=mask).unflatten(0, (batch, tokens)).transpose(1, 2)
        return x + self.gate * seen


class ForwardBlock(nn.Module):
    """Self-attention on the frame, self-attention on the action, cross-attention from frame to action."""

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        sizes = (config.width, config.heads, config.mlp_ratio)
        self.frame, self.action = SelfBlock(*sizes), SelfBlock(*sizes)
        self.cross = CrossBlock(*sizes)
        self.temporal = Temporal(config.width, config.heads, config.horizon) if config.horizon > 1 else None

    def forward(self, x: Tensor, z: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, T, N, width] and actions [B * T, K, width]; valid bool [B, T]."""
        shape = x.shape[:2]
        flat = self.frame(x.flatten(0, 1))
        z = self.action(z)
        x = self.cross(flat, z).unflatten(0, shape)
        return (x if self.temporal is None or shape[1] == 1 else self.temporal(x, valid)), z


class ForwardDynamics(nn.Module):
    """L blocks; the change of the frame's tokens is predicted, in units of a frame's usual change (``scale``).

    The paper predicts the embedding itself; predicting its change begins at the copy of the last frame.
    """

    scale: Tensor

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        width, self.action_tokens = config.width, config.action_tokens
        self.embed = nn.Linear(config.encoder.width, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.encoder.tokens, width))
        self.embed_action = nn.Linear(config.latent_dim, config.action_tokens * width)
        self.blocks = nn.ModuleList(ForwardBlock(config) for _ in range(config.forward_blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.encoder.width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, tokens: Tensor, latent: Tensor, valid: Tensor | None = None) -> Tensor:
        """The frames that follow.

        Args:
            tokens: [B, T, N, D], frames in order.
            latent: [B, T, Z], what is done at each.
            valid: bool [B, T]: frames that there were; None: all.

        Returns:
            [B, T, N, D], the frame after each.
        """
        valid = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if valid is None else valid
        x = self.embed(tokens) + self.place
        z = self.embed_action(latent).flatten(0, 1).unflatten(1, (self.action_tokens, -1))
        for block in self.blocks:
            x, z = block(x, z, valid)
        return tokens + self.scale * self.out(self.norm(x))
