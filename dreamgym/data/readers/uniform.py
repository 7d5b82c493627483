"""Whether the episodes of a data set are alike: one number of rows in each, rows of one shape in all.

The error names the episode, the key, what was expected (and who had it) and what came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Uniform:
    """Compares each episode with the first one.

    Args:
        keys: of the data set, what is read of each episode.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        self._first: tuple[str, dict[str, np.ndarray]] | None = None

    def check(self, name: str, episode: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The episode's arrays under the keys that are read.

        Args:
            name: of the episode.
            episode: arrays by key.

        Raises:
            ValueError: a key is missing, an array is ragged or holds no numbers, arrays have different numbers of rows,
                or rows are of another shape than those of the first episode. Images may have another size, of the same
                ratio of width to height: an import resizes them.
        """
        rows = {key: _rows(name, key, episode) for key in self._keys}
        lengths = {key: len(array) for key, array in rows.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{name}: all arrays of an episode have as many rows as the others, got {lengths}")
        first, seen = self._first or (name, rows)
        for key, array in rows.items():
            if not _alike(seen[key], array):
                raise ValueError(
                    f"{name}: {key!r} has rows {_told(array)}, those of {first} before it are {_told(seen[key])}: "
                    "leave one of the two out, or import them into stores of their own"
                )
        if self._first is None:
            self._first = name, {key: array[:1].copy() for key, array in rows.items()}
        return rows


def _rows(name: str, key: str, episode: Mapping[str, Any]) -> np.ndarray:
    if key not in episode:
        raise ValueError(f"{name} has no key {key!r}; it has {sorted(episode)}")
    try:
        array = np.asarray(episode[key])
    except ValueError:
        array = np.empty((), object)  # lists of different lengths
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        kind = f"a single {array.dtype}" if array.ndim == 0 and array.dtype.kind != "O" else f"{array.dtype}, or ragged"
        raise ValueError(f"{name}: {key!r} must be numbers or booleans [T, ...], all rows of one shape, got {kind}")
    return array


def _alike(first: np.ndarray, other: np.ndarray) -> bool:
    a, b = first.shape[1:], other.shape[1:]
    images = [array.dtype == np.uint8 and array.ndim == 4 for array in (first, other)]
    if all(images):
        return a[2] == b[2] and a[0] * b[1] == a[1] * b[0]
    return a == b and not any(images)


def _told(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape[1:])}"
