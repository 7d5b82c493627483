"""What the info of a store and the metas of its episodes say, each entry in its own type: asked when a store is opened.

Both are JSON that people edit and programs exchange; entries of other names are their maker's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamgym.fields import convert
from dreamgym.types import ActionSpec

INFO: dict[str, Any] = {
    "suite": str,
    "robot": str | None,
    "scene": str | None,
    "frame_rate": float,
    "tasks": tuple[str, ...],
    "action": ActionSpec,
    "robots": dict[str, ActionSpec],
}
"""Entries of a store's info that the library reads."""

META: dict[str, Any] = {"task": str | None, "split": str | None}
"""Entries of an episode's meta that the library reads; "skills" have a form of their own."""


def check_info(info: Mapping[str, Any], file: Path) -> None:
    """Raises ValueError where an entry is of another type, or out of range; the message names file and entry."""
    for name in INFO.keys() & info.keys():
        try:
            value = convert(info[name], INFO[name], name)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{file}: {error}: mend that entry, or put back the file of this store") from error
        if name == "frame_rate" and value <= 0:
            raise ValueError(f"{file}: frame_rate is a number of rows a second above 0, got {value!r}: mend that entry")


def check_meta(meta: Mapping[str, Any]) -> None:
    """Raises ValueError where an entry is of another type."""
    for name in META.keys() & meta.keys():
        convert(meta[name], META[name], name)
    for skill in convert(meta.get("skills", ()), list[list[Any]], "skills"):
        if len(skill) < 4 or not isinstance(skill[0], str) or not all(type(row) is int for row in skill[1:3]):
            raise ValueError(f"a skill is (task, first row, row after the last, success, ...), got {skill!r}")
