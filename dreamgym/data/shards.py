"""What an episode store is on disk: folders of .npy files, written under a temporary name and published by one rename::

    <store>/info.json                  format, version, keys, the creator's own info
    <store>/count.json                 how many shards were published, those that were given up included
    <store>/shards/00000000/<key>.npy  rows of all the shard's episodes, end to end
    <store>/shards/00000000/index.json rows and meta of each of them
    <store>/shards/.tmp-*              a shard being written, or what a killed writer left
    <store>/shards/00000000.lost       a shard that was given up: an empty folder, or the damaged shard itself

A finished shard is flushed to the disk and renamed to the next free number. A rename onto a non-empty folder fails,
so any number of processes may write at once, each shard appears whole or not at all, and numbers have no gaps. A gap,
or fewer shards than were counted, is a shard that was lost since. (Stores of before they were counted have no
count.json, and the loss of their last shards is not noticed.)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import tokenize
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from dreamgym.data.told import check_meta
from dreamgym.fields import parse_json

try:
    import fcntl
except ImportError:  # not POSIX: appends are as safe, only the leftovers of killed writers stay
    fcntl = None  # type: ignore[assignment]

Meta = dict[str, Any]
Keys = dict[str, tuple[tuple[int, ...], np.dtype]]

FORMAT = "dreamgym-episodes"
VERSION = 1
LOST = ".lost"
COUNT = "count.json"

NPY_ERRORS = (
    *(OSError, ValueError, EOFError, TypeError, SyntaxError, tokenize.TokenError),
    *(RecursionError, MemoryError, OverflowError),
)
"""What numpy raises on a damaged .npy file."""


@dataclass(frozen=True)
class Entry:
    """Where one episode lies: its shard's folder name, its rows [start, start + length) there, and its meta."""

    shard: str
    start: int
    length: int
    meta: Meta


class ShardCache:
    """Memory maps of the shards' files, the least recently used closed first; threads may share it."""

    def __init__(self, path: Path, keys: Keys, size: int = 4096) -> None:
        self._path = path
        self._keys = keys
        self._size = size
        self._maps: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardCache, (self._path, self._keys, self._size)

    def array(self, shard: str, name: str) -> np.ndarray:
        """All rows of one key of one shard, read-only. ValueError where the file is damaged."""
        with self._lock:
            if (shard, name) in self._maps:
                self._maps.move_to_end((shard, name))
                return self._maps[shard, name]
        array = self._map(shard, name)
        with self._lock:
            self._maps[shard, name] = array
            while len(self._maps) > self._size:
                self._maps.popitem(last=False)
        return array

    def _map(self, shard: str, name: str) -> np.ndarray:
        file = self._path / "shards" / shard / f"{name}.npy"
        shape, dtype = self._keys[name]
        mend = _mend(file.parent)
        try:
            mapped = np.load(file, mmap_mode="r", allow_pickle=False)
            if mapped.offset + mapped.nbytes != file.stat().st_size or not mapped.flags.c_contiguous:
                raise ValueError(f"its header says {mapped.dtype} {mapped.shape}, which is not what follows")
            # A plain ndarray over the map: np.memmap's subclass costs microseconds on each slice.
            array = np.asarray(mapped)
        except NPY_ERRORS as error:
            raise ValueError(f"{file} is damaged ({error}): {mend}") from error
        if array.shape[1:] != shape or array.dtype != dtype:
            raise ValueError(f"{file} holds {array.dtype} {array.shape}, the store says {dtype} [T, {shape}]: {mend}")
        return array


