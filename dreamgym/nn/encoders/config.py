"""What must be known of an encoder to build it: its kind, where its weights are, and how images are prepared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

KINDS = ("dinov2", "siglip", "vjepa2", "pixels")
"""Geometric features (DINOv2), semantic ones (SigLIP's vision tower), those of a video model that is shown a still
image (V-JEPA 2), and the image's own patches (no encoder)."""

NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "siglip": ((0.5,) * 3, (0.5,) * 3),
    "vjepa2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "pixels": ((0.5,) * 3, (0.5,) * 3),
}
"""Mean and standard deviation of images by kind, where the weights' own preprocessor says nothing."""


@dataclass(frozen=True)
class EncoderConfig:
    """Configures a `VisionEncoder`.

    Attributes:
        kind: see `KINDS`.
        source: name on the Hugging Face Hub or folder of the weights; empty for pixels.
        architecture: the fields of the transformers config that the weights are for.
        image_size: height and width that images are resized to, a multiple of the patch size.
        grid: the patches of an image, or their averages, are given as grid x grid tokens.
        mean, std: of images in [0, 1], by colour.
        sha256: of the weights; empty: not known yet.
        kept: whether the weights are kept in the checkpoints of the model that uses them. Small encoders of one's own
            are; for weights that anyone can fetch, the name and sha256 are kept instead.
    """

    kind: str
    source: str = ""
    architecture: dict[str, Any] = field(default_factory=dict)
    image_size: int = 64
    grid: int = 4
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    sha256: str = ""
    kept: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind of an encoder: expected one of {KINDS}, got {self.kind!r}")
        for name, default in zip(("mean", "std"), NORMALISATION[self.kind], strict=True):
            value = tuple(float(v) for v in getattr(self, name) or default)
            if len(value) != 3:
                raise ValueError(f"{name} of an encoder: expected three numbers, one a colour, got {value}")
            object.__setattr__(self, name, value)
        if not (all(0 <= m <= 1 for m in self.mean) and all(0 < s <= 1 for s in self.std)):
            raise ValueError(
                "mean and std of an encoder are of images in [0, 1]: std above 0, neither above 1; got "
                f"{self.mean} and {self.std}"
            )
        if self.kind != "pixels" and "hidden_size" not in self.architecture:
            raise ValueError(
                f"an encoder of kind {self.kind!r} needs the architecture of its weights: use "
                "dreamgym.nn.encoders.encoder_config(kind, source), which reads it"
            )
        if self.image_size % self.patch or (self.image_size // self.patch) % self.grid:
            raise ValueError(
                f"image_size={self.image_size}, patch {self.patch}, grid={self.grid}: the image must be a whole number "
                "of patches, and these a multiple of the grid, a side"
            )

    @property
    def patch(self) -> int:
        """Height and width of a patch, pixels."""
        if self.kind == "pixels":
            return self.image_size // self.grid
        return int(self.architecture["patch_size"])

    @property
    def tokens(self) -> int:
        """Tokens an image."""
        return self.grid**2

    @property
    def token_dim(self) -> int:
        """Numbers a token."""
        return 3 * self.patch**2 if self.kind == "pixels" else int(self.architecture["hidden_size"])

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of weights and preprocessing together: what names a feature cache."""
        told = [self.sha256, self.kind, self.image_size, self.grid, self.mean, self.std]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
