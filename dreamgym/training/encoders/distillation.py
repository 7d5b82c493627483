"""DINOv2's self-distillation at a small size: a student that sees crops and masks learns to say what its own moving
average says of the whole (Oquab et al. 2024: DINO's loss on images, iBOT's on patches, centred by Sinkhorn-Knopp).
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


@dataclass(frozen=True)
class DistillationConfig:
    """Configures a small DINOv2 and its self-distillation.

    Attributes:
        image_size, patch: of the frames and their patches, pixels.
        width, layers, heads: of the transformer.
        local_size: height and width of the small crops.
        local_crops: small crops an image, beside two large ones.
        global_scale, local_scale: ranges of a crop's share of the image's area.
        prototypes: classes that student and teacher agree on.
        masked: share of the large crops of which a block of patches is hidden from the student.
        momentum: of the teacher, an average of the student.
        student_temperature, teacher_temperature: of the softmax over prototypes.
        spread: weight of KoLeo, which keeps the images of a batch apart.
    """

    image_size: int = 64
    patch: int = 8
    width: int = 128
    layers: int = 4
    heads: int = 4
    local_size: int = 32
    local_crops: int = 2
    global_scale: tuple[float, float] = (0.5, 1.0)
    local_scale: tuple[float, float] = (0.1, 0.4)
    prototypes: int = 512
    masked: float = 0.75
    momentum: float = 0.994
    student_temperature: float = 0.1
    teacher_temperature: float = 0.05
    spread: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(self)


class SelfDistillation(nn.Module):
    """Student and teacher; what is kept in the end is the teacher's transformer."""

    def __init__(self, config: DistillationConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DistillationConfig()
        self.student = _Network(config)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy between what teacher and student say; the teacher first follows the student by one step.

        Args:
            batch: "images" uint8 [B, cameras, 3, H, W]; every camera's image is one of its own.
            generator: source of crops and masks.
        """
        config = self.config
        if self.training:
            self._follow()
        images = batch["images"].flatten(0, 1).float() / 255
        mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in NORMALISATION["dinov2"])
        large = [crops(images, config.image_size, config.global_scale, generator) for _ in range(2)]
        small = [crops(images, config.local_size, config.local_scale, generator) for _ in range(config.local_crops)]
        whole = (torch.cat(large) - mean) / std
        mask = _blocks(len(whole), config.image_size // config.patch, config.masked, generator)

        with torch.no_grad():
            said, said_of_patches, _ = self.teacher(whole, None, mask)
            targets = _sinkhorn(said / config.teacher_temperature)
            patch_targets = _sinkhorn(said_of_patches / config.teacher_temperature)
        told, told_of_patches, summary = self.student(whole, mask, mask)
        parts = [(torch.cat(small) - mean) / std] if small else []
        local = [self.student(part, None, None)[0] for part in parts]
        image_loss = self._across(targets, told, local, len(images))
        patch_loss = self._cross_entropy(patch_targets, told_of_patches)
        spread = _koleo(summary[: len(images)])
        return {
            "loss": image_loss + patch_loss + config.spread * spread,
            "image": image_loss.detach(),
            "patch": patch_loss.detach(),
            "spread": spread.detach(),
            "classes": (targets.mean(0) + 1e-9).log().mul(-targets.mean(0)).sum().exp(),
        }

    def _across(self, targets: Tensor, told: Tensor, local: list[Tensor], count: int) -> Tensor:
        """Each large crop's target against every other crop of the same image."""
        first, second = targets[:count], targets[count:]
        terms = [self._cross_entropy(first, told[count:]), self._cross_entropy(second, told[:count])]
        for said in local:
            terms += [self._cross_entropy(t, part) for part in said.split(count) for t in (first, second)]
        return torch.stack(terms).mean()

    def _cross_entropy(self, target: Tensor, said: Tensor) -> Tensor:
        return -(target * F.log_softmax(said.float() / self.config.student_temperature, -1)).sum(-1).mean()

    @torch.no_grad()
    def _follow(self) -> None:
        ours: list[Tensor] = list(self.teacher.parameters())
        theirs: list[Tensor] = list(self.student.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - self.config.momentum)

    def save(self, folder: str | Path) -> None:
        """Writes the teacher's transformer as transformers' `Dinov2Model.from_pretrained` reads it."""
        self.teacher.vit.save_pretrained(folder)


class _Network(nn.Module):
    """A DINOv2 and two heads onto prototypes: of the image, and of patches."""

    def __init__(self, config: DistillationConfig) -> None:
        super().__init__()
        module = transformers()
        self.vit: Any = module.Dinov2Model(
            module.Dinov2Config(
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                image_size=config.image_size,
                patch_size=config.patch,
                layerscale_value=1.0,
            )
        )
        self.image_head, self.patch_head = (_Head(config.width, config.prototypes) for _ in range(2))

    def forward(self, images: Tensor, hidden: Tensor | None, wanted: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of prototypes [N, K] of the images, [M, K] of the ``wanted`` patches, and the images' summaries."""
        out = self.vit(pixel_values=images, bool_masked_pos=hidden).last_hidden_state
        patches = out[:, 1:][wanted] if wanted is not None else out[:0, 0]
        return self.image_head(out[:, 0]), self.patch_head(patches), out[:, 0]


class _Head(nn.Module):
    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, 64)
        )
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, 64), dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.layers(x), dim=-1) @ F.normalize(self.prototypes, dim=-1).T


def _blocks(count: int, side: int, share: float, generator: torch.Generator) -> Tensor:
    """Bool [N, side * side]: one block of patches hidden in a ``share`` of the images, at random places."""

    def whole(low: int, high: Tensor | int) -> Tensor:
        span = torch.as_tensor(high).expand(count) - low
        return low + (torch.rand(count, generator=generator) * span).long()

    height, width = whole(side // 4, side * 3 // 4 + 1), whole(side // 4, side * 3 // 4 + 1)
    top, left = whole(0, side - height + 1), whole(0, side - width + 1)
    row, column = torch.arange(side).view(1, -1, 1), torch.arange(side).view(1, 1, -1)
    top, left, height, width = (v.view(-1, 1, 1) for v in (top, left, height, width))
    block = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    shown = torch.rand(count, generator=generator) >= share
    return block.flatten(1) & ~shown.view(-1, 1)


@torch.no_grad()
def _sinkhorn(scores: Tensor, rounds: int = 3) -> Tensor:
    """Assignments [N, K] whose prototypes are used alike; rows sum to 1."""
    shares = (scores.float() - scores.max()).exp()
    for _ in range(rounds):
        shares = shares / shares.sum(0).clamp(min=1e-12)
        shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-12)
    return shares


def _koleo(summary: Tensor) -> Tensor:
    """Minus the mean log distance to the nearest neighbour on the sphere."""
    x = F.normalize(summary.float(), dim=-1)
    nearest = (x @ x.T).fill_diagonal_(-1).argmax(1)
    return -(F.pairwise_distance(x, x[nearest]) + 1e-6).log().mean()
