"""Damage to a checkpoint: plain, as disks and transfers do it, and re-signed, as a program that knows the format could.

Each function changes the folder in place and says what it changed, as "file: what" or as the path of a field.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dreamgym.training.checkpoint import file_sha256
from dreamgym.training.checkpoint.config import CARD, digest

Path_ = tuple[str | int, ...]


# -- plain --


def plain(folder: Path, rng: random.Random, other: Path) -> str:
    """Flips, cuts, deletes or swaps a file; ``other`` is the checkpoint that files are swapped with."""
    file = rng.choice(sorted(f for f in folder.iterdir() if f.name != CARD))
    data = bytearray(file.read_bytes())
    how = rng.choice(["flip", "flips", "cut", "zeros", "empty", "delete", "append", "repeat", "swap", "foreign"])
    if how in ("flip", "flips"):
        for _ in range(1 if how == "flip" else 30):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del data[rng.randrange(len(data)) :]
    elif how == "zeros":
        at = rng.randrange(len(data))
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif how == "empty":
        data.clear()
    elif how == "append":
        data += rng.randbytes(rng.randrange(1, 100))
    elif how == "repeat":
        data += data[: rng.randrange(1, len(data) + 1)]
    elif how == "swap":
        data = bytearray(rng.choice(sorted(folder.iterdir())).read_bytes())
    elif how == "foreign":
        source = other / file.name
        data = bytearray(source.read_bytes()) if source.is_file() else bytearray()
    file.unlink()
    if how != "delete":
        file.write_bytes(data)
    return f"{file.name}: {how}"


# -- re-signed --


def resigned(folder: Path, rng: random.Random, other: Path) -> str:
    """Changes a field of config.json or a tensor, and signs again."""
    return _tensor(folder, rng) if rng.random() < 0.3 else _field(folder, rng)


def sign(folder: Path, config: dict[str, Any]) -> None:
    """Writes config.json as `save` would: sha256 of the files, digest of the config."""
    files = config.get("files")
    if isinstance(files, dict):
        for name in files:
            file = folder / name
            if "/" not in name and "\0" not in name and len(name) < 200 and file.is_file():
                files[name] = file_sha256(file)
    config.pop("digest", None)
    try:
        config["digest"] = digest(config)
    except (RecursionError, ValueError):  # the mutation went too deep: nobody can sign it
        config["digest"] = ""
    text = json.dumps({"digest": config["digest"]}) if config["digest"] == "" else json.dumps(config)
    (folder / "config.json").write_text(text)


def _field(folder: Path, rng: random.Random) -> str:
    config = json.loads((folder / "config.json").read_text())
    where = rng.choice([p for p in paths(config) if p and p[0] not in ("digest", "metrics")])
    at: Any = config
    for key in where[:-1]:
        at = at[key]
    last, how = where[-1], rng.choice(["value", "value", "value", "drop", "rename", "swap", "repeat"])
    if how == "drop":
        del at[last]
    elif how == "rename" and isinstance(at, dict):
        at[rng.choice([f"{last}_", str(last).upper(), "", "..", "x" * 300])] = at.pop(last)
    elif how == "swap" and len(at) > 1:
        second = rng.choice([k for k in (at if isinstance(at, dict) else range(len(at))) if k != last])
        at[last], at[second] = at[second], at[last]
    elif how == "repeat" and isinstance(at, list):
        at.insert(int(last), at[int(last)])
    else:
        at[last] = other_value(at[last], rng)
    if where[0] == "files" and isinstance(config.get("files"), dict):
        config.pop("digest")
        config["digest"] = digest(config)
        (folder / "config.json").write_text(json.dumps(config))
    else:
        sign(folder, config)
    return "/".join(str(k) for k in where)


def other_value(value: Any, rng: random.Random) -> Any:
    """Another value of JSON than ``value``."""
    nested: Any = 0
    for _ in range(rng.choice([20, 40, 400, 900])):
        nested = [nested] if rng.random() < 0.5 else {"a": nested}
    choices: list[Any] = [
        None, True, False, 0, 1, -1, 2, 3, 7, 64, 4096, 65536, 10**6, 10**9, 10**12, 10**30, -(10**12), 0.5, -0.5,
        1e-300, 1e308, float("nan"), float("inf"), float("-inf"), "", "x", "1", "nan", "../../x", "a:b",
        "subprocess:getoutput", "\0", "x" * 100_000, [], {}, [[]], [1, 2], ["a"], {"a": 1}, [None] * 1000,
        list(range(5000)), nested,
    ]  # fmt: skip
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        choices += 3 * [value + 1, value - 1, 2 * value, -value, value * 1000, float(value), str(value)]
    if isinstance(value, str):
        choices += 3 * [value + "_", value.upper(), value[:-1], [value]]
    if isinstance(value, list):
        choices += 3 * [value[:-1], value * 2, list(reversed(value)), dict(enumerate(map(str, value)))]
    return rng.choice(choices)


def paths(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Every place in a value of JSON, its own first."""
    yield at
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths(entry, (*at, key))
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from paths(entry, (*at, i))


def _tensor(folder: Path, rng: random.Random) -> str:
    file = rng.choice(sorted(folder.glob("*.safetensors")))
    tensors = load_file(file)
    name = rng.choice(sorted(tensors))
    value = tensors.pop(name).clone()
    how = rng.choice(
        ["nan", "all nan", "inf", "drop", "rename", "flat", "turned", "longer", "row", "none", "type", "new"]
    )
    if how == "rename":
        tensors[rng.choice([name + "_", name.upper(), "::int8", f"{name}::scale"])] = value
    elif how == "new":
        tensors |= {name: value, rng.choice(["extra", "state/extra", f"{name}::bits"]): value.clone()}
    elif how != "drop":
        tensors[name] = _altered(value, how, rng)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file)
    sign(folder, json.loads((folder / "config.json").read_text()))
    return f"{file.name}: {how} {name}"


def _altered(value: Tensor, how: str, rng: random.Random) -> Tensor:
    if how in ("nan", "all nan", "inf") and value.is_floating_point() and value.numel():
        bad = float("inf") if how == "inf" else float("nan")
        value.view(-1)[rng.randrange(value.numel()) if how != "all nan" else slice(None)] = bad
        return value
    if how == "flat":
        return value.flatten() if value.dim() > 1 else value.reshape(1, -1)
    if how == "turned" and value.dim() > 1 and value.shape[0] != value.shape[-1]:
        return value.transpose(0, -1)
    if how == "longer":
        return torch.cat([value, value]) if value.dim() else value.repeat(2)
    if how == "row" and value.dim() and len(value) > 1:
        return value[:-1]
    if how == "none" and value.dim():
        return value[:0]
    kinds = [torch.int64, torch.uint8, torch.bool, torch.float16, torch.float64, torch.bfloat16, torch.complex64]
    return value.to(rng.choice([kind for kind in kinds if kind != value.dtype]))
