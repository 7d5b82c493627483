"""CALVIN's own dataset folders: one ``episode_%07d.npz`` per time step, ranges of them, and language annotations.

The layout, as CALVIN's dataset/README describes it::

    training/  or validation/
        episode_0000000.npz, ...               actions, rel_actions, robot_obs, scene_obs, rgb_*, depth_*
        ep_start_end_ids.npy                   int [N, 2]: first and last time step (inclusive) of each recording
        lang_annotations/auto_lang_ann.npy     optional pickled dict: {"language": {"ann", "task"}, "info": {"indx"}}
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dreamgym.data.readers.plain_pickle import load_pickled_npy
from dreamgym.data.shards import NPY_ERRORS, Meta

# rel_actions are the ones in our units: position / 0.02 m, Euler angles / 0.05 rad, gripper -1 or +1.
CALVIN_KEYS = {
    "action": "rel_actions",
    "robot_obs": "robot_obs",
    "scene_obs": "scene_obs",
    "rgb_static": "rgb_static",
    "rgb_gripper": "rgb_gripper",
}
_SPLITS = {"training": "train", "validation": "val"}


def read_calvin(
    path: str | os.PathLike[str],
    keys: Sequence[str] = tuple(CALVIN_KEYS.values()),
    max_length: int = 1000,
) -> Iterator[tuple[dict[str, np.ndarray], Meta]]:
    """Read a CALVIN dataset: `training` or `validation`, or the folder that holds both.

    Recordings there are tens of thousands of steps long, so they come in pieces of at most max_length rows.

    Args:
        path: The folder.
        keys: Which arrays of each step to read.
        max_length: Longest episode to yield.

    Returns:
        An iterator of (episode, meta); images at CALVIN's sizes (200x200 and 84x84). Meta: `source`, `split`, and
        `skills` from the annotations: [task, first row, row after the last, True] for those that end in the piece.

    Raises:
        ValueError: No CALVIN dataset, or a damaged one: the folder, what was expected, the mend.
    """
    if max_length < 1:
        raise ValueError(f"max_length is at least 1, got {max_length}")
    folder = Path(path)
    parts = [folder / name for name in _SPLITS if (folder / name / "ep_start_end_ids.npy").exists()] or [folder]
    # Read what is small now, so that a foreign folder is refused here and not when the first episode is asked for.
    plans = [(part, _ranges(part), _annotations(part)) for part in parts]
    return (piece for plan in plans for piece in _pieces(*plan, keys, max_length))


def _pieces(
    folder: Path, ranges: np.ndarray, skills: list[tuple[str, int, int]], keys: Sequence[str], max_length: int
) -> Iterator[tuple[dict[str, np.ndarray], Meta]]:
    for first, last in ranges.tolist():
        for start in range(first, last + 1, max_length):
            stop = min(start + max_length, last + 1)
            steps = [_step(folder / f"episode_{number:07d}.npz", keys) for number in range(start, stop)]
            episode = {key: np.stack([step[key] for step in steps]) for key in keys}
            inside = [
                [task, max(begin - start, 0), end + 1 - start, True]
                for task, begin, end in skills
                if first <= begin and start <= end < stop
            ]
            meta = {
                "source": f"calvin:{folder.name}:{start}-{stop - 1}",
                "split": _SPLITS.get(folder.name, "train"),
                "skills": inside,
            }
            yield episode, meta


def _step(file: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = sorted(arrays.files)
            missing = [key for key in keys if key not in names]
            step = {} if missing else {key: arrays[key] for key in keys}
    except (*NPY_ERRORS, zipfile.BadZipFile, zlib.error, struct.error) as error:
        mend = f"copy or download {file.parent} again"
        raise ValueError(
            f"{file} is missing or damaged ({error}), though ep_start_end_ids.npy lists it: {mend}"
        ) from error
    if missing:
        raise ValueError(f"{file} has no {missing}; it has {names}: ask for other keys")
    return step


def _ranges(folder: Path) -> np.ndarray:
    """First and last step of each recording, int [N, 2]."""
    expected = (
        "expected CALVIN's layout, episode_0000000.npz ... and ep_start_end_ids.npy, or a folder of training/ and "
        "validation/ with these: point at the unpacked dataset, for instance task_D_D"
    )
    file = folder / "ep_start_end_ids.npy"
    if not file.exists():
        raise ValueError(f"{folder} is no CALVIN dataset: {expected}")
    try:
        ranges = np.load(file, allow_pickle=False)
    except NPY_ERRORS as error:
        raise ValueError(f"{file} is damaged ({error}): {expected}") from error
    if ranges.ndim != 2 or ranges.shape[1:] != (2,) or ranges.dtype.kind not in "iu" or not len(ranges):
        raise ValueError(f"{file} holds {ranges.dtype} {ranges.shape}, not integers [N, 2]: {expected}")
    if bad := [pair for pair in ranges.tolist() if not 0 <= pair[0] <= pair[1]]:
        raise ValueError(f"{file} has the range {bad[0]}: {expected}")
    return ranges


def _annotations(folder: Path) -> list[tuple[str, int, int]]:
    """(task, first step, last step) of each annotation; none where there is no file."""
    file = folder / "lang_annotations" / "auto_lang_ann.npy"
    if not file.exists():
        return []
    found = load_pickled_npy(file)
    try:
        tasks, spans = found["language"]["task"], found["info"]["indx"]
        if any(not isinstance(task, str) for task in tasks):
            raise TypeError("a task is a text")
        return [(task, int(begin), int(end)) for task, (begin, end) in zip(tasks, spans, strict=True)]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        expected = "a dict with language.task and info.indx of one length"
        raise ValueError(
            f"{file} is not what CALVIN writes ({error!r}): expected {expected}; remove it to go on"
        ) from error
