"""Building modules from a stranger's config, no larger than the file of their weights allows."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode

SPARE_MODULES, SPARE_ENTRIES = 1000, 2**20
"""What a model may have beyond its file: modules without weights, frozen parts of a small size."""
FROZEN_ENTRIES = 2**34
"""What it may have where pretrained parts stand in no file."""
SINGLE_TENSOR = 16
"""How often that many entries one tensor may have which no parameter is made of, as an attention mask."""
COUNTED = ("arange", "linspace", "logspace", "eye")
"""Operations that are told by numbers how large their result is; all others are told by lists."""


class TooLargeError(ValueError):
    """A config describes a model that is larger than the weights beside it."""


@contextmanager
def no_larger_than(entries: int, tensors: int, frozen: bool = False) -> Iterator[None]:
    """Stops the building of modules in this thread once they outgrow a file.

    Without it a config of a few bytes ("layers": 10000000) builds for hours, or until the memory is full, before its
    weights are found not to fit. One huge tensor is refused before its memory is asked for.

    Args:
        entries: numbers in all tensors of the file.
        tensors: how many there are.
        frozen: whether the model has pretrained parts, which are in no file.

    Raises:
        TooLargeError: parameters have more than twice as many entries, one tensor has far more, or there are far more
            modules than tensors.
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
        with _SingleTensors(SINGLE_TENSOR * most_entries, entries):
            yield
    finally:
        for hook in hooks:
            hook.remove()


class _SingleTensors(TorchDispatchMode):
    """Looks at every operation in this thread before it is carried out."""

    def __init__(self, most: int, entries: int) -> None:
        super().__init__()
        self.most, self.entries = most, entries

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        values = (*args, *(kwargs or {}).values())
        if func.overloadpacket.__name__ in COUNTED:
            values = ([v for v in values if isinstance(v, (int, float)) and v],)
        sizes = [math.prod(v) for v in values if isinstance(v, (list, tuple)) and _are_numbers(v)]
        if (size := max((abs(s) for s in sizes), default=0)) > self.most:
            raise TooLargeError(f"it makes a tensor of {size} entries, where its file holds {self.entries} numbers")
        return func(*args, **(kwargs or {}))


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) for v in values)
