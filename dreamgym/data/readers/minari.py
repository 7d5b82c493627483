"""Minari datasets, through the minari package."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.readers.source import Pair, Source
from dreamgym.data.shards import Meta

DAMAGE = (
    OSError, ValueError, LookupError, AssertionError, RuntimeError, TypeError, AttributeError, ArithmeticError,
    MemoryError,
)  # fmt: skip
"""What minari and the libraries below it raise where a data set is damaged: h5py's RuntimeError among them."""


def read_minari(path_or_id: str | os.PathLike[str]) -> Source:
    """Read a Minari dataset from a folder, or by its id from the local Minari root. Nothing is downloaded.

    Minari has one observation more than actions. Each episode here has a row per observation; the last row repeats the
    last action (it has no successor) and has reward 0.

    Args:
        path_or_id: The dataset's folder (which holds `data/`), or an id such as "D4RL/door/human-v2".

    Returns:
        The data set. Keys: `observation` and `action`, or `observation.<name>` where the space is a
        Dict or Tuple, nested ones joined by dots; `reward`, `terminated`, `truncated`; `info.<name>` for each info
        recorded at every step. Meta: `source`, and what Minari keeps of an episode as JSON (`seed`, `options`).

    Raises:
        ImportError: minari is not installed.
        ValueError: No Minari dataset, an empty or a damaged one.
    """
    try:
        import minari
    except ImportError as error:
        raise ImportError(f'Minari datasets need minari: pip install "dreamgym[minari]" ({error})') from error
    folder = Path(path_or_id)
    data = next((place for place in (folder / "data", folder) if (place / "metadata.json").exists()), None)
    expected = "expected a folder with data/metadata.json, or the id of a dataset that `minari list local` shows"
    if data is None and folder.exists():
        raise ValueError(f"{folder} is no Minari dataset: {expected}")
    try:
        dataset = minari.load_dataset(str(path_or_id)) if data is None else minari.MinariDataset(str(data))
    except ImportError as error:  # the storage format has a package of its own
        raise ImportError(f'{path_or_id} needs more of minari: pip install "dreamgym[minari]" ({error})') from error
    except FileNotFoundError as error:
        mend = f"download it first: minari download {path_or_id}"
        raise ValueError(f"{path_or_id} is neither a folder nor a local Minari dataset: {expected}; {mend}") from error
    except DAMAGE as error:
        raise ValueError(f"{path_or_id} is a damaged Minari dataset ({error!r}): {expected}") from error
    if not len(dataset):
        raise ValueError(f"{path_or_id} has no episodes: {expected}")
    name = str(path_or_id)
    first, _ = next(_episodes(dataset, name, ()))
    return Source(
        name=f"minari:{name}",
        keys={key: array.shape[1:] for key, array in first.items()},
        open=lambda skip: _episodes(dataset, name, skip),
        num_episodes=len(dataset),
        suggested={_sensor_name(key): key for key in first if key.partition(".")[0] == "observation"},
        outcome={key: key for key in ("reward", "terminated", "truncated")},
        action=_bounds(dataset.action_space),
        next_row=frozenset({"reward", "terminated", "truncated"}),
    )


def _sensor_name(key: str) -> str:
    return key.removeprefix("observation").removeprefix(".").replace(".", "_") or "state"


def _bounds(space: Any) -> dict[str, Any] | None:
    """Bounds of a Box with finite ones; None for other spaces. 0 keeps still where it lies inside, else the middle."""
    low, high = (np.asarray(getattr(space, side, np.inf), dtype=float) for side in ("low", "high"))
    if low.ndim != 1 or not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        return None
    hold = np.where((low <= 0) & (high >= 0), 0.0, (low + high) / 2)
    return {"low": low.tolist(), "high": high.tolist(), "binary": [], "hold": hold.tolist()}


def _episodes(dataset: Any, name: str, skip: Container[str]) -> Iterator[Pair]:
    for index in dataset.episode_indices:
        source = f"minari:{dataset.id}:{int(index)}"
        if source in skip:
            continue
        try:
            data = next(iter(dataset.iterate_episodes([index])))
            details = next(iter(dataset.storage.get_episode_metadata([index])))
            observations = _flatten("observation", data.observations, dataset.observation_space)
            actions = _flatten("action", data.actions, dataset.action_space)
        except DAMAGE as error:
            mend = "delete and download it again"
            raise ValueError(f"{name}: episode {index} is damaged ({error!r}): {mend}") from error
        rows = len(data) + 1
        episode = {
            **observations,
            **{key: _one_more(array) for key, array in actions.items()},
            "reward": np.append(data.rewards, 0.0).astype(np.float32),
            "terminated": _one_more(np.asarray(data.terminations, dtype=bool)),
            "truncated": _one_more(np.asarray(data.truncations, dtype=bool)),
        }
        for key, array in _flatten("info", data.infos or {}).items():
            if array.dtype.kind in "biuf" and array.ndim and len(array) in (rows - 1, rows):
                episode[key] = array if len(array) == rows else _one_more(array)
        meta: Meta = {"source": source}
        if "seed" in details and str(details["seed"]).lstrip("-").isdigit():
            meta["seed"] = int(details["seed"])
        yield episode, meta


def _flatten(name: str, value: Any, space: Any = None) -> dict[str, np.ndarray]:
    """Nested dicts and tuples as one dict, names joined by dots; each array checked against its space, if given."""
    if isinstance(value, dict):
        items = [(key, part, None if space is None else space[key]) for key, part in value.items()]
    elif isinstance(value, tuple):
        items = [(str(i), part, None if space is None else space[i]) for i, part in enumerate(value)]
    else:
        array = np.asarray(value)
        shape = getattr(space, "shape", None)
        if shape is not None and array.shape[1:] != shape:
            # Minari 0.5.3 writes every uint8 picture as JPEG to HDF5, but decodes those of 32 pixels or more.
            note = (
                "Minari cannot read pictures of fewer than 32 pixels back from HDF5" if array.dtype == np.uint8 else ""
            )
            raise ValueError(f"{name} has rows of shape {array.shape[1:]}, its space says {shape}. {note}")
        return {name: array}
    return {key: array for part in items for key, array in _flatten(f"{name}.{part[0]}", *part[1:]).items()}


def _one_more(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, array[-1:]])
