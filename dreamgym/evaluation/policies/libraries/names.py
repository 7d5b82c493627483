"""Names of policies that other libraries saved: "lerobot:PATH", "sb3:FILE.zip"."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dreamgym.training.checkpoint import file_sha256

LIBRARIES = {"lerobot": "lerobot", "sb3": "stable-baselines3"}
"""Prefix of a name -> the distribution that loads it."""


def library_of(source: Any) -> tuple[str, str] | None:
    """The library's prefix and the rest of the name; None for a policy of another kind."""
    if not isinstance(source, str):
        return None
    library, colon, rest = source.partition(":")
    return (library, rest) if colon and library in LIBRARIES else None


def called(library: str, rest: str) -> str:
    """What tables and files call such a policy: "lerobot:act/last" of .../act/checkpoints/last/pretrained_model."""
    if library == "sb3":
        return f"sb3:{Path(rest.rpartition(':')[2]).stem}"
    skipped = ("checkpoints", "pretrained_model")
    parts = [part for part in Path(rest.partition("@")[0]).parts if part not in (*skipped, "/", ".", "..")]
    return f"lerobot:{'/'.join(parts[-2:])}"


def fingerprint(library: str, rest: str) -> str | None:
    """A hash of the policy's files and of the version of its library; None where it is on no local disk."""
    place = Path(rest.rpartition(":")[2] if library == "sb3" else rest)
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    if not files or not all(file.is_file() for file in files):
        return None
    parts = [f"{os.path.relpath(file, place)} {file_sha256(file)}" for file in files]
    try:
        parts.append(version(LIBRARIES[library]))
    except PackageNotFoundError:
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