def normalise_keys(keys: Mapping[str, tuple[Sequence[int], Any]]) -> Keys:
    """Name -> (shape of one row, dtype), checked: names fit file names, dtypes hold numbers. ValueError otherwise."""
    out: Keys = {}
    for name, (shape, dtype) in keys.items():
        if not name.replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            raise ValueError(f"a key is made of letters, digits, '_' and '.', got {name!r}")
        out[name] = (tuple(int(n) for n in shape), np.dtype(dtype))
        if out[name][1].kind not in "biuf":
            raise ValueError(f"{name!r} has dtype {dtype}; a store holds numbers and booleans")
        if min(out[name][0], default=1) < 1:
            raise ValueError(f"{name!r} has rows of shape {shape}; every length is at least 1")
    if not out:
        raise ValueError("a store needs one key at least")
    return out


def read_head(folder: Path) -> dict[str, Any]:
    """info.json of a store. ValueError where the folder is no store, a damaged or a newer one."""
    expected = f"expected a folder made by EpisodeStore.create, with info.json of format {FORMAT!r}"
    try:
        head = parse_json((folder / "info.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{folder} is no episode store: {expected}; collect or import one first") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}/info.json cannot be read ({error}): {expected}") from error
    kinds = {"version": int, "keys": dict, "info": dict}
    fits = isinstance(head, dict) and all(isinstance(head.get(k), kind) for k, kind in kinds.items())
    if not fits or head.get("format") != FORMAT:
        raise ValueError(f"{folder}/info.json is of another kind: {expected}")
    if head["version"] > VERSION:
        raise ValueError(f"{folder} has version {head['version']}, known are 1 to {VERSION}: upgrade dreamgym")
    return head


def write_head(folder: Path, keys: Keys, info: Mapping[str, Any]) -> None:
    """Write info.json, whole or not at all."""
    described = {name: [list(shape), dtype.str] for name, (shape, dtype) in keys.items()}
    write_json(folder / ".info.json.tmp", {"format": FORMAT, "version": VERSION, "keys": described, "info": dict(info)})
    os.replace(folder / ".info.json.tmp", folder / "info.json")
    _flush_folder(folder)


def write_shard(folder: Path, keys: Keys, episodes: Sequence[tuple[Mapping[str, np.ndarray], Meta]]) -> None:
    """Write the files of one shard into an existing folder and flush them to the disk."""
    lengths = [len(next(iter(arrays.values()))) for arrays, _ in episodes]
    for name in keys:
        write_rows(folder / f"{name}.npy", [arrays[name] for arrays, _ in episodes])
    index, start = [], 0
    for length, (_, meta) in zip(lengths, episodes, strict=True):
        index.append({"start": start, "length": length, "meta": meta})
        start += length
    write_json(folder / "index.json", {"episodes": index})
    _flush_folder(folder)


def write_rows(file: Path, parts: Sequence[np.ndarray]) -> None:
    """Write arrays of one type end to end as one .npy file, flushed to the disk."""
    head = {
        "descr": parts[0].dtype.str, "fortran_order": False, "shape": (sum(map(len, parts)), *parts[0].shape[1:]),
    }  # fmt: skip
    with open(file, "wb") as out:
        np.lib.format.write_array_header_1_0(out, head)
        for part in parts:
            # Not ndarray.tofile: on a full disk that raises an OSError without an errno.
            out.write(np.ascontiguousarray(part).data.cast("B"))
        _flush(out)


def publish(temporary: Path) -> None:
    """Rename a finished shard to the next free number beside it."""
    shards = temporary.parent
    number = 1 + max((int(name) for name in published(shards)), default=-1)
    while True:
        target = shards / f"{number:08d}"
        try:
            os.rename(temporary, target)
            break
        except OSError as error:
            taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) and target.exists()
            if not taken:
                raise
            number += 1
    _flush_folder(shards)
    # A count that is too low, since the disk is full or the writer was killed here, does no harm: the shard is there.
    with contextlib.suppress(OSError):
        _count(shards.parent, number + 1)


