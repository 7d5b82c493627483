"""Clips: episodes of a store as windows of a fixed number of rows, each of a whole task or of whatever it shows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dreamgym.bars import progress_bar
from dreamgym.data.shards import Meta, locked
from dreamgym.data.store import Episode, EpisodeStore, EpisodeView
from dreamgym.places import check_place

TASK, CLIP = "task", "clip"
"""Keys that a clip store has beside those it was cut from: int64, the same at every row of a clip."""

PLACE = ("of_episode", "from_row")
"""Entries of a window's meta: where in the source it was cut from."""

BATCH = 16
"""Clips a shard."""


class Piece(NamedTuple):
    """What one clip is cut from: a row of an episode, and those that follow."""

    number: int
    episode: int
    first: int


def cut_clips(
    source: EpisodeStore,
    path: str | os.PathLike[str],
    rows: int,
    keys: Sequence[str] | None = None,
    progress: bool = True,
    windows: bool = False,
) -> EpisodeStore:
    """Writes a clip store, or goes on with one: an episode of exactly ``rows`` rows for each one that succeeded.

    A clip begins where its episode does, so one split holds all of a start's frames. An episode that is shorter lingers
    on its last row, the robot held still; one that is longer is left out, since its clip would not show the task done.

    With ``windows`` every episode is cut into as many clips as fit, one after the other, whatever they show: each
    begins with the last row of the one before.

    Args:
        source: episodes of single tasks; what succeeded is told by their meta's "success" (absent: all did). With
            ``windows`` any episodes.
        path: folder of the clip store.
        rows: control steps of a clip, its first row included.
        keys: what to keep of each row, beside "action"; all that is not a snapshot by default.
        progress: whether to show a bar.
        windows: cut clips of anything, for models that actions drive.

    Returns:
        The store, with the rows' `CLIP` (the clip's number: of whole tasks the index of its episode in ``source``)
        beside the keys that were kept, and for whole tasks `TASK` (an index of ``info["tasks"]``).

    Raises:
        ValueError: rows below 2; no tasks, no episode that makes a clip, or an action that does not fit; or the folder
            holds clips of another store or length, or is being filled by another process.
    """
    check_place(path, replaced=False)
    tasks, kept = [] if windows else _tasks(source), _keys(source, keys)
    if rows < 2:
        raise ValueError(f"a clip has at least 2 rows, got {rows}")
    pieces = _windows(source, rows) if windows else [Piece(i, i, 0) for i in suitable(source, rows)]
    _check_clips(source, pieces, tasks, rows)
    layout = {k: source.keys[k] for k in kept} | {CLIP: ((), "int64")}
    about: dict[str, Any] = {"of": str(source.path), "rows": rows}
    if windows:
        info = {**source.info, "clips": {**about, "windows": True}}
    else:
        layout, info = layout | {TASK: ((), "int64")}, {**source.info, "tasks": tasks, "clips": about}
    store = EpisodeStore.create(path, layout, info)
    begun = store.info.get("clips") or {}
    same = (begun.get("rows"), begun.get("windows", False)) == (rows, windows)
    if not same or not _cut_from(source, store):
        raise ValueError(f"{path} holds clips of {begun}, asked for {info['clips']}: use another path")
    with _alone(store):
        done = {meta[CLIP] for meta in store.metas}
        chosen = [piece for piece in pieces if piece.number not in done]
        for first in progress_bar(range(0, len(chosen), BATCH), desc="clips", unit="shard", shown=progress):
            store.append(list(_clips(source, chosen[first : first + BATCH], kept, tasks, rows)))
    return store


def _windows(source: EpisodeView, rows: int) -> list[Piece]:
    """One after the other, as many as fit; numbers of the first episodes stay when more are appended."""
    places = [(i, t) for i, length in enumerate(source.lengths) for t in range(0, int(length) - rows + 1, rows - 1)]
    return [Piece(number, *place) for number, place in enumerate(places)]


