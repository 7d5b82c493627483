"""A transformer as the denoiser (Table 7, ablation A.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym_agents.warpd.sizes import DenoiserConfig
from dreamgym_agents.warpd.unet import StepEmbedding


class DenoisingTransformer(nn.Module):
    """Predicts the noise in a sequence: its steps attend to each other and to two tokens, the diffusion step and the
    condition.

    Table 7 states widths, layers and heads only. The rest is the plain pre-norm encoder: learned positions, GELU,
    feed-forward of four widths, no dropout.

    Args:
        channels: of the sequence.
        length: of the sequence.
        condition: entries of the condition.
        config: of kind "transformer".
    """

    def __init__(self, channels: int, length: int, condition: int, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.channels[0]
        self.embed = StepEmbedding(config.step_embed)
        self.step = nn.Linear(config.step_embed, width)
        self.condition = nn.Linear(condition, width)
        self.tokens = nn.Linear(channels, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length + 2, width))
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, channels))

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Sequences x [B, L, C], step [B], condition [B, N] to the noise [B, L, C]."""
        context = torch.stack([self.step(self.embed(step)), self.condition(condition)], 1)
        h = torch.cat([context, self.tokens(x)], 1) + self.positions
        out: Tensor = self.out(self.layers(h)[:, 2:])
        return out
