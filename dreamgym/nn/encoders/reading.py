"""The config of an encoder, read from its weights' folder with transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreamgym.nn.encoders.config import KINDS, EncoderConfig
from dreamgym.nn.encoders.vision import VisionEncoder, transformers

CONFIGS = {"dinov2": "Dinov2Config", "siglip": "SiglipVisionConfig", "vjepa2": "VJEPA2Config"}
SIZE = {"dinov2": "image_size", "siglip": "image_size", "vjepa2": "crop_size"}
"""By kind: transformers' config, and its field that tells the image size."""


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
    fields = _architecture(kind, source)
    size = image_size or int(fields[SIZE[kind]])
    mean, std = _normalisation(source)
    patches = size // int(fields["patch_size"])
    config = EncoderConfig(kind, source, fields, size, grid or patches, mean, std, kept=kept)
    return replace(config, sha256=VisionEncoder(config).sha256)


def _architecture(kind: str, source: str) -> dict[str, Any]:
    module = transformers()
    cls = getattr(module, CONFIGS[kind])
    try:
        stated, _ = module.PretrainedConfig.get_config_dict(source)
        found = stated.get("model_type")
        if found not in (("siglip", "siglip_vision_model") if kind == "siglip" else (kind,)):
            raise ValueError(f"{source!r} holds a model of type {found!r}, expected {kind!r}: give its own kind")
        config = cls.from_pretrained(source)
    except OSError as error:
        raise ValueError(
            f"no {kind} weights at {source!r} ({str(error).splitlines()[0]}): give a folder that save_pretrained "
            "wrote, or a name on the Hugging Face Hub"
        ) from error
    changed: dict[str, Any] = config.to_diff_dict()
    shape = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size", SIZE[kind])
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
