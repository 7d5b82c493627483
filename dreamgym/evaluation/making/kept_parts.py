"""Parts of a checkpoint under way, kept beside the run: what a command has made it does not make again."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.fields import parse_json
from dreamgym.places import save_tensors

Part = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what is JSON."""

_log = logging.getLogger(__name__)


class Parts:
    """Parts by name, each in a folder with the key that it was made for.

    Args:
        folder: where they are kept; None: nowhere.
        progress: whether what makes them shows progress bars.

    Attributes:
        seconds: how long each part took, when it was made.
    """

    def __init__(self, folder: Path | None = None, progress: bool = True) -> None:
        self.folder, self.progress = folder, progress
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, key: Mapping[str, Any], make: Callable[[], Part]) -> Part:
        """The part ``name``: as it was kept for the same ``key`` (JSON-ready), else made now and kept."""
        text = json.dumps(key, sort_keys=True, default=str)
        place = None if self.folder is None else self.folder / name
        if place is not None and (kept := _kept(place, text)) is not None:
            _log.info("%s: kept from before in %s", name, place)
            self.seconds[name] = kept[1]["seconds"]
            return kept[0], kept[1]["told"]
        began = time.monotonic()
        tensors, told = make()
        self.seconds[name] = round(time.monotonic() - began, 1)
        _log.info("%s: %.0f s", name, self.seconds[name])
        if place is not None:
            _keep(place, text, tensors, json.loads(json.dumps(told)), self.seconds[name])
        # As it would be read: what is made of it must not depend on whether it was kept.
        return tensors, json.loads(json.dumps(told))


def _kept(place: Path, key: str) -> Part | None:
    """What is kept for this key; None where there is nothing, or where it is damaged and has to be made again."""
    try:
        if (place / "key.json").read_text(encoding="utf-8") != key:
            return None
        found = parse_json((place / "part.json").read_text(encoding="utf-8"))
        if found["sha256"] != _told_sha256(found["told"], found["seconds"]):
            raise ValueError("part.json was changed")
        return load_file(place / "tensors.safetensors"), found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
        _log.warning("%s is damaged (%s) and is made again", place, error)
        return None


def _told_sha256(told: Mapping[str, Any], seconds: float) -> str:
    return hashlib.sha256(json.dumps([told, seconds]).encode()).hexdigest()


def _keep(place: Path, key: str, tensors: Mapping[str, Tensor], told: Mapping[str, Any], seconds: float) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    save_tensors({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, place / "tensors.safetensors")
    part = {"told": told, "seconds": seconds, "sha256": _told_sha256(told, seconds)}
    (place / "part.json").write_text(json.dumps(part), encoding="utf-8")
    (place / "key.json").write_text(key)  # last: a part without it is not taken for whole


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """A hash of tensors and their names."""
    out = hashlib.sha256()
    for name in sorted(tensors):
        out.update(name.encode())
        out.update(tensors[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return out.hexdigest()


def store_key(view: EpisodeView | None) -> list[Any] | None:
    """What tells whether a store is the same still: path, episodes, rows, and the files that they were written to."""
    return None if view is None else [str(Path(view.path).resolve()), len(view), int(view.num_steps), view.written()]
