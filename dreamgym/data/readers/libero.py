"""LIBERO's own demonstrations: an HDF5 file a task, read with h5py, without the libero package.

The layout, as LIBERO's scripts/create_dataset.py writes it::

    data                      attributes problem_info (JSON, with language_instruction), macros_image_convention
    data/demo_0/actions       [T, 7], and rewards, dones, states, robot_states
    data/demo_0/obs/NAME      [T, ...]: agentview_rgb, eye_in_hand_rgb, joint_states, ee_pos, ...

There row t has the action t and what was seen *after* it; here each row has what was seen and the action taken then.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.readers.source import Pair, Source
from dreamgym.data.shards import Meta
from dreamgym.sims.libero.tasks import SUITES

FRAME_RATE = 20.0  # LIBERO's control
SUGGESTED = {
    "rgb_static": "obs.agentview_rgb",
    "rgb_gripper": "obs.eye_in_hand_rgb",
    "ee_states": "obs.ee_states",
    "gripper_states": "obs.gripper_states",
    "joint_states": "obs.joint_states",
}
"""Name in a store -> key, of what a world model would read."""
_DAMAGE = (OSError, KeyError, RuntimeError, TypeError, AttributeError, ValueError, IndexError, MemoryError)
_EXPECTED = "expected LIBERO's TASK_demo.hdf5 (data/demo_0/actions, data/demo_0/obs/...), or a folder of such files"


def read_libero(path: str | os.PathLike[str], keys: Sequence[str] | None = None) -> Source:
    """Read LIBERO's HDF5 demonstrations.

    Args:
        path: a file, or a folder that holds such files, at any depth.
        keys: which arrays to read, such as "action" or "obs.agentview_rgb"; all by default.

    Returns:
        The data set. Keys: `action`, `reward`, `done`, `robot_states`, `states`, and `obs.NAME`. Images are turned
        upright. The action is that taken from the row's observation; the last row, which has none, repeats the last
        one. `reward` is 1 where the goal was reached. Meta: `source`, `task` ("libero_goal/..." where LIBERO has it,
        else the file's name) and `instruction`.

    Raises:
        ImportError: h5py is not installed.
        ValueError: no such file, a damaged one, or a key that it lacks.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise ImportError(f'LIBERO\'s demonstrations need h5py: pip install "dreamgym[libero]" ({error})') from error
    place = Path(path)
    files = [place] if place.is_file() else sorted(place.rglob("*.hdf5"))
    if not files:
        raise ValueError(f"{place} has no HDF5 files: {_EXPECTED}")
    demos = {file: _demos(file) for file in files}
    shapes = _shapes(files[0], demos[files[0]][0])
    wanted = list(shapes) if keys is None else list(keys)
    if unknown := [key for key in wanted if key not in shapes]:
        raise ValueError(f"{files[0]} has no {unknown}; it has {sorted(shapes)}")
    return Source(
        name=f"libero:{path}",
        keys={key: shapes[key] for key in wanted},
        open=lambda skip: (pair for file in files for pair in _episodes(file, demos[file], wanted, skip)),
        num_episodes=sum(len(names) for names in demos.values()),
        suggested={name: key for name, key in SUGGESTED.items() if key in wanted},
        frame_rate=FRAME_RATE,
        suite="libero",
    )


def _open(file: Path) -> Any:
    import h5py

    return h5py.File(file, "r")


def _damaged(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is no file of LIBERO's demonstrations, or damaged ({error}): {_EXPECTED}")


def _demos(file: Path) -> list[str]:
    """Names of a file's demonstrations, in the order of their numbers."""
    try:
        with _open(file) as content:
            names = [name for name in content["data"] if re.fullmatch(r"demo_\d+", name)]
    except _DAMAGE as error:
        raise _damaged(file, error) from error
    if not names:
        raise ValueError(f"{file} has no demonstrations: {_EXPECTED}")
    return sorted(names, key=lambda name: int(name[5:]))


def _arrays(demo: Any) -> dict[str, Any]:
    """Data sets of a demonstration by key."""
    names = {"actions": "action", "rewards": "reward", "dones": "done"}
    found = {names.get(name, name): demo[name] for name in demo if name != "obs"}
    found.update({f"obs.{name}": demo["obs"][name] for name in demo["obs"]})
    return found


def _shapes(file: Path, name: str) -> dict[str, tuple[int, ...]]:
    try:
        with _open(file) as content:
            return {key: tuple(array.shape[1:]) for key, array in _arrays(content["data"][name]).items()}
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def _episodes(file: Path, names: Sequence[str], keys: Sequence[str], skip: Container[str]) -> Iterator[Pair]:
    for name in names:
        source = f"libero:{'/'.join(file.resolve().parts[-2:])}:{name}"
        if source in skip:
            continue
        try:
            with _open(file) as content:
                said, upright = (
                    _about(content["data"]),
                    content["data"].attrs.get("macros_image_convention") == "opencv",
                )
                arrays = _arrays(content["data"][name])
                if missing := [key for key in keys if key not in arrays]:
                    raise ValueError(f"{name} has no {missing}, which the demonstrations before it have")
                episode = {key: np.asarray(arrays[key]) for key in keys}
        except _DAMAGE as error:
            raise _damaged(file, error) from error
        if len({len(array) for array in episode.values()}) != 1 or not len(episode[keys[0]]):
            lengths = {key: len(array) for key, array in episode.items()}
            raise ValueError(f"{file}: {name} has arrays of different lengths {lengths}: copy the file again")
        meta: Meta = {"source": source, "task": _task(file), **said}
        yield {key: _row_aligned(key, array, upright) for key, array in episode.items()}, meta


def _row_aligned(key: str, array: np.ndarray, upright: bool) -> np.ndarray:
    """An array whose row t is of the observation at t: actions and states were recorded one row before it."""
    if key.endswith("_rgb") and not upright:
        return np.ascontiguousarray(array[:, ::-1])
    return np.concatenate([array[1:], array[-1:]]) if key in ("action", "states") else array


def _about(data: Any) -> dict[str, str]:
    """The sentence, where the file has one: LIBERO's own files split it into words, converted ones do not."""
    problem = json.loads(data.attrs.get("problem_info", "{}"))
    sentence = problem.get("language_instruction", "")
    sentence = " ".join(sentence) if isinstance(sentence, list) else str(sentence)
    return {"instruction": sentence.strip('"')} if sentence else {}


def _task(file: Path) -> str:
    """A task's full name, by the file's folder and name; else the file's name alone."""
    name, folder = file.stem.removesuffix("_demo"), file.resolve().parent.name
    suites = [folder] if name in SUITES.get(folder, ()) else [suite for suite, tasks in SUITES.items() if name in tasks]
    return f"{suites[0]}/{name}" if suites else name
