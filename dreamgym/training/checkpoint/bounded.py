"""Building modules from a stranger's config, no larger than the file of their weights allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

SPARE_MODULES, SPARE_ENTRIES = 1000, 2**20
"""What a model may have beyond its file: modules without weights, frozen parts of a small size."""
FROZEN_ENTRIES = 2**34
"""What it may have where pretrained parts stand in no file."""


class TooLargeError(ValueError):
    """A config describes a model that is larger than the weights beside it."""


@contextmanager
def no_larger_than(entries: int, tensors: int, frozen: bool = False) -> Iterator[None]:
    """Stops the building of modules in this thread once they outgrow a file.

    Without it a config of a few bytes ("layers": 10000000) builds for hours, or until the memory is full, before its
    weights are found not to fit.

    Args:
        entries: numbers in all tensors of the file.
        tensors: how many there are.
        frozen: whether the model has pretrained parts, which are in no file.

    Raises:
        TooLargeError: parameters have more than twice as many entries, or there are far more modules than tensors.
    """
    most_entries = FROZEN_ENTRIES if frozen else 2 * entries + SPARE_ENTRIES
    most_modules = 4 * tensors + SPARE_MODULES * (100 if frozen else 1)
    built = {"entries": 0, "modules": 0}
    own = threading.get_ident()

    def count(kind: str, number: int, most: int) -> None:
        if threading.get_ident() == own:
            built[kind] += number
            if built[kind] > most:
                raise TooLargeError(f"a model of over {most} {kind}, where its file holds {entries} numbers")

    def parameter(module: nn.Module, name: str, value: nn.Parameter | None) -> None:
        count("entries", 0 if value is None else value.numel(), most_entries)

    def part(module: nn.Module, name: str, value: nn.Module | None) -> None:
        count("modules", 1, most_modules)

    hooks = [register_module_parameter_registration_hook(parameter), register_module_module_registration_hook(part)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
