"""What commands check before they work for minutes: device, places to write to. Numbers: `bounds`."""

from __future__ import annotations

import os
from pathlib import Path

from dreamgym.places import check_place


def check_device(device: str | None) -> None:
    """Raises ValueError for a device that torch does not know, or that this machine or build lacks."""
    if device is None:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        told = str(error).splitlines()[0]
        raise ValueError(
            f"--device {device} cannot be used here ({told}): leave it out, or use --device cpu"
        ) from error


def check_file(option: str, file: Path | None) -> None:
    """Makes the folder of a file that will be written.

    Raises:
        ValueError: it is a folder, or cannot be written.
    """
    if file is None:
        return
    if file.is_dir():
        raise ValueError(f"{option} {file} is a folder: name a file to write")
    check_folder(option, check_place(file).parent if not file.exists() else file.parent)
    if file.exists() and not os.access(file, os.W_OK):
        raise ValueError(f"{option} {file} cannot be written: it belongs to somebody else or is read-only")


def check_folder(option: str, folder: Path | None) -> None:
    """Makes a folder that will be written to.

    Raises:
        ValueError: it is a file, or cannot be written.
    """
    if folder is None:
        return
    check_place(folder, replaced=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{option}: {folder} cannot be made ({error.strerror}); name another") from error
