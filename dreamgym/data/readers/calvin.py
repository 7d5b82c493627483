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
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np

from dreamgym.data.readers.plain_pickle import load_pickled_npy
from dreamgym.data.readers.source import Pair, Source
from dreamgym.data.shards import NPY_ERRORS, Meta

# rel_actions are the ones in our units: position / 0.02 m, Euler angles / 0.05 rad, gripper -1 or +1.
CALVIN_KEYS = {
    "action": "rel_actions",
    "robot_obs": "robot_obs",
    "scene_obs": "scene_obs",
    "rgb_static": "rgb_static",
    "rgb_gripper": "rgb_gripper",
}
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError)
FRAME_RATE = 30.0  # Hz, CALVIN's control rate
_PARTS = ("training", "validation")
_TEXTS = {"task": "task", "language_instruction": "ann"}  # tasks_from -> the annotations' own word


def read_calvin(
    path: str | os.PathLike[str],
    keys: Sequence[str] | None = None,
    tasks_from: str = "task",
    max_length: int = 1000,
) -> Source:
    """Read a CALVIN dataset: `training` or `validation`, or the folder that holds both.

    Recordings there are tens of thousands of steps long, so they come in pieces of at most max_length rows.

    Args:
        path: The folder.
        keys: Which arrays of each step to read; those of `CALVIN_KEYS` by default.
        tasks_from: What names the tasks: "task", or "language_instruction", the annotators' sentences.
        max_length: Longest episode to yield.

    Returns:
        The data set; images at CALVIN's sizes (200x200 and 84x84). Meta: `source`, `split` "val" of validation/, and
        `skills` from the annotations: [task, first row, row after the last, True] for those that end in the piece.

    Raises:
        ValueError: No CALVIN dataset, or a damaged one: the folder, what was expected, the mend.
    """
    if max_length < 1:
        raise ValueError(f"max_length is at least 1, got {max_length}")
    if tasks_from not in _TEXTS:
        raise ValueError(f"CALVIN's annotations name tasks by one of {sorted(_TEXTS)}, got {tasks_from!r}")
    folder, wanted = Path(path), tuple(CALVIN_KEYS.values()) if keys is None else tuple(keys)
    parts = [folder / name for name in _PARTS if (folder / name / "ep_start_end_ids.npy").exists()] or [folder]
    # Read what is small now, so that a foreign folder is refused here and not when the first episode is asked for.
    plans = [(part, _spans(_ranges(part), max_length), _annotations(part, _TEXTS[tasks_from])) for part in parts]
    number = plans[0][1][0][1]
    return Source(
        name=f"calvin:{path}",
        keys={key: array.shape for key, array in _step(parts[0] / f"episode_{number:07d}.npz", wanted).items()},
        open=lambda skip: (piece for plan in plans for piece in _pieces(*plan, wanted, skip)),
        num_episodes=sum(len(spans) for _, spans, _ in plans),
        suggested={name: key for name, key in CALVIN_KEYS.items() if name != "action" and key in wanted},
        frame_rate=FRAME_RATE,
        suite="calvin",
        held_out=frozenset({"val"} if any(part.name == "validation" for part in parts) else ()),
    )


def _spans(ranges: np.ndarray, max_length: int) -> list[tuple[int, int, int]]:
    """The first step of the recording, the first of the piece, and the one after its last."""
    return [
        (first, start, min(start + max_length, last + 1))
        for first, last in ranges.tolist()
        for start in range(first, last + 1, max_length)
    ]


def _pieces(
    folder: Path,
    spans: list[tuple[int, int, int]],
    skills: list[tuple[str, int, int]],
    keys: Sequence[str],
    skip: Container[str],
) -> Iterator[Pair]:
    for first, start, stop in spans:
        source = f"calvin:{'/'.join(folder.resolve().parts[-2:])}:{start}-{stop - 1}"
        if source in skip:
            continue
        steps = [_step(folder / f"episode_{number:07d}.npz", keys) for number in range(start, stop)]
        _check_alike(folder, start, steps)
        inside = [
            [task, max(begin - start, 0), end + 1 - start, True]
            for task, begin, end in skills
            if first <= begin and start <= end < stop
        ]
        meta: Meta = {"source": source, "skills": inside}
        if folder.name == "validation":
            meta["split"] = "val"
        yield {key: np.stack([step[key] for step in steps]) for key in keys}, meta


def _check_alike(folder: Path, start: int, steps: list[dict[str, np.ndarray]]) -> None:
    """ValueError where a step has arrays of another shape or type than the first of its recording."""
    for number, step in enumerate(steps[1:], start + 1):
        for key, array in step.items():
            first = steps[0][key]
            if (array.shape, array.dtype) != (first.shape, first.dtype):
                raise ValueError(
                    f"{folder / f'episode_{number:07d}.npz'}: {key!r} is {array.dtype} {array.shape}, in the steps "
                    f"before it {first.dtype} {first.shape}: copy or download {folder} again"
                )


def _step(file: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names = sorted(arrays.files)
            missing = [key for key in keys if key not in names]
            step = {} if missing else {key: arrays[key] for key in keys}
    except (*NPY_ERRORS, *_ZIP_ERRORS) as error:
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


def _annotations(folder: Path, named_by: str) -> list[tuple[str, int, int]]:
    """(task, first step, last step) of each annotation; none where there is no file."""
    file = folder / "lang_annotations" / "auto_lang_ann.npy"
    if not file.exists():
        return []
    found = load_pickled_npy(file)
    try:
        tasks, spans = found["language"][named_by], found["info"]["indx"]
        if any(not isinstance(task, str) for task in tasks):
            raise TypeError("a task is a text")
        return [(task, int(begin), int(end)) for task, (begin, end) in zip(tasks, spans, strict=True)]
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        expected = f"a dict with language.{named_by} and info.indx of one length"
        raise ValueError(
            f"{file} is not what CALVIN writes ({error!r}): expected {expected}; remove it to go on"
        ) from error