def _check_clips(source: EpisodeStore, pieces: Sequence[Piece], tasks: Sequence[str], rows: int) -> None:
    """ValueError where there is nothing to cut, or a clip could not be made: asked before the first is written.

    Without ``tasks`` the clips are windows.
    """
    if not pieces and not tasks:
        longest = max(source.lengths, default=0)
        raise ValueError(f"{source.path} has no episode of {rows} rows or more: the longest has {longest}")
    if not pieces:
        lengths = source.select(_succeeded).lengths
        told = f"the shortest has {lengths.min()}" if len(lengths) else "it has none at all"
        raise ValueError(f"{source.path} has no successful episode of a task within {rows} rows: {told}")
    named = {source.metas[piece.episode]["task"] for piece in pieces} if tasks else set()
    if unknown := sorted(named - set(tasks)):
        raise ValueError(
            f"{source.path} has episodes of {unknown}, and its info names only {list(tasks)}: mend 'tasks'"
        )
    shape, action = source.keys["action"][0], source.info.get("action")
    if action is not None and shape != (len(action["low"]),):
        raise ValueError(
            f"{source.path} holds actions {shape}, its info says {len(action['low'])} entries: mend 'action'"
        )


def _cut_from(source: EpisodeStore, clips: EpisodeStore) -> bool:
    """Whether each clip's episode is the one of its number in ``source``, wherever that lies by now."""
    metas, added = source.metas, (CLIP, "length", *PLACE)
    cut = [(int(meta[PLACE[0] if PLACE[0] in meta else CLIP]), meta) for meta in clips.metas]
    return all(i < len(metas) and _without(meta, added) == _without(metas[i], added) for i, meta in cut)


def _without(meta: Meta, names: Sequence[str]) -> Meta:
    return {k: v for k, v in meta.items() if k not in names}


@contextlib.contextmanager
def _alone(store: EpisodeStore) -> Iterator[None]:
    """Holds the store against a second cutter, which would append the same clips."""
    try:
        with locked(store.path, exclusive=True, wait=False, name=".collect.lock"):
            store.refresh()
            yield
    except BlockingIOError:
        raise ValueError(f"another process is cutting clips into {store.path}: wait until it is done") from None


def suitable(source: EpisodeView, rows: int) -> list[int]:
    """Indices of the episodes that succeeded within ``rows`` rows."""
    fits = source.lengths <= rows
    return [i for i, meta in enumerate(source.metas) if fits[i] and _succeeded(meta)]


def _succeeded(meta: Meta) -> bool:
    """Whether a clip can show the task done."""
    return bool(meta.get("task")) and bool(meta.get("success", True))


def _clips(
    source: EpisodeStore, pieces: Sequence[Piece], keys: Sequence[str], tasks: Sequence[str], rows: int
) -> Iterator[tuple[Episode, Meta]]:
    metas, hold = source.metas, np.asarray((source.info.get("action") or {}).get("hold", ()), np.float32)
    for number, i, first in pieces:
        episode, meta = source.episode(i, keys), metas[i]
        if not tasks:
            out = {k: v[first : first + rows] for k, v in episode.items()} | {CLIP: np.full(rows, number)}
            yield out, {**meta, CLIP: number, **dict(zip(PLACE, (i, first), strict=True))}
            continue
        out = {k: np.concatenate([v, np.repeat(v[-1:], rows - len(v), 0)]) for k, v in episode.items()}
        if len(hold):
            out["action"][len(episode["action"]) - 1 :] = _still(episode["action"][-1], hold, source.info)
        out |= {TASK: np.full(rows, tasks.index(meta["task"])), CLIP: np.full(rows, number)}
        yield out, {**meta, CLIP: number, "length": len(episode["action"])}


def _still(last: np.ndarray, hold: np.ndarray, info: dict[str, Any]) -> np.ndarray:
    """The action that keeps the robot where it is, its two-valued entries (a gripper) as they were last."""
    action = hold.copy()
    binary = list(info["action"].get("binary", ()))
    action[binary] = last[binary]
    return action


def _tasks(source: EpisodeStore) -> list[str]:
    tasks = list(source.info.get("tasks") or dict.fromkeys(m["task"] for m in source.metas if m.get("task")))
    if not tasks:
        raise ValueError(f"{source.path} names no tasks: clips are cut from demonstrations of single tasks")
    return tasks


def _keys(source: EpisodeStore, keys: Sequence[str] | None) -> list[str]:
    left_out = ("snapshot", "success", TASK, CLIP)
    chosen = [k for k in source.keys if k not in left_out] if keys is None else source.check_keys(keys)
    return list(dict.fromkeys([*chosen, "action"]))
