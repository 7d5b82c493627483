"""Append-only episodes in a folder, read without loading them: `EpisodeStore` and its views."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.shards import (
    COUNT,
    Entry,
    Keys,
    Meta,
    ShardCache,
    locked,
    normalise_keys,
    publish,
    published,
    read_head,
    read_index,
    write_head,
    write_shard,
)
from dreamgym.data.told import check_info
from dreamgym.places import check_place

Episode = Mapping[str, np.ndarray]

_log = logging.getLogger(__name__)


class EpisodeView:
    """Read access to a list of episodes of one store; the store itself is the view of all of them."""

    def __init__(self, path: Path, keys: Keys, info: dict[str, Any], entries: list[Entry], shards: ShardCache) -> None:
        self.path = path
        self.info = info
        self._keys = keys
        self._entries = entries
        self._shards = shards

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, episodes={len(self)}, steps={self.num_steps})"

    @property
    def keys(self) -> Keys:
        """Name -> (shape of one row, dtype)."""
        return dict(self._keys)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each episode, int64 [N]."""
        return np.array([entry.length for entry in self._entries], dtype=np.int64)

    @property
    def metas(self) -> list[Meta]:
        """Meta of each episode, in the same order."""
        return [entry.meta for entry in self._entries]

    @property
    def num_steps(self) -> int:
        """Rows of all episodes together."""
        return sum(entry.length for entry in self._entries)

    def episode(
        self, i: int, keys: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> dict[str, np.ndarray]:
        """Rows [start, stop) of episode i as read-only views of memory-mapped files: nothing is loaded until read.

        Args:
            i: Index in this view; negative ones count from the end.
            keys: Which keys; all of them by default.
            start: First row, 0 <= start <= stop.
            stop: Row after the last, at most the episode's length (the default).

        Raises:
            IndexError: No such episode.
            ValueError: An unknown key, rows outside the episode, or a damaged shard.
        """
        entry = self._entries[i]
        stop = entry.length if stop is None else stop
        if not 0 <= start <= stop <= entry.length:
            raise ValueError(f"rows [{start}, {stop}) are outside episode {i}, which has {entry.length} rows")
        names = self.check_keys(keys)
        rows = slice(entry.start + start, entry.start + stop)
        return {name: self._shards.array(entry.shard, name)[rows] for name in names}

    def select(self, where: Callable[[Meta], bool] | None = None, **meta: Any) -> EpisodeView:
        """The episodes whose meta has each of these values and, if given, for which `where(meta)` holds.

        For instance `store.select(split="train")`. The view does not follow later appends: select again.
        """

        def chosen(entry: Entry) -> bool:
            same = all(key in entry.meta and entry.meta[key] == value for key, value in meta.items())
            return same and (where is None or where(entry.meta))

        entries = [entry for entry in self._entries if chosen(entry)]
        return EpisodeView(self.path, self._keys, self.info, entries, self._shards)

    def first(self, count: int) -> EpisodeView:
        """The ``count`` episodes that were published first.

        Raises:
            ValueError: there are fewer.
        """
        if len(self) < count:
            raise ValueError(f"{self.path} has {len(self)} of these episodes, {count} wanted: restore the store")
        return EpisodeView(self.path, self._keys, self.info, self._entries[:count], self._shards)

    def written(self) -> str:
        """Sixteen hexadecimal digits that change where these episodes are written anew, though they look alike.

        They are of the names, sizes and times of the files that hold them, none of which is read; a copy of a store
        has its own.
        """
        shards = sorted({entry.shard for entry in self._entries})
        files = [file for shard in shards for file in sorted((self.path / "shards" / shard).iterdir())]
        told = [(file.parent.name, file.name, (at := file.stat()).st_size, at.st_mtime_ns) for file in files]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def check_keys(self, keys: Sequence[str] | None) -> list[str]:
        """The names asked for, or all; ValueError for one that the store lacks."""
        names = list(self._keys) if keys is None else list(keys)
        if unknown := [name for name in names if name not in self._keys]:
            raise ValueError(f"{self.path} has no key {unknown}; it has {sorted(self._keys)}")
        return names


class EpisodeStore(EpisodeView):
    """Append-only episodes in a folder; make one with `create` or `open`.

    >>> store = EpisodeStore.create("play", keys={"action": ((7,), "float32"), "robot_obs": ((15,), "float32")})
    >>> store.append([(episode, {"split": "train"})])
    >>> store.select(split="train").episode(0, keys=["action"], start=10, stop=60)["action"].shape
    (50, 7)
    """

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        keys: Mapping[str, tuple[Sequence[int], Any]],
        info: Mapping[str, Any] | None = None,
        exist_ok: bool = True,
    ) -> EpisodeStore:
        """Make the folder, or open it where it is a store of the same keys; clear what killed writers left there.

        Args:
            path: The store's folder.
            keys: Name -> (shape of one row, dtype).
            info: What else to remember of the whole store, JSON; an existing store keeps its own.
            exist_ok: Whether an existing store is opened or refused.

        Raises:
            ValueError: The folder is a store with other keys, or not empty and no store; it lies within another store
                or cannot be written to; an entry of ``info`` is of the wrong type; or exist_ok is False.
        """
        folder = check_place(path, replaced=False)
        wanted = normalise_keys(keys)
        check_info(info or {}, folder / "info.json")
        if around := next((place for place in folder.absolute().parents if (place / "shards").is_dir()), None):
            raise ValueError(f"{folder} lies within the episode store {around}: use another path")
        if folder.is_dir() and not (folder / "info.json").exists():
            ours = {"shards", ".lock", ".collect.lock", ".count.lock", ".info.json.tmp", COUNT, ".count.json.tmp"}
            if foreign := sorted({file.name for file in folder.iterdir()} - ours):
                raise ValueError(f"{folder} is no episode store and holds {foreign[0]!r}: use another path")
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with locked(folder, exclusive=True):
            if (folder / "info.json").exists():
                if not exist_ok:
                    raise ValueError(f"{folder} is a store already: pass exist_ok=True to append, or another path")
                store = cls.open(folder)
                if store.keys != wanted:
                    raise ValueError(f"{folder} has keys {store.keys}, asked for {wanted}: use another path")
            else:
                write_head(folder, wanted, info or {})
                store = cls.open(folder)
        store.clean()
        return store

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> EpisodeStore:
        """Open an existing store.

        Raises:
            ValueError: Not a store of ours, one of a newer version, or a damaged one.
        """
        folder = Path(path)
        head = read_head(folder)
        try:
            keys = normalise_keys({name: (shape, dtype) for name, (shape, dtype) in head["keys"].items()})
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"{folder}/info.json is damaged ({error}): put back the one of this store") from error
        check_info(head["info"], folder / "info.json")
        store = cls(folder, keys, head["info"], [], ShardCache(folder, keys))
        store.refresh()
        return store

    def refresh(self) -> None:
        """Take in the shards that other processes have finished since this store was opened."""
        known = {entry.shard for entry in self._entries}
        for shard in published(self.path / "shards"):
            if shard not in known:
                self._entries.extend(read_index(self.path / "shards" / shard, self._keys))

    def checked(self, episode: Episode) -> dict[str, np.ndarray]:
        """The episode in the store's own types.

        Raises:
            ValueError: It does not fit the store: other keys, shapes or types, no rows, or a float that is not finite.
        """
        if set(episode) != set(self._keys):
            raise ValueError(f"an episode of {self.path} has keys {sorted(self._keys)}, got {sorted(episode)}")
        out: dict[str, np.ndarray] = {}
        for name, (shape, dtype) in self._keys.items():
            array = np.asarray(episode[name])
            if array.ndim == 0 or array.shape[1:] != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
                raise ValueError(f"{name!r} is {dtype} [T, {shape}], got {array.dtype} {array.shape}")
            with np.errstate(over="ignore"):  # what does not fit becomes an infinity and is refused below
                out[name] = np.ascontiguousarray(array, dtype=dtype)
            if dtype.kind == "f" and not np.isfinite(out[name]).all():
                row = int(np.argwhere(~np.isfinite(out[name]))[0][0])
                raise ValueError(f"{name!r} has a NaN or an infinity at row {row}: leave the episode out")
        lengths = {name: len(array) for name, array in out.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise ValueError(f"every key of an episode has the same number of rows, at least 1; got {lengths}")
        return out

    def append(self, episodes: Sequence[tuple[Episode, Meta]]) -> None:
        """Write these episodes as one new shard; on return they are on the disk.

        Args:
            episodes: Pairs (episode, meta). Every key of the store with T rows each; floats finite.

        Raises:
            ValueError: An episode does not fit the store; nothing is written.
            TypeError: A meta is not JSON, for instance because of a numpy scalar.
            OSError: The disk refused, a full one included (errno ENOSPC); what was there before is untouched.
        """
        if not episodes:
            return
        rows = [(self.checked(episode), json.loads(json.dumps(meta))) for episode, meta in episodes]
        temporary = self.path / "shards" / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with locked(self.path, exclusive=False):
            try:
                temporary.mkdir()
                write_shard(temporary, self._keys, rows)
                publish(temporary)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    message = "the disk is full: these episodes were not written, all before them are safe; free room"
                    raise OSError(error.errno, message, str(self.path)) from error
                raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        self.refresh()

    def clean(self) -> None:
        """Delete what killed writers left, unless some process is appending just now."""
        with contextlib.suppress(BlockingIOError), locked(self.path, exclusive=True, wait=False):
            for orphan in (self.path / "shards").glob(".tmp-*"):
                _log.warning("deleting %s, which a writer left unfinished", orphan)
                shutil.rmtree(orphan, ignore_errors=True)
