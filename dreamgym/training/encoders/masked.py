"""V-JEPA 2's masked latent prediction at a small size: from the patches that are seen, what a moving average of the
encoder says of those that are hidden (Assran et al. 2025). Shown still images, as `VisionEncoder` shows them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.fields import check_numbers
from dreamgym.nn.encoders.config import NORMALISATION
from dreamgym.nn.encoders.vision import transformers
from dreamgym.training.encoders.frames import crops

TUBELET = 2
"""Frames of a token; an image is shown so often."""


@dataclass(frozen=True)
class MaskedPredictionConfig:
    """Configures a small V-JEPA 2 and its masked latent prediction.

    Attributes:
        image_size, patch: of the frames and their patches, pixels.
        width, layers, heads: of the encoder; the predictor has half the width.
        predictor_layers: of the predictor.
        scale: range of a crop's share of the image's area.
        least_hidden, most_hidden: range of the hidden block's height and width, as a share of the image's.
        momentum: of the teacher, an average of the encoder.
    """

    image_size: int = 64
    patch: int = 8
    width: int = 128
    layers: int = 4
    heads: int = 4
    predictor_layers: int = 2
    scale: tuple[float, float] = (0.5, 1.0)
    least_hidden: float = 0.5
    most_hidden: float = 0.9
    momentum: float = 0.994

    def __post_init__(self) -> None:
        check_numbers(self)
        if not 0 < self.least_hidden <= self.most_hidden <= 1:
            raise ValueError(
                f"0 < least_hidden <= most_hidden <= 1 of an image's side, got {self.least_hidden} and "
                f"{self.most_hidden}"
            )
        if self.image_size // self.patch < 2:
            raise ValueError(
                f"an image of {self.image_size} pixels has one patch of {self.patch}: nothing is left to see where it "
                "is hidden; take a smaller patch"
            )


class MaskedPrediction(nn.Module):
    """Encoder with predictor, and the teacher; what is kept in the end is the teacher's encoder."""

    def __init__(self, config: MaskedPredictionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MaskedPredictionConfig()
        module = transformers()
        settings = module.VJEPA2Config(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            patch_size=config.patch,
            crop_size=config.image_size,
            frames_per_clip=TUBELET,
            tubelet_size=TUBELET,
            pred_hidden_size=config.width // 2,
            pred_num_hidden_layers=config.predictor_layers,
            pred_num_attention_heads=config.heads,
        )
        self.student: Any = module.VJEPA2Model(settings)
        self.teacher: Any = copy.deepcopy(self.student.encoder).requires_grad_(False)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Mean absolute error of the hidden patches' features; the teacher first follows the encoder by one step.

        Args:
            batch: "images" uint8 [B, cameras, 3, H, W]; every camera's image is one of its own.
            generator: source of crops and of what is hidden.
        """
        config = self.config
        if self.training:
            self._follow()
        images = batch["images"].flatten(0, 1).float() / 255
        mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in NORMALISATION["vjepa2"])
        shown = (crops(images, config.image_size, config.scale, generator) - mean) / std
        clip = shown.unsqueeze(1).expand(-1, TUBELET, -1, -1, -1)
        seen, hidden = self.split(len(images), generator)
        with torch.no_grad():
            whole = self.teacher(pixel_values_videos=clip).last_hidden_state
            targets = F.layer_norm(_taken(whole, hidden), (config.width,))
        predicted = self.predicted(clip, seen, hidden)
        loss = (predicted - targets).abs().mean()
        # Without features that tell images apart there would be nothing to predict: this falls to 0 on a collapse.
        return {"loss": loss, "spread": targets.std(0).mean()}

    def predicted(self, clip: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
        """Features [B, K, width] of the patches ``hidden`` [B, K], from those ``seen`` alone."""
        encoder = self.student.encoder
        # transformers' own forward lets every patch be seen by the encoder, and masks what comes out of it.
        every = encoder.embeddings(clip)
        x = _taken(every, seen)
        for layer in encoder.layer:
            x = layer(x, seen)[0]
        x = encoder.layernorm(x)
        places = torch.zeros_like(every).scatter(1, seen.unsqueeze(-1).expand_as(x), x.to(every.dtype))
        told = self.student.predictor(encoder_hidden_states=places, context_mask=[seen], target_mask=[hidden])
        predicted: Tensor = told.last_hidden_state
        return predicted

    def split(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places seen [N, S] and hidden [N, K]: a block of one size in all images, at random places."""
        config, side = self.config, self.config.image_size // self.config.patch
        low, high = (max(1, round(share * side)) for share in (config.least_hidden, config.most_hidden))
        height, width = (int(n) for n in torch.randint(low, high + 1, (2,), generator=generator))
        if height * width == side * side:
            height -= 1
        top = torch.randint(0, side - height + 1, (count, 1, 1), generator=generator)
        left = torch.randint(0, side - width + 1, (count, 1, 1), generator=generator)
        row, column = torch.arange(side).view(1, -1, 1), torch.arange(side).view(1, 1, -1)
        block = ((row >= top) & (row < top + height) & (column >= left) & (column < left + width)).flatten(1)
        order = block.int().argsort(dim=1, stable=True)
        cut = side * side - height * width
        device = next(self.parameters()).device
        return order[:, :cut].to(device), order[:, cut:].to(device)

    @torch.no_grad()
    def _follow(self) -> None:
        ours: list[Tensor] = list(self.teacher.parameters())
        theirs: list[Tensor] = list(self.student.encoder.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - self.config.momentum)

    def save(self, folder: str | Path) -> None:
        """Writes the teacher's encoder with the predictor, as transformers' `VJEPA2Model.from_pretrained` reads it."""
        whole = copy.deepcopy(self.student)
        whole.encoder.load_state_dict(self.teacher.state_dict())
        whole.save_pretrained(folder)


def _taken(tokens: Tensor, places: Tensor) -> Tensor:
    """[B, K, D] of tokens [B, N, D] at places [B, K]."""
    return tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
