"""What numbers options take, by type: ``episodes: Count = 100``. `check_bounds` runs before every command."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from dreamgym.fields import LARGEST_IMAGE, MOST_THREADS


@dataclass(frozen=True)
class Bounds:
    """What a number may be.

    Attributes:
        low: the least; None: none.
        high: the largest; None: none.
        inside: the bounds themselves are excluded.
    """

    low: float | None = None
    high: float | None = None
    inside: bool = False

    def __contains__(self, value: float) -> bool:
        below = self.low is not None and (value <= self.low if self.inside else value < self.low)
        above = self.high is not None and (value >= self.high if self.inside else value > self.high)
        return math.isfinite(value) and not below and not above

    def __str__(self) -> str:
        words = ("above", "below") if self.inside else ("at least", "at most")
        pairs = zip(words, (self.low, self.high), strict=True)
        return " and ".join(f"{word} {bound}" for word, bound in pairs if bound is not None)


Count = Annotated[int, Bounds(1)]
"""How many, one at least."""
Whole = Annotated[int, Bounds(0)]
"""How many, none included."""
Pixels = Annotated[int, Bounds(1, LARGEST_IMAGE)]
"""Side of a picture."""
PixelsOrNone = Annotated[int, Bounds(0, LARGEST_IMAGE)]
"""Side of a picture; 0: no picture."""
Seed = Annotated[int, Bounds(0, 2**63 - 1)]
"""What a generator of torch takes."""
Threads = Annotated[int, Bounds(1, MOST_THREADS)]
"""Threads of torch."""
Positive = Annotated[float, Bounds(0, inside=True)]
"""A rate or a time."""
NotNegative = Annotated[float, Bounds(0)]
"""A weight, a tolerance, a time."""
Share = Annotated[float, Bounds(0, 1)]
"""A share of something."""


def check_bounds(call: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Checks the numbers that a command was given, those of its arguments that are dataclasses included.

    Args:
        call: the command, whose annotations say what they may be.
        values: its arguments by name.

    Raises:
        ValueError: one is out of bounds: the option, what was expected and what came.
    """
    for name, kind in typing.get_type_hints(call, include_extras=True).items():
        value = values.get(name)
        if dataclasses.is_dataclass(value):
            fields = typing.get_type_hints(type(value), include_extras=True)
            for field in dataclasses.fields(value):
                _check(field.name, fields[field.name], getattr(value, field.name))
        elif name != "return":
            _check(name, kind, value)


def bounds_of(kind: Any) -> Iterator[Bounds]:
    """The bounds in an annotation; those of optional numbers and of tuples of numbers too."""
    yield from (found for found in getattr(kind, "__metadata__", ()) if isinstance(found, Bounds))
    for inner in typing.get_args(kind):
        yield from bounds_of(inner)


def _check(name: str, kind: Any, value: Any) -> None:
    for bounds in bounds_of(kind):
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and number not in bounds:
                raise ValueError(f"--{name.replace('_', '-')} must be {bounds}, got {number}")
