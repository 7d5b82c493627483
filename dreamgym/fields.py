"""Config dataclasses from JSON and from FIELD=JSON words, every value checked against the type of its field.

One parser for every command: ``--set variant=hybrid hidden=[64,64]`` means the same for a world model and for an agent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

ConfigT = TypeVar("ConfigT")

LARGEST = 3e38
"""No number of a config is larger: torch computes in single precision."""

MOST_THREADS = 1024
"""The OpenMP runtime ends the process of whoever asks for very many."""

LARGEST_IMAGE = 4096
"""Pixels a side: far beyond what anybody trains on, and still drawn."""


def parse_fields(words: Sequence[str], config_class: type) -> dict[str, Any]:
    """["deter=512", "variant=hybrid"] as {"deter": 512, "variant": "hybrid"}.

    Args:
        words: FIELD=JSON each. Where the field is a string its quotes may be left out.
        config_class: the dataclass whose fields they are.

    Returns:
        Values of the fields' own types (a JSON list becomes a tuple where the field is one).

    Raises:
        ValueError: a word of another form, an unknown field, or a value that does not fit the field's type.
    """
    known = field_types(config_class)
    changes = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"expected FIELD=JSON, as {next(iter(known))}=...; got {word!r}")
        check_names(config_class, [name])
        changes[name] = _parse(text, known[name], name)
    return changes


def from_json(config_class: type[ConfigT], data: Mapping[str, Any]) -> ConfigT:
    """The dataclass whose fields ``data`` holds, as `dataclasses.asdict` (through JSON) gives them.

    Raises:
        ValueError: an unknown or a missing field, a value of another type, or one that the class refuses.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{config_class.__name__} is read from an object of its fields, got {data!r}")
    check_names(config_class, data)
    known = field_types(config_class)
    values = {name: convert(value, known[name], name) for name, value in data.items()}
    try:
        return config_class(**values)
    except TypeError as error:  # a field without a default is missing
        raise ValueError(f"{config_class.__name__}: {error}") from error


def check_names(config_class: type, names: typing.Iterable[str]) -> None:
    """ValueError if one of ``names`` is no field of the dataclass."""
    known = [f.name for f in dataclasses.fields(config_class)]
    if unknown := sorted(set(names) - set(known)):
        shown = repr(unknown[0]) if len(unknown) == 1 else unknown
        raise ValueError(f"{config_class.__name__} has no field {shown}; it has {sorted(known)}")


def check_numbers(config: typing.Any) -> None:
    """What ``__post_init__`` of a config asks first: comparisons let NaN pass.

    Raises:
        ValueError: a float that is not finite, a ``seed`` that no generator takes, or ``threads`` that cannot be.
    """
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        numbers = [x for x in (value if isinstance(value, tuple) else [value]) if isinstance(x, float)]
        if not all(abs(x) <= LARGEST for x in numbers):
            raise ValueError(f"{f.name} must be a finite number, got {value}")
        if f.name == "seed" and not 0 <= value < 2**63:
            raise ValueError(f"seed must be at least 0 and below 2**63, got {value}")
        if f.name == "threads" and value is not None and not 1 <= value <= MOST_THREADS:
            raise ValueError(f"threads must be at least 1 and at most {MOST_THREADS}, got {value}")


def field_types(config_class: type) -> dict[str, Any]:
    """The type of each field that the constructor takes, by name."""
    hints = typing.get_type_hints(config_class)
    return {f.name: hints[f.name] for f in dataclasses.fields(config_class) if f.init}


def convert(value: Any, kind: Any, name: str) -> Any:
    """A value that JSON can hold as the type ``kind`` of a field.

    Args:
        value: of JSON, or already of the type.
        kind: a type as annotations have it: bool, int, float, str, None, tuple, list, dict, Literal, unions of them,
            dataclasses.
        name: of the field, for the message.

    Raises:
        ValueError: it does not fit.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(value, kind, name)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else from_json(kind, value)
    if origin is tuple and isinstance(value, (list, tuple)):
        each = args[:1] * len(value) if len(args) == 2 and args[1] is Ellipsis else args
        if len(each) == len(value):
            return tuple(convert(v, k, f"{name}[{i}]") for i, (v, k) in enumerate(zip(value, each, strict=True)))
    elif origin is list and isinstance(value, (list, tuple)):
        return [convert(v, args[0], f"{name}[{i}]") for i, v in enumerate(value)]
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {convert(k, args[0], name): convert(v, args[1], f"{name}[{k!r}]") for k, v in value.items()}
    elif (plain := _plain(value, kind, origin, args)) is not _MISFIT:
        return plain
    raise ValueError(f"{name} is {_words(kind)}, got {value!r}")


_MISFIT = object()


def _plain(value: Any, kind: Any, origin: Any, args: tuple[Any, ...]) -> Any:
    """A scalar of ``kind``, or `_MISFIT`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is typing.Literal:
        return value if value in args else _MISFIT
    if kind is float and number:
        return float(value) if math.isfinite(value) else _MISFIT
    if kind is int and number:
        return value if isinstance(value, int) else _MISFIT
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is type(None) or kind is None:
        return None if value is None else _MISFIT
    return value if kind in (bool, str, Path) and isinstance(value, kind) else _MISFIT


def _first_that_fits(value: Any, kind: Any, name: str) -> Any:
    for option in typing.get_args(kind):
        with contextlib.suppress(ValueError):
            return convert(value, option, name)
    raise ValueError(f"{name} is {_words(kind)}, got {value!r}")


def parse_json(text: str) -> Any:
    """`json.loads`.

    Raises:
        ValueError: it is no JSON; or its lists are nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("lists within lists, too deep to read") from None


def _parse(text: str, kind: Any, name: str) -> Any:
    """JSON, or a bare word where the field is a string."""
    try:
        value = parse_json(text)
    except ValueError:
        value = text
    try:
        return convert(value, kind, name)
    except ValueError as error:
        if value is text:
            raise ValueError(f"{error} (values are JSON, as {name}=...)") from None
        try:
            return convert(text, kind, name)
        except ValueError:
            raise error from None


def _words(kind: Any) -> str:
    """The type as a message names it."""
    if kind is type(None):
        return "null"
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {list(typing.get_args(kind))}"
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return " or ".join(_words(k) for k in typing.get_args(kind))
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind).replace("typing.", "")
