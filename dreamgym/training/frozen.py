"""Pretrained modules that a model holds but never trains: left out of every file, verified when a file is read.

A model names them in ``frozen_modules()``: {name of the module: what the weights are called}; a dot at the end of the
name makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from dreamgym.nn.digest import sha256_of


def frozen_modules(module: nn.Module) -> dict[str, str]:
    """Names of the module's frozen parts, without a dot at the end, and what their weights are called.

    Raises:
        ValueError: no tensor of the module belongs to one of them, so there would be nothing to verify.
    """
    named = getattr(module, "frozen_modules", None)
    parts = {name.rstrip("."): weights for name, weights in (named() if callable(named) else {}).items()}
    tensors = tuple(module.state_dict()) if parts else ()
    for name in parts:
        if not any(tensor.startswith(f"{name}.") for tensor in tensors):
            raise ValueError(
                f"frozen_modules() of {type(module).__name__} names {name!r}, to which none of its tensors belongs: "
                "give the name of a module with weights"
            )
    return parts


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state_dict without frozen parts."""
    prefixes = tuple(f"{name}." for name in frozen_modules(module))
    return {k: v for k, v in module.state_dict().items() if not prefixes or not k.startswith(prefixes)}


def load_own(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Loads what `own_tensors` gave; frozen parts keep the weights that the module was built with.

    Raises:
        RuntimeError: other names or shapes, as of ``load_state_dict``.
    """
    own = own_tensors(module).keys()
    missing, unexpected = sorted(own - tensors.keys()), sorted(tensors.keys() - own)
    if missing or unexpected:
        raise RuntimeError(f"other parameters:\n missing {missing[:4]}, unexpected {unexpected[:4]}")
    module.load_state_dict(dict(tensors), strict=False)


def identities(module: nn.Module) -> dict[str, dict[str, str]]:
    """For each frozen part what its weights are called, and the sha256 of its tensors."""
    parts = frozen_modules(module)  # first: weights that are fetched when needed are there then
    state = module.state_dict()
    return {
        part: {"name": name, "sha256": sha256_of({k: v for k, v in state.items() if k.startswith(f"{part}.")})}
        for part, name in parts.items()
    }


def check_identities(module: nn.Module, expected: Mapping[str, Any]) -> None:
    """ValueError unless the module's frozen parts are those that a file was written with."""
    found = identities(module)
    for part in sorted({*found, *expected}):
        if found.get(part) != expected.get(part):
            raise ValueError(
                f"its frozen part {part!r} was {expected.get(part)}, the model is built with {found.get(part)}: "
                "fetch those pretrained weights"
            )
