"""Features of recorded frames, computed once and kept on disk: a view of a store that has them as further keys."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.bars import progress_bar
from dreamgym.data.shards import Entry, Keys, write_rows
from dreamgym.data.store import EpisodeView

_log = logging.getLogger(__name__)

CACHE = "DREAMGYM_CACHE"
"""Environment variable with the folder of caches; ~/.cache/dreamgym where it is not set."""

Encode = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""Rows of the keys that are read, to features of as many rows."""


@dataclass(frozen=True)
class Feature:
    """Features that a frozen encoder gives of each row.

    Attributes:
        name: the key under which the view has them.
        digest: of the encoder's weights and preprocessing; a cache is known by it, so that other weights never meet it.
        reads: keys of the store that the encoder reads.
        shape: of one row's features.
        encode: the encoder.
    """

    name: str
    digest: str
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    encode: Encode


class FeatureView(EpisodeView):
    """The episodes of a view with features as further keys, float16.

    Each episode's features are a file of their own, written under a temporary name and renamed: a run that is killed
    goes on with the next episode.

    Args:
        view: the episodes.
        features: what to add.
        folder: of the caches; by default ``$DREAMGYM_CACHE/features`` or ~/.cache/dreamgym/features.
        rows: rows encoded at a time.
    """

    def __init__(
        self, view: EpisodeView, features: Sequence[Feature], folder: str | Path | None = None, rows: int = 128
    ) -> None:
        keys: Keys = {**view.keys, **{f.name: (f.shape, np.dtype("<f2")) for f in features}}
        super().__init__(view.path, keys, view.info, view._entries, view._shards)
        self.folder, self.rows = feature_folder() if folder is None else Path(folder), rows
        self._view, self._features = view, {f.name: f for f in features}
        self._open: dict[Path, np.ndarray] = {}

    def prepare(self) -> FeatureView:
        """Computes what the cache lacks, with a progress bar; returns the view."""
        missing = [(f, i) for f in self._features.values() for i in range(len(self)) if not self._file(f, i).exists()]
        if not missing:
            return self
        rows = sum(int(self.lengths[i]) for _, i in missing)
        _log.info("encoding %d frames into %s", rows, self.folder)
        with progress_bar(total=rows, unit="frame", desc="features") as bar:
            for feature, i in missing:
                self._compute(feature, i)
                bar.update(int(self.lengths[i]))
        return self

    def episode(
        self, i: int, keys: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> dict[str, np.ndarray]:
        """As `EpisodeView.episode`; features that the cache lacks are computed."""
        names = self.check_keys(keys)
        out: dict[str, np.ndarray] = self._view.episode(i, [n for n in names if n not in self._features], start, stop)
        for name in names:
            if name in self._features:
                out[name] = self._array(self._features[name], i)[start:stop]
        return out

    def select(self, where: Callable[[dict[str, Any]], bool] | None = None, **meta: Any) -> EpisodeView:
        """As `EpisodeView.select`, with the same features."""
        return FeatureView(self._view.select(where, **meta), list(self._features.values()), self.folder, self.rows)

    def first(self, count: int) -> EpisodeView:
        """As `EpisodeView.first`, with the same features."""
        return FeatureView(self._view.first(count), list(self._features.values()), self.folder, self.rows)

    def _file(self, feature: Feature, i: int) -> Path:
        """An episode is known by its shard's folder and its place there."""
        entry: Entry = self._entries[i]
        shard = (self.path / "shards" / entry.shard).resolve()
        written = (shard / "index.json").stat().st_mtime_ns
        told = [str(shard), entry.start, entry.length, written, list(feature.reads)]
        episode = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]
        return self.folder / feature.digest / f"{episode}.npy"

    def _array(self, feature: Feature, i: int) -> np.ndarray:
        file = self._file(feature, i)
        if file not in self._open:
            if not file.exists():
                self._compute(feature, i)
            self._open[file] = self._read(file, feature, i)
        return self._open[file]

    def _read(self, file: Path, feature: Feature, i: int) -> np.ndarray:
        want = (int(self.lengths[i]), *feature.shape)
        try:
            found: np.ndarray = np.load(file, mmap_mode="r")
        except (ValueError, OSError) as error:
            raise ValueError(f"{file} is damaged ({error}): delete it, it is computed anew") from error
        if found.shape != want or found.dtype != np.float16:
            raise ValueError(
                f"{file} holds {found.dtype} {found.shape}, expected float16 {want}: it is of other weights or of "
                "another store; delete its folder"
            )
        return found

    def _compute(self, feature: Feature, i: int) -> None:
        file = self._file(feature, i)
        length = int(self.lengths[i])
        out = np.empty((length, *feature.shape), np.float16)
        for start in range(0, length, self.rows):
            stop = min(length, start + self.rows)
            out[start:stop] = feature.encode(self._view.episode(i, list(feature.reads), start, stop))
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".tmp-{os.getpid()}-{file.name}")
        try:
            write_rows(temporary, [out])
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)


def feature_folder() -> Path:
    """Where features are kept unless a caller says otherwise."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "dreamgym") / "features"
