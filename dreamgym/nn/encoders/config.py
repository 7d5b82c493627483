"""What must be known of an encoder to build it: its kind, where its weights are, and how images are prepared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

KINDS = ("dinov2", "siglip", "pixels")
"""Geometric features (DINOv2), semantic ones (SigLIP's vision tower), and the image's own patches (no encoder)."""

NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "siglip": ((0.5,) * 3, (0.5,) * 3),
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
        if min(self.std) <= 0:
            raise ValueError(f"std of an encoder must be positive, got {self.std}")
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
    def width(self) -> int:
        """Numbers a token."""
        return 3 * self.patch**2 if self.kind == "pixels" else int(self.architecture["hidden_size"])

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of weights and preprocessing together: what names a feature cache."""
        told = [self.sha256, self.kind, self.image_size, self.grid, self.mean, self.std]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def encoder_config(
    kind: str, source: str = "", image_size: int | None = None, grid: int | None = None, kept: bool = True
) -> EncoderConfig:
    """The config of an encoder whose weights are at ``source``, read with transformers.

    Args:
        kind: see `KINDS`; ``source`` of kind "siglip" may hold a whole SigLIP model or its vision tower alone.
        source: a folder, or a name on the Hugging Face Hub.
        image_size: by default what the weights were trained at.
        grid: tokens a side; by default one token a patch (pixels: 4).
        kept: see `EncoderConfig`.

    Raises:
        ValueError: the source is of another kind, or cannot be read.
    """
    if kind == "pixels" or kind not in KINDS:
        return EncoderConfig(kind, image_size=image_size or 64, grid=grid or 4)
    from dreamgym.nn.encoders.vision import VisionEncoder  # which is made from a config

    fields = _architecture(kind, source)
    size = image_size or int(fields["image_size"])
    mean, std = _normalisation(source)
    patches = size // int(fields["patch_size"])
    config = EncoderConfig(kind, source, fields, size, grid or patches, mean, std, kept=kept)
    return replace(config, sha256=VisionEncoder(config).sha256)


def _architecture(kind: str, source: str) -> dict[str, Any]:
    from dreamgym.nn.encoders.vision import transformers

    module = transformers()
    cls = module.Dinov2Config if kind == "dinov2" else module.SiglipVisionConfig
    try:
        stated, _ = module.PretrainedConfig.get_config_dict(source)
        found = stated.get("model_type")
        if found not in ((kind,) if kind == "dinov2" else ("siglip", "siglip_vision_model")):
            raise ValueError(f"{source!r} holds a model of type {found!r}, expected {kind!r}: give its own kind")
        config = cls.from_pretrained(source)
    except OSError as error:
        raise ValueError(
            f"no {kind} weights at {source!r} ({str(error).splitlines()[0]}): give a folder that save_pretrained "
            "wrote, or a name on the Hugging Face Hub"
        ) from error
    changed: dict[str, Any] = config.to_diff_dict()
    shape = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", "image_size")
    known: dict[str, Any] = json.loads(json.dumps({**changed, **{name: getattr(config, name) for name in shape}}))
    return {k: v for k, v in sorted(known.items()) if k not in ("transformers_version", "architectures", "dtype")}


def _normalisation(source: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std that the weights' preprocessor states; empty where there is none."""
    stated: Mapping[str, Any] = {}
    file = Path(source) / "preprocessor_config.json"
    if Path(source).is_dir():
        stated = json.loads(file.read_text()) if file.exists() else {}
    else:
        from transformers.image_processing_base import ImageProcessingMixin

        try:
            stated, _ = ImageProcessingMixin.get_image_processor_dict(source)
        except OSError:  # weights without a preprocessor: the kind's own
            stated = {}
    return tuple(stated.get("image_mean") or ()), tuple(stated.get("image_std") or ())
