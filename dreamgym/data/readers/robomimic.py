"""robomimic's HDF5 data sets (MimicGen's and RoboTurk's too), read with h5py, without the robomimic package.

The layout, as robomimic's documentation states it (commit d309eae)::

    data                      attribute env_args: JSON with env_name, type, env_kwargs
    data/demo_0/actions       [T, A], and rewards, dones, states; row t has what followed from action t
    data/demo_0/obs/NAME      [T, ...] before each action; images uint8 H W C, upright
    data/demo_0/next_obs/NAME [T, ...] after each action; may be left out
    mask/NAME                 names of demonstrations: "train", "valid", ...
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.readers.source import Pair, Source
from dreamgym.data.shards import Meta

_NAMES = {"actions": "action", "rewards": "reward", "dones": "done"}
_HELD_OUT = {"valid": "val", "val": "val", "test": "test"}
_STATE = ("eef_pos", "eef_quat", "gripper_qpos", "object")
_DAMAGE = (OSError, KeyError, RuntimeError, TypeError, AttributeError, ValueError, IndexError, MemoryError)
_EXPECTED = (
    "expected robomimic's FILE.hdf5 with data/demo_0/actions and data/demo_0/obs/...; a file of states alone gets its "
    "observations from robomimic's dataset_states_to_obs.py"
)


def read_robomimic(path: str | os.PathLike[str], keys: Sequence[str] | None = None) -> Source:
    """Read a robomimic data set.

    Where the file has `next_obs` of all that is read, an episode gets a last row: the last observation, with the last
    action repeated, reward 0 and done as before.

    Args:
        path: the HDF5 file.
        keys: which arrays to read, such as "action" or "obs.agentview_image"; all by default.

    Returns:
        The data set. Keys: `action`, `reward`, `done`, `states`, and `obs.NAME`. Meta: `source`, `task` (the
        environment's name), `instruction` where an episode has one, and `split` of demonstrations that the file's masks
        "valid" or "test" hold out. The frame rate is the environment's control frequency.

    Raises:
        ImportError: h5py is not installed.
        ValueError: no such file, a damaged one, or a key that it lacks.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise ImportError(f'robomimic\'s files need h5py: pip install "dreamgym[robomimic]" ({error})') from error
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{file} is no file: {_EXPECTED}")
    opened = _Dataset.of(file)
    wanted = list(opened.shapes) if keys is None else list(keys)
    if unknown := [key for key in wanted if key not in opened.shapes]:
        raise ValueError(f"{file} has no {unknown}; it has {sorted(opened.shapes)}")
    return Source(
        name=f"robomimic:{path}",
        keys={key: opened.shapes[key] for key in wanted},
        open=lambda skip: opened.episodes(wanted, skip),
        num_episodes=len(opened.demos),
        suggested={key.removeprefix("obs."): key for key in _suggested(wanted, opened.shapes)},
        frame_rate=opened.frame_rate,
        outcome={key: key for key in ("reward", "done") if opened.shapes.get(key) == () and key in wanted},
        next_row=frozenset({"reward", "done"}),
        held_out=frozenset(opened.splits.values()),
    )


def _suggested(keys: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Cameras, hands' poses, grippers and objects; every observation where there are none of these."""
    seen = [key for key in keys if key.startswith("obs.")]
    return [key for key in seen if len(shapes[key]) == 3 or key.endswith(_STATE)] or seen


@dataclass(frozen=True)
class _Dataset:
    """What a file says of itself.

    Attributes:
        file: its path.
        demos: names of its demonstrations, in the order of their numbers.
        shapes: key -> shape of a row, of the first demonstration.
        task: name of the environment.
        frame_rate: Hz, where the file says it.
        splits: demonstration -> split, of those that are held out.
    """

    file: Path
    demos: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    task: str
    frame_rate: float | None
    splits: dict[str, str]

    @classmethod
    def of(cls, file: Path) -> _Dataset:
        import h5py

        try:
            with h5py.File(file, "r") as content:
                data = content["data"]
                demos = sorted((n for n in data if re.fullmatch(r"demo_\d{1,9}", n)), key=lambda name: int(name[5:]))
                env = json.loads(data.attrs.get("env_args", "{}"))
                rate = (env.get("env_kwargs") or {}).get("control_freq")
                splits = _splits(content.get("mask", {}))
                first = _arrays(data[demos[0]]) if demos else {}
                shapes = {key: tuple(array.shape[1:]) for key, array in first.items()}
        except _DAMAGE as error:
            raise _damaged(file, error) from error
        if not demos or "action" not in shapes or not any(key.startswith("obs.") for key in shapes):
            raise ValueError(f"{file} has no demonstrations with actions and observations: {_EXPECTED}")
        known = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < 1e6
        held_out = {name: split for name, split in splits.items() if name in demos}
        return cls(
            file, tuple(demos), shapes, str(env.get("env_name", "")), float(rate or 0) if known else None, held_out
        )

    def episodes(self, keys: Sequence[str], skip: Container[str]) -> Iterator[Pair]:
        """Those whose `source` is not in ``skip``, in order."""
        for name in self.demos:
            source = f"robomimic:{'/'.join(self.file.resolve().parts[-2:])}:{name}"
            if source not in skip:
                yield self._episode(name, keys, source)

    def _episode(self, name: str, keys: Sequence[str], source: str) -> Pair:
        import h5py

        try:
            with h5py.File(self.file, "r") as content:
                demo = content["data"][name]
                arrays, after = _arrays(demo), demo.get("next_obs", {})
                if missing := [key for key in keys if key not in arrays]:
                    raise ValueError(f"{name} has no {missing}, which {self.demos[0]} has")
                episode = {key: np.asarray(arrays[key]) for key in keys}
                lengths = {key: len(array) for key, array in episode.items()}
                seen = {key: key.removeprefix("obs.") for key in keys if key.startswith("obs.")}
                last = {key: np.asarray(after[own][-1:]) for key, own in seen.items() if own in after}
                sentence = json.loads(demo.attrs.get("ep_meta", "{}")).get("lang")
        except _DAMAGE as error:
            raise _damaged(self.file, error) from error
        if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
            raise ValueError(f"{self.file}: {name} has arrays of different lengths {lengths}: copy the file again")
        if wrong := {k: a.shape[1:] for k, a in {**episode, **last}.items() if a.shape[1:] != self.shapes[k]}:
            expected = {key: self.shapes[key] for key in wrong}
            raise ValueError(
                f"{self.file}: {name} has rows of {wrong}, those of {self.demos[0]} are of {expected}: leave one out"
            )
        meta: Meta = {"source": source}
        meta |= {"task": self.task} if self.task else {}
        meta |= {"instruction": str(sentence)} if sentence else {}
        meta |= {"split": self.splits[name]} if name in self.splits else {}
        return (_with_end(episode, last) if seen and set(last) == set(seen) else episode), meta


def _with_end(episode: dict[str, np.ndarray], last: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With a row for what was seen after the last action."""
    ends = {key: last.get(key, array[-1:]) for key, array in episode.items()}
    if "reward" in ends:
        ends["reward"] = np.zeros_like(ends["reward"])
    return {key: np.concatenate([array, ends[key]]) for key, array in episode.items()}


def _arrays(demo: Any) -> dict[str, Any]:
    """Arrays of numbers of a demonstration, by key."""
    found = {_NAMES.get(name, name): array for name, array in demo.items() if _is_rows(name, array)}
    return found | {f"obs.{name}": array for name, array in demo["obs"].items() if _is_rows(name, array)}


def _is_rows(name: Any, array: Any) -> bool:
    """Whether this is an array with rows of numbers; a damaged file may have a name that is no text."""
    return isinstance(name, str) and hasattr(array, "dtype") and array.dtype.kind in "biuf" and array.ndim > 0


def _splits(masks: Mapping[str, Any]) -> dict[str, str]:
    """Demonstration -> split, of those that "valid" or "test" name."""
    out: dict[str, str] = {}
    for mask, split in _HELD_OUT.items():
        for name in masks.get(mask, ()):
            out[name.decode() if isinstance(name, bytes) else str(name)] = split
    return out


def _damaged(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is no file of robomimic's, or damaged ({error}): {_EXPECTED}")
