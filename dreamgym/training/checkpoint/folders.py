"""Folders that are written as a whole and files that are checked by their sha256."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded: names the file and the mend."""


def file_sha256(file: Path) -> str:
    """Its sha256 in hexadecimal."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verify_file(file: Path, expected: str) -> None:
    """`CheckpointError` unless ``file`` is there and has the sha256 ``expected``."""
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: copy or download the checkpoint again")
    if file_sha256(file) != expected:
        raise CheckpointError(
            f"{file} is damaged ({file.stat().st_size} bytes, its sha256 differs from config.json): "
            "copy or download the checkpoint again"
        )


def replace_folder(temporary: Path, final: Path) -> None:
    """Renames into place. An older folder steps aside first, since a folder that is not empty cannot be overwritten.

    A process that is killed between the two renames leaves the older folder aside; `recover` puts it back.
    """
    if final.exists():
        os.rename(final, final.parent / f".old-{final.name}-{uuid.uuid4().hex[:8]}")
    os.rename(temporary, final)
    for old in _aside(final):
        if old.is_symlink():  # what it leads to is somebody else's
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)


def recover(final: Path) -> None:
    """Puts back the folder that a killed `replace_folder` left aside, where nothing stands at ``final``."""
    if final.exists() or not final.parent.is_dir():
        return
    left = sorted(_aside(final), key=lambda folder: folder.stat().st_mtime)
    if left:
        os.rename(left[-1], final)


def _aside(final: Path) -> list[Path]:
    """The folders that stepped aside for ``final``, and not for another whose name begins alike."""
    name = re.compile(rf"\.old-{re.escape(final.name)}-[0-9a-f]{{8}}")
    return [folder for folder in final.parent.iterdir() if name.fullmatch(folder.name)]
