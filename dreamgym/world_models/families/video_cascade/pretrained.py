"""Pretrained parts of CogVideoX, by name or folder, checked against the sizes that a cascade was configured with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch

from dreamgym.nn.pretrained import loading_pretrained


def check_installed() -> None:
    """Raises ImportError, with the mend, where a library of the backbones is missing."""
    for module in ("diffusers", "transformers", "peft"):
        if find_spec(module) is None:
            raise ImportError(f'a video cascade needs {module}: pip install "dreamgym[video]"')


def on_meta() -> bool:
    """Whether modules are being built without memory (``with torch.device("meta")``): sizes alone, no weights."""
    return torch.get_default_device().type == "meta"


def load_part(kind: Any, name: str, subfolder: str, sizes: Mapping[str, Any], **changes: Any) -> Any:
    """A part of a pretrained CogVideoX, frozen and in eval mode; on the meta device a part of those sizes.

    Args:
        kind: its class, of diffusers or transformers.
        name: of the model on the Hugging Face hub, or its folder.
        subfolder: of the part ("vae", "transformer", "text_encoder").
        sizes: what its config must say.
        changes: fields of its config to change.

    Raises:
        ValueError: it cannot be had (no such folder, no network), or it has other sizes.
    """
    if on_meta():
        return kind(**{**sizes, **changes})
    try:
        with loading_pretrained():
            part = kind.from_pretrained(name, subfolder=subfolder, use_safetensors=True, **changes)
    except (OSError, ValueError, ConnectionError) as error:
        raise ValueError(
            f"the {subfolder} of {name!r} cannot be loaded ({_first_line(error)}): give a folder that holds a "
            "CogVideoX (vae/, text_encoder/, tokenizer/, transformer/), or the name of one on the hub and a network "
            "connection"
        ) from error
    check_sizes(part.config, sizes, f"the {subfolder} of {name!r}")
    return part.requires_grad_(False).eval()


def check_sizes(config: Any, sizes: Mapping[str, Any], what: str) -> None:
    """ValueError where a loaded part's config differs from ``sizes``."""
    for field, wanted in sizes.items():
        found = getattr(config, field, wanted)
        found = tuple(found) if isinstance(found, list) else found
        if found != wanted:
            raise ValueError(
                f"{what} has {field}={found!r}, the cascade is configured for {wanted!r}: set the config's sizes to "
                "those of the weights"
            )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
