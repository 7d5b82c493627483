"""Where a checkpoint is found: a built-in name, a folder, or a repository of the Hugging Face Hub."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from dreamgym.training.checkpoint import hub
from dreamgym.training.checkpoint.folders import CheckpointError, recover

BUILT_IN = Path(__file__).resolve().parents[2] / "checkpoints"
DOWNLOADED = ["config.json", "README.md", "*.safetensors"]

_log = logging.getLogger(__name__)


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The local folder of a built-in name, a path, or a Hub repository (downloaded where it is not cached).

    The text "pusht" means the built-in checkpoint even where a folder is called so; "./pusht" and Path("pusht") mean
    the folder, where there is one.

    Raises:
        CheckpointError: there is none.
        ImportError: "hf://" without huggingface_hub.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise CheckpointError(f"expected a checkpoint's name, folder or hf:// address, got {name_or_path!r}")
    text = os.fspath(name_or_path)
    if text.startswith(hub.PREFIX):
        return _from_hub(text)
    path = Path(text)
    if text in built_in_names():
        namesake = (path / "config.json").is_file()
        if namesake and not isinstance(name_or_path, str):
            return path
        if namesake:
            _log.warning(
                "%r is the checkpoint that comes with dreamgym, not the folder %s: write './%s' for the folder",
                text, path.resolve(), text,
            )  # fmt: skip
        return BUILT_IN / text
    try:
        recover(path)
        found = path.exists()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        found = False
    if not found:
        raise CheckpointError(
            f"no checkpoint {text[:200]!r}: built-in names are {built_in_names()}; "
            "else give a folder that `dreamgym.training.checkpoint.save` wrote, or hf://organisation/name"
        )
    return path


def built_in_names() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return sorted(p.parent.name for p in BUILT_IN.glob("*/config.json"))


def _from_hub(text: str) -> Path:
    try:
        return hub.download(text, DOWNLOADED)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
