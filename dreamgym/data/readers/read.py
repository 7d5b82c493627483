"""One name for every foreign data set: ``kind:path``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dreamgym.data.readers.calvin import read_calvin
from dreamgym.data.readers.lerobot import read_lerobot
from dreamgym.data.readers.libero import read_libero
from dreamgym.data.readers.minari import read_minari
from dreamgym.data.readers.robomimic import read_robomimic
from dreamgym.data.readers.source import Source

READERS: dict[str, Callable[..., Source]] = {
    "lerobot": read_lerobot,
    "minari": read_minari,
    "calvin": read_calvin,
    "libero": read_libero,
    "robomimic": read_robomimic,
}
_NAMED_ONCE = {
    "minari": "a Minari data set names no tasks",
    "libero": "LIBERO's files name their tasks in one way",
    "robomimic": "robomimic's files name their task in one way",
}


def read(name: str, keys: Sequence[str] | None = None, tasks_from: str | None = None) -> Source:
    """Opens a data set.

    Args:
        name: "lerobot:FOLDER", "calvin:FOLDER", "libero:FOLDER" or "libero:FILE" of LIBERO's HDF5 demonstrations,
            "robomimic:FILE.hdf5", or "minari:FOLDER" or "minari:ID" of a local Minari data set.
        keys: what to read of each episode; everything that a world model could read by default.
        tasks_from: what names the tasks, where a data set has more than one name for them; see the reader.

    Raises:
        ValueError: no such kind, no such data set, a damaged one, or a key that it lacks.
        ImportError: the reader's extra is missing; the message is the pip line.
    """
    kind, _, path = name.partition(":")
    if kind not in READERS or not path:
        raise ValueError(f"a data set is named KIND:PATH with a kind of {list(READERS)}, got {name!r}")
    if tasks_from is not None and kind in _NAMED_ONCE:
        raise ValueError(f"{_NAMED_ONCE[kind]}: leave tasks_from out")
    if kind != "minari":
        return READERS[kind](path, keys, *([] if tasks_from is None else [tasks_from]))
    source = read_minari(path)
    if unknown := [key for key in keys or () if key not in source.keys]:
        raise ValueError(f"{name} has no keys {unknown}; it has {sorted(source.keys)}")
    return source
