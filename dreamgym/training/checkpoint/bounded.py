"""Building and trying modules from a stranger's config, no larger than the file of their weights allows."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dreamgym.nn.pretrained import are_loading

SPARE_MODULES, SPARE_ENTRIES = 4000, 2**22
"""What a model may have beyond its file: modules without weights, buffers that are made anew."""
BUILT_TENSOR, TRIED_TENSOR = 2**26, 2**27
"""Entries that any one tensor may have while a model is built (an attention mask) and while a blank frame goes through
it: 256 and 512 MiB of float32."""
ELEMENTWISE = ("add", "sub", "mul", "div", "eq", "lt", "le", "gt", "ge")
"""Operations of two tensors that are spread over each other's axes."""
COUNTED = ("arange", "linspace", "logspace", "eye")
"""Operations that are told by numbers how large their result is; most others are told by lists."""


class TooLargeError(ValueError):
    """A config describes a model that is larger than the weights beside it."""


@contextmanager
def no_larger_than(entries: int, tensors: int) -> Iterator[None]:
    """Stops the building of modules in this thread once they outgrow a file.

    Without it a config of a few bytes ("layers": 10000000) builds for hours, or until the memory is full, before its
    weights are found not to fit. One huge tensor is refused before its memory is asked for. Pretrained parts, which
    stand in no file and have the size of their own files, are not counted (`dreamgym.nn.pretrained`).

    Args:
        entries: numbers in all tensors of the file.
        tensors: how many there are.

    Raises:
        TooLargeError: parameters and buffers have more than twice as many entries, one tensor has far more, there are
            far more modules than tensors, or far more is copied (layers that a library makes as copies of one).
    """
    most_entries, most_modules = 2 * entries + SPARE_ENTRIES, 4 * tensors + SPARE_MODULES
    built = {"entries": 0, "modules": 0}
    own = threading.get_ident()

    def count(kind: str, number: int, most: int) -> None:
        if threading.get_ident() == own and not are_loading():
            built[kind] += number
            if built[kind] > most:
                raise TooLargeError(f"a model of over {most} {kind}, where its file holds {entries} numbers")

    def tensor(module: nn.Module, name: str, value: Tensor | None) -> None:
        count("entries", 0 if value is None else value.numel(), most_entries)

    def part(module: nn.Module, name: str, value: nn.Module | None) -> None:
        count("modules", 1, most_modules)

    hooks = [
        register_module_parameter_registration_hook(tensor),
        register_module_buffer_registration_hook(tensor),
        register_module_module_registration_hook(part),
    ]
    try:
        with _EachTensor(max(2 * most_entries, BUILT_TENSOR), copied=2 * most_entries):
            yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def no_tensor_above(entries: int) -> Iterator[None]:
    """Stops work in this thread that makes a tensor of more than ``entries`` numbers, or than `TRIED_TENSOR`.

    Raises:
        TooLargeError: it would make one.
    """
    with _EachTensor(max(entries, TRIED_TENSOR)):
        yield


class _EachTensor(TorchDispatchMode):
    """Looks at every operation in this thread: at its sizes before it is carried out, and at what it gave."""

    def __init__(self, most: int, copied: float = math.inf) -> None:
        super().__init__()
        self.most, self.copied = most, copied

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if are_loading():
            return func(*args, **(kwargs or {}))
        self._check(_told_size(func.overloadpacket.__name__, (*args, *(kwargs or {}).values())))
        given = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ == "clone":  # a deep copy registers no module
            self.copied -= given.numel()
            if self.copied < 0:
                raise TooLargeError("it makes copies of more numbers than its file holds")
        self._check(max((v.numel() for v in tree_leaves(given) if isinstance(v, Tensor)), default=0))
        return given

    def _check(self, size: float) -> None:
        if size > self.most:
            raise TooLargeError(f"it makes a tensor of {size:.0f} entries, over {self.most}")


def _told_size(name: str, values: Sequence[Any]) -> float:
    """Entries of what an operation makes, as far as its arguments tell."""
    shapes = [tuple(v.shape) for v in values if isinstance(v, Tensor)]
    if name == "repeat":
        return math.prod((*shapes[0], *values[1]))
    if name == "constant_pad_nd":
        sides = [*shapes[0]]
        for place, (before, after) in enumerate(zip(values[1][::2], values[1][1::2], strict=True), 1):
            sides[-place] += before + after
        return math.prod(sides)
    if name in ELEMENTWISE and len(shapes) > 1:
        return math.prod(torch.broadcast_shapes(*shapes))
    if name in ("mm", "bmm"):
        return math.prod(shapes[0][:-1]) * shapes[1][-1]
    if name in COUNTED:
        values = ([v for v in values if isinstance(v, (int, float)) and v],)
    sizes = [math.prod(v) for v in values if isinstance(v, (list, tuple)) and _are_numbers(v)]
    return max((abs(size) for size in sizes), default=0)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(v, (int, float)) for v in values)
