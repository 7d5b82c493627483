"""What saved policies of every agent share: a folder of JSON and safetensors, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dreamgym.fields import parse_json
from dreamgym.places import check_place, save_tensors
from dreamgym.training.checkpoint import CheckpointError, file_sha256, replace_folder, verify_file
from dreamgym.training.checkpoint.bounded import no_larger_than
from dreamgym.version import __version__

FORMAT = 1


def check_target(path: str | os.PathLike[str], noun: str, weights: str) -> Path:
    """The path, if a policy can be saved there; asked before the work whose result it is to hold.

    Args:
        path: the folder.
        noun: what will be saved, for messages.
        weights: name of the file of weights, by which an older folder of the same kind is known.

    Raises:
        ValueError: the path holds something else, or cannot be written to.
    """
    final = check_place(path)
    if final.exists() and any(final.iterdir()) and not (final / weights).exists():
        raise ValueError(f"{final} exists and is no {noun}'s folder: choose another path")
    return final


def write_folder(
    path: str | os.PathLike[str],
    noun: str,
    weights: str,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    card: str | None = None,
) -> Path:
    """Writes ``weights`` (a safetensors file of ``tensors``) and config.json; an older folder is replaced as a whole.

    Args:
        path: the folder.
        noun: what is saved, for messages.
        weights: name of the file.
        tensors: none may share memory with another.
        about: JSON-ready, into config.json beside format, library version and the file's sha256.
        card: text of a README.md.

    Returns:
        The folder.

    Raises:
        ValueError: the path holds something else.
    """
    final = check_target(path, noun, weights)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        save_tensors(tensors, temporary / weights)
        files = {weights: file_sha256(temporary / weights)}
        if card is not None:
            (temporary / "README.md").write_text(card, encoding="utf-8")
        config = {"format": FORMAT, "library_version": __version__, **about, "files": files}
        (temporary / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def read_folder(
    path: str | os.PathLike[str], noun: str, writer: str, known: list[str], is_ours: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """config.json of a saved policy, verified against its files.

    Args:
        path: the folder.
        noun: what was saved, for messages.
        writer: the function that writes such folders, for messages.
        known: kinds that can be read, for messages.
        is_ours: whether a config describes one of them.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer; the message names the file and the mend.
    """
    file = Path(path) / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{path} is no {noun}: it has no config.json; give the folder that `{writer}` wrote")
    try:
        config = parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged ({error}): copy or make the {noun} again") from error
    kinds = {"format": int, "files": dict}
    fits = isinstance(config, dict) and all(isinstance(config.get(k), kind) for k, kind in kinds.items())
    if not fits or not is_ours(config):
        raise CheckpointError(f"{file} describes no {noun} of {known}: give a folder that `{writer}` wrote")
    if config["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {config['format']}, written by dreamgym {config.get('library_version')}; this is "
            f"dreamgym {__version__}, which reads up to format {FORMAT}: pip install -U dreamgym"
        )
    for name, expected in config["files"].items():
        verify_file(file.parent / name, expected)
    if unsigned := sorted({weights.name for weights in file.parent.glob("*.safetensors")} - set(config["files"])):
        raise CheckpointError(f"{file} has no sha256 of {unsigned[0]}: copy or make the {noun} again")
    return config


@contextmanager
def building(folder: Path, weights: str, noun: str) -> Iterator[dict[str, Tensor]]:
    """Gives the tensors of a saved policy; what is built of its config within the block may not outgrow them.

    Args:
        folder: of the policy.
        weights: name of its file of tensors.
        noun: what was saved, for messages.

    Raises:
        CheckpointError: whatever building it raises; it is larger than its file, or holds numbers that are not finite.
    """
    try:
        tensors = load_file(folder / weights)
        if odd := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
            raise ValueError(f"{odd[0]!r} is not finite")
        with no_larger_than(sum(value.numel() for value in tensors.values()), len(tensors)):
            yield tensors
    except (ImportError, CheckpointError):
        raise
    except Exception as error:  # parts come from other libraries, whose errors are of any class
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{folder}: weights and config do not fit ({said}): make the {noun} again") from error