def _count(folder: Path, shards: int) -> None:
    """Raises the number of shards that the store is known to have."""
    with locked(folder, exclusive=True, name=".count.lock"):
        if read_count(folder) >= shards:
            return
        temporary = folder / ".count.json.tmp"
        try:
            write_json(temporary, {"shards": shards})
            os.replace(temporary, folder / COUNT)
        finally:
            temporary.unlink(missing_ok=True)


def read_count(folder: Path) -> int:
    """How many shards were published at least; 0 of a store of before they were counted.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        count = parse_json((folder / COUNT).read_text(encoding="utf-8"))["shards"]
        if not isinstance(count, int) or not 0 <= count < 10**8:
            raise ValueError(f"'shards' is {count!r:.50}")
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / COUNT} is damaged ({error!r:.200}): put it back, or delete it, and lost shards at the end go "
            "unnoticed"
        ) from error
    return count


def published(shards: Path) -> list[str]:
    """Names of the finished shards, in the order in which they were published.

    Raises:
        ValueError: a number is missing before the last, or of those that were counted: that shard was deleted.
    """
    found = os.listdir(shards)
    names = sorted(name for name in found if name.isdigit())
    there = {name.removesuffix(LOST) for name in found}
    counted = max(int(names[-1]) if names else 0, read_count(shards.parent))
    if missing := next((name for name in map("{:08d}".format, range(counted)) if name not in there), None):
        if (shards / missing).exists():  # another process published while the folder was being listed
            return published(shards)
        raise ValueError(
            f"{shards} has lost the shard {missing} (it has {len(names)} of {counted} or more): put it back, or go on "
            f"without its episodes: mkdir {shards / missing}{LOST}"
        )
    return names


def read_index(shard: Path, keys: Keys) -> list[Entry]:
    """The episodes of one finished shard.

    Raises:
        ValueError: its index is damaged, or a file has not the rows that the index says.
    """
    try:
        episodes = parse_json((shard / "index.json").read_text(encoding="utf-8"))["episodes"]
        entries = [Entry(shard.name, int(e["start"]), int(e["length"]), dict(e["meta"])) for e in episodes]
        rows = 0
        for entry in entries:
            if entry.start != rows or entry.length < 1:
                raise ValueError(f"an episode of {entry.length} rows at {entry.start}, after {rows} rows")
            rows += entry.length
            check_meta(entry.meta)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{shard}/index.json is damaged ({error!r}): {_mend(shard)}") from error
    for name, (shape, dtype) in keys.items():
        _check_size(shard / f"{name}.npy", rows, dtype.itemsize * int(np.prod(shape, dtype=np.int64)))
    return entries


def _check_size(file: Path, rows: int, row_bytes: int) -> None:
    """ValueError unless the file is as long as ``rows`` rows and its own header are; reads ten bytes of it."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(10)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise ValueError(f"{file} is damaged ({error}): {_mend(file.parent)}") from error
    header = 10 + int.from_bytes(head[8:10], "little")  # .npy version 1.0: magic, version, length of the header
    if size != header + rows * row_bytes:
        raise ValueError(
            f"{file} is damaged ({size} bytes; index.json says {rows} rows, which take {header + rows * row_bytes}): "
            f"{_mend(file.parent)}"
        )


def _mend(shard: Path) -> str:
    return f"give it up (mv {shard} {shard}{LOST}) and collect or import its episodes again"


@contextlib.contextmanager
def locked(folder: Path, exclusive: bool, wait: bool = True, name: str = ".lock") -> Iterator[None]:
    """Hold a lock file of the store; `.lock` is shared by appends and exclusive to create and clean.

    The kernel frees it when the holder is killed.

    Raises:
        BlockingIOError: `wait` is False and somebody else holds it.
    """
    if fcntl is None:
        yield
        return
    with open(folder / name, "a") as file:
        kind = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
        fcntl.flock(file, kind)
        yield


def write_json(file: Path, value: Any) -> None:
    """Write and flush one JSON file."""
    with open(file, "w") as out:
        json.dump(value, out)
        _flush(out)


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
