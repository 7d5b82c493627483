"""``config.json`` of a checkpoint: which fields it has, what they may hold, and the digest that seals it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dreamgym.fields import parse_json
from dreamgym.training.checkpoint.folders import CheckpointError, verify_file
from dreamgym.version import __version__

FORMAT = 2  # 1 had no packed tensors; it is read too
CARD = "README.md"  # for people, who may edit it: no part of the checkpoint's integrity

FIELDS: dict[str, tuple[type, ...]] = {
    "format": (int,),
    "family": (str,),
    "config": (dict,),
    "spec": (dict,),
    "rewards": (dict,),
    "starts": (dict, type(None)),
    "probe": (dict, type(None)),
    "simulator": (dict, type(None)),
    "metrics": (dict,),
    "files": (dict,),
}
"""What every config.json has, with the types of JSON."""

DTYPES = (None, "float32", "float16", "bfloat16", "float64", "int8")
"""What parameters are stored in."""

BUILT_FROM = ("config", "spec", "rewards", "probe")
"""Fields that modules are built from: their numbers must be finite, and none so large that building would hang."""

LARGEST = 10**6  # entries of any axis, frames, pixels: far beyond any model that a machine can hold
DEEPEST = 32  # dicts and lists inside each other; what `save` writes has fewer than 10


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads and verifies ``config.json`` and the sha256 of every file it lists.

    Raises:
        CheckpointError: a file is missing, damaged, of another program or of a newer version; or a field has another
            type or range than `save` writes.
    """
    folder = Path(path)
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no config.json; give the folder that `save` wrote")
    try:
        config = parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise CheckpointError(f"{file} is damaged ({error}): copy or download the checkpoint again") from error
    if not isinstance(config, dict) or type(config.get("format")) is not int or "family" not in config:
        raise CheckpointError(f"{file} is not a dreamgym checkpoint's config: give a folder that `save` wrote")
    _check_depth(file, config)
    if config["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {config['format']}, written by dreamgym {config.get('library_version')}; this is "
            f"dreamgym {__version__}, which reads up to format {FORMAT}: pip install -U dreamgym"
        )
    if config.get("digest") != digest({k: v for k, v in config.items() if k != "digest"}):
        raise CheckpointError(f"{file} was altered after it was written: copy or download the checkpoint again")
    _check_fields(file, config)
    for name, expected in config["files"].items():
        if name != CARD:
            verify_file(folder / name, expected)
    return config


def digest(config: dict[str, Any]) -> str:
    """Seals a config: sha256 of its JSON with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _check_depth(file: Path, config: dict[str, Any]) -> None:
    """`CheckpointError` where dicts and lists lie deeper inside each other than recursion should follow."""
    layer: list[Any] = [config]
    for _ in range(DEEPEST):
        layer = [e for v in layer for e in (v.values() if isinstance(v, dict) else v) if isinstance(e, (dict, list))]
    if layer:
        raise CheckpointError(f"{file} is nested more than {DEEPEST} deep: copy or download the checkpoint again")


def _check_fields(file: Path, config: dict[str, Any]) -> None:
    for name, kinds in FIELDS.items():
        if name not in config or not isinstance(config[name], kinds):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise CheckpointError(f"{file}: {name!r} is {expected}, got {config.get(name, 'nothing')!r:.80}")
    _check_files(file, config)
    if config.get("dtype") not in DTYPES:
        raise CheckpointError(f"{file}: 'dtype' is one of {DTYPES}, got {config['dtype']!r:.80}")
    limit = config["spec"].get("uncertainty_limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit < 0):
        raise CheckpointError(f"{file}: 'spec.uncertainty_limit' is null or at least 0, got {limit!r:.80}")
    starts, simulator = config["starts"], config["simulator"]
    if starts is not None and not _is_names(starts.get("tasks")):
        raise CheckpointError(f"{file}: 'starts.tasks' is a list of names, got {starts.get('tasks')!r:.80}")
    if simulator is not None:
        simulator.setdefault("kwargs", {})
        if not isinstance(simulator.get("id"), str) or not isinstance(simulator["kwargs"], dict):
            raise CheckpointError(f"{file}: 'simulator' is {{'id': name, 'kwargs': {{...}}}}, got {simulator!r:.80}")
    for name, entry in config["rewards"].items():
        form = {"kind": str, "config": dict}
        if not isinstance(entry, dict) or any(not isinstance(entry.get(k), kind) for k, kind in form.items()):
            raise CheckpointError(f"{file}: 'rewards.{name}' is {{'kind': name, 'config': {{...}}}}, got {entry!r:.80}")
        if not name or "/" in name:
            raise CheckpointError(f"{file}: 'rewards' names {name!r}: expected names without '/'")
    for field in BUILT_FROM:
        for where, number in _numbers(config[field], field):
            if not math.isfinite(number) or (isinstance(number, int) and abs(number) > LARGEST):
                raise CheckpointError(f"{file}: {where!r} is {number:.3g}: no model is built from such a number")


def _check_files(file: Path, config: dict[str, Any]) -> None:
    """Every file that will be read is listed, and no other than those of the folder."""
    for name, code in config["files"].items():
        if Path(name).name != name or not isinstance(code, str):
            raise CheckpointError(f"{file}: 'files' names {name!r} ({code!r:.80}), which is no file of this folder")
    parts = {"model": True, "rewards": bool(config["rewards"])}
    parts |= {part: config[part] is not None for part in ("starts", "probe")}
    for part, told in parts.items():
        if told != (f"{part}.safetensors" in config["files"]):
            there = f"lacks {part}.safetensors" if told else f"has {part}.safetensors, though {part!r} is empty"
            raise CheckpointError(f"{file}: 'files' {there}: save the checkpoint again")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _numbers(value: Any, where: str) -> Iterator[tuple[str, int | float]]:
    """Every number in a value of JSON, with its path."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _numbers(entry, f"{where}.{key}")
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from _numbers(entry, f"{where}[{i}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, value
