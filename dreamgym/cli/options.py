"""How tyro shows the options of a command: in one group, words without a flag by name, no "None" for what is left out.

A command's docstring says what happens where an option is not given.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

_WORDS = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}
_PREPARED: set[Any] = set()


def prepare_options(call: Callable[..., Any], words: Mapping[str, Any]) -> None:
    """Writes into a command's annotations, and those of its option dataclasses, how they are shown.

    Args:
        call: the command.
        words: arguments that stand without a flag, by name, with their types.
    """
    if call in _PREPARED:
        return
    _PREPARED.add(call)
    import tyro  # heavy

    hints = typing.get_type_hints(call, include_extras=True)
    for name, parameter in inspect.signature(call).parameters.items():
        kind = hints.get(name, Any)
        if name in words:
            shown = tyro.conf.arg(metavar=name.upper(), help_behavior_hint="")
            positional: Any = tyro.conf.Positional
            call.__annotations__[name] = Annotated[positional[words[name]], shown]
        elif dataclasses.is_dataclass(kind):
            _prepare_fields(kind)
            call.__annotations__[name] = Annotated[kind, tyro.conf.arg(name="")]  # no group and heading of its own
        else:
            call.__annotations__[name] = _shown(kind, parameter.default)


def _prepare_fields(options: Any) -> None:
    if options in _PREPARED:
        return
    _PREPARED.add(options)
    hints = typing.get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        options.__annotations__[field.name] = field.type = _shown(hints[field.name], field.default)


def _shown(kind: Any, default: Any) -> Any:
    """The annotation with what stands after the option's name, where tyro's own words would be "{None}|INT"."""
    if default is not None and default != ():
        return kind
    import tyro  # heavy

    return Annotated[kind, tyro.conf.arg(metavar=_metavar(kind), help_behavior_hint="")]


def _metavar(kind: Any) -> str | None:
    """INT of ``int | None``, [STR ...] of ``tuple[str, ...]``; None: tyro's own words."""
    if typing.get_origin(kind) is Annotated:
        return _metavar(typing.get_args(kind)[0])
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _metavar(parts[0]) if len(parts) == 1 else None
    if typing.get_origin(kind) is typing.Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if typing.get_origin(kind) is tuple:
        return f"[{_metavar(parts[0])} ...]"
    return _WORDS.get(kind)
