"""The transformer of the guided policy: an encoder of everything that is known, a decoder of the noisy chunk."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym_agents.refinement.config import GuidedConfig


class GuidedNetwork(nn.Module):
    """Chunk and noise from a noisy chunk (LaDi-WM, equation 7 and appendix A).

    Tokens of the encoder: the instruction, the diffusion time, each frame of the history and its proprioception, and,
    where there is something imagined, each imagined frame.
    """

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.instruction = nn.Linear(config.instruction_dim, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.features = nn.Linear(config.feature_dim // config.tokens, width)
        body = len(config.proprioception)
        self.body = nn.Linear(body, width) if body else None
        self.moment = nn.Parameter(0.02 * torch.randn(config.history + config.frames, 1, width))
        self.place = nn.Parameter(0.02 * torch.randn(config.tokens, width))
        self.action = nn.Linear(config.action.dim, width)
        self.step = nn.Parameter(0.02 * torch.randn(config.chunk, width))
        sizes: dict[str, Any] = {
            "d_model": width, "nhead": config.heads, "dim_feedforward": 4 * width, "dropout": 0.0, "activation": "gelu",
            "batch_first": True, "norm_first": True,
        }  # fmt: skip
        encoder = nn.TransformerEncoderLayer(**sizes)
        self.encoder = nn.TransformerEncoder(encoder, config.encoder_layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**sizes), config.decoder_layers)
        self.output = nn.Linear(width, 2 * config.action.dim)

    def forward(
        self, noisy: Tensor, n: Tensor, history: Tensor, instruction: Tensor, imagined: Tensor | None, shown: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The clean chunk and the noise.

        Args:
            noisy: [B, T, A].
            n: diffusion time [B].
            history: standardised features [B, l, Z], with proprioception after them where it is read.
            instruction: [B, D].
            imagined: standardised features [B, F, Z], F up to k, or None.
            shown: [B] bool, whether what was imagined is shown to each.
        """
        known = self.config.history
        parts = [self.instruction(instruction).unsqueeze(1), self.time(_waves(n, self.config.width)).unsqueeze(1)]
        features, body = history.split([self.config.feature_dim, len(self.config.proprioception)], -1)
        parts.append(self._frames(features, self.moment[:known]))
        if self.body is not None:
            parts.append(self.body(body) + self.moment[:known, 0])
        hidden: Tensor | None = None
        if imagined is not None:
            parts.append(self._frames(imagined, self.moment[known : known + imagined.shape[1]]))
            hidden = torch.zeros(len(noisy), sum(p.shape[1] for p in parts), dtype=torch.bool, device=noisy.device)
            hidden[:, -parts[-1].shape[1] :] = ~shown.unsqueeze(1)
        memory = self.encoder(torch.cat(parts, 1), src_key_padding_mask=hidden)
        x = self.decoder(self.action(noisy) + self.step, memory, memory_key_padding_mask=hidden)
        clean, noise = self.output(x).chunk(2, -1)
        return clean, noise

    def _frames(self, features: Tensor, moment: Tensor) -> Tensor:
        tokens: Tensor = self.features(features.unflatten(2, (self.config.tokens, -1))) + self.place + moment
        return tokens.flatten(1, 2)


def _waves(n: Tensor, width: int) -> Tensor:
    """Diffusion time [B] in [0, 1] as sines and cosines [B, width]."""
    rates = torch.exp(-math.log(1e4) * torch.arange(width // 2, device=n.device) / (width // 2))
    angles = 1000 * n.unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
