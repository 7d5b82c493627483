"""Places that are to be written to, asked before the work whose result they are to hold."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_NAME = 255
"""Bytes of the name of a file or folder, on the file systems in use."""
UNDER_WAY = ".tmp--00000000"
"""What a folder's name has besides while it is written or replaced."""


def check_place(path: str | os.PathLike[str], replaced: bool = True) -> Path:
    """The path, if a folder can be written there; asked before the work whose result it is to hold.

    Args:
        path: the folder.
        replaced: whether one that is there will be replaced as a whole, which its parent must allow, and not added to.

    Raises:
        ValueError: a file stands there or on the way, or a link to nothing; a name is too long, or nothing can be
            written there.
        TypeError: no path.
    """
    final = Path(path)
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in (*final.parts[:-1], f"{final.name}{UNDER_WAY}")):
        raise ValueError(f"{str(final)[:80]}...: a name of over {LONGEST_NAME - len(UNDER_WAY)} bytes: choose another")
    try:
        there = next(place for place in (final, *final.absolute().parents) if place.exists())
    except OSError as error:  # as a whole too long, or not ours to look at
        raise ValueError(f"{str(final)[:80]}... cannot be written ({error.strerror}): choose another path") from error
    if broken := next((place for place in (final, *final.parents) if place.is_symlink() and not place.exists()), None):
        raise ValueError(f"{final}: {broken} is a link to nothing: mend it, or choose another path")
    if not there.is_dir():
        raise ValueError(f"{final}: {there} is a file, not a folder: choose another path")
    for place in {there, final.absolute().parent if there == final and replaced else there}:
        _try(place, final)
    return final


def _try(place: Path, final: Path) -> None:
    """ValueError where ``place`` takes no folder: tried, since root may write anywhere and yet not into /proc."""
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".dreamgym-", dir=place))
    except OSError as error:
        raise ValueError(f"{final}: {place} cannot be written to ({error.strerror}): choose another path") from error


def write_whole(file: str | os.PathLike[str], text: str) -> Path:
    """Writes a file of text as a whole: a kill, or a full disk, leaves the one of before. Makes its folder.

    Where a link leads is written to, and what is no plain file (/dev/stdout) is not replaced.
    """
    final = Path(file).resolve()
    if final.exists() and not final.is_file():
        final.write_text(text, encoding="utf-8")
        return Path(file)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".tmp-{final.name}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
    return Path(file)


def save_tensors(tensors: Mapping[str, Tensor], file: str | os.PathLike[str]) -> None:
    """A safetensors file that whoever may read new files here may read: the library's own are their owner's alone."""
    from safetensors.torch import save_file

    final = Path(file)
    final.touch()
    mode = final.stat().st_mode
    save_file(dict(tensors), final)
    final.chmod(mode)
