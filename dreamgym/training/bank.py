"""Builds the start bank of a checkpoint: filtered model states from which a task can begin, each with its snapshot.

Starts are frames at which a scripted skill really began a task that it then achieved, so the task is undone, can be
done, and lies in reach. The tensors have the layout of ``starts.safetensors`` (docs/architecture.md); `StartBank` in
`dreamgym.envs.core.starts` gives them meaning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.data.store import EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.suites.facts import store_instructions, suite_of
from dreamgym.types import SPLITS, State
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filter_to
from dreamgym.world_models.instructions import told

SNAPSHOT = "snapshot"
ANY_TASK = -1  # of a start that suits every task, as `StartBank` has it
EVERY = 16  # rows between starts of an episode that is of no task
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BankConfig:
    """What a bank holds.

    Attributes:
        num_train, num_val, num_test: starts for each task and split, where the data have as many. An episode marked
            "test" gives one start in all, so that no two test starts share a scene.
        context: frames that each start is filtered over; a start near the beginning of its episode is preceded by
            hold steps, as a real reset is.
        offsets: rows into a skill at which a start may lie, as long as the task can still begin there.
        batch_size: windows filtered at a time.
        seed: of the choice and of the model's draws.
    """

    num_train: int = 200
    num_val: int = 50
    num_test: int = 50
    context: int = 16
    offsets: tuple[int, ...] = (0, 4, 8)
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        least = min(self.num_val, self.num_test, *self.offsets) if self.offsets else -1
        if min(self.num_train, self.context, self.batch_size) < 1 or least < 0:
            raise ValueError(f"num_train, context, batch_size >= 1, num_val, num_test and offsets >= 0; got {self}")

    def wanted(self, split: str) -> int:
        """Starts a task of that split."""
        return {"train": self.num_train, "val": self.num_val, "test": self.num_test}[split]


@dataclass(frozen=True)
class Candidate:
    """A row of an episode of a view at which task number ``task`` can begin; -1: any task."""

    view: EpisodeView
    episode: int
    frame: int
    task: int


def candidates(view: EpisodeView, tasks: Sequence[str], offsets: Sequence[int] = (0,)) -> list[Candidate]:
    """Rows of ``view`` at which a skill began one of ``tasks`` and achieved it.

    Play names its skills in its meta (``skills``: [name, first row, row after the last, achieved]); a demonstration is
    one skill from its first row to its first success. Of a failed attempt, or one whose success nobody marked, only
    the first row counts: its start is drawn as an expert's is. Where no task is named, every `EVERY`-th row of every
    episode is a start.
    """
    if not tasks:
        lengths = enumerate(view.lengths.tolist())
        return [Candidate(view, i, row, ANY_TASK) for i, length in lengths for row in range(0, length, EVERY)]
    out = []
    suite = suite_of(view)
    able = None if suite is None else suite.startable
    judged = () if suite is None else suite.tasks
    keys = [] if suite is None else list(suite.layouts)
    for i, meta in enumerate(view.metas):
        runs = meta.get("skills")
        if runs is None and meta.get("task") in tasks:
            marked = "success" in view.keys
            success = np.flatnonzero(view.episode(i, ["success"])["success"]) if marked else np.empty(0, int)
            runs = [[meta["task"], 0, int(success[0]) if len(success) else 1, True]]
        for name, first, stop, achieved in runs or ():
            if name not in tasks or not achieved:
                continue
            frames = np.array([first + k for k in offsets if first + k < stop], dtype=np.int64)
            good = frames
            if able is not None and name in judged and all(k in view.keys for k in keys):
                rows = view.episode(i, keys, int(first), int(stop))
                good = frames[able(name, {k: v[frames - first] for k, v in rows.items()})]
            out += [Candidate(view, i, int(frame), list(tasks).index(name)) for frame in good]
    return out


@torch.no_grad()
def build_starts(
    model: WorldModel,
    stores: Sequence[EpisodeView],
    tasks: Sequence[str],
    config: BankConfig | None = None,
    progress: bool = False,
    splits: Sequence[str] = SPLITS,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Builds the bank.

    Args:
        model: the world model, in eval mode.
        stores: play and demonstrations, with meta "split"; a start is of the split of its episode. Stores with a
            "snapshot" key give every start the simulator state of exactly that frame; with one store that lacks it,
            the bank has no snapshots.
        tasks: task names, in the order of the reward model; () for data of no task, whose starts suit any.
        config: see `BankConfig`.
        progress: whether to show a bar.
        splits: those of which the bank is to have starts.

    Returns:
        Tensors ``state/<key>`` [N, ...] fp16 (integers kept), ``task`` and ``split`` [N] int64, ``snapshot`` [N, S]
        float64; and meta: tasks, context, offsets, seed and how many starts each task has in each split.

    Raises:
        ValueError: a task has no start in the data of the first of ``splits``.
    """
    config = BankConfig() if config is None else config
    chosen, counts = _choose(stores, tasks, config, splits)
    starts = [c for c, _ in chosen]
    tensors = {f"state/{k}": v for k, v in _filter(model, starts, tasks, config, progress).items()}
    tensors["task"] = torch.tensor([c.task for c in starts])
    tensors["split"] = torch.tensor([split for _, split in chosen])
    if all(SNAPSHOT in store.keys for store in stores):
        rows = [c.view.episode(c.episode, [SNAPSHOT], c.frame, c.frame + 1)[SNAPSHOT][0] for c in starts]
        tensors[SNAPSHOT] = torch.from_numpy(np.stack(rows).astype(np.float64))
    return tensors, {
        "tasks": list(tasks),
        "context": config.context,
        "offsets": list(config.offsets),
        "seed": config.seed,
        "counts": counts,
    }


def _choose(
    stores: Sequence[EpisodeView], tasks: Sequence[str], config: BankConfig, splits: Sequence[str]
) -> tuple[list[tuple[Candidate, int]], dict[str, dict[str, int]]]:
    """Which starts, each with the index of its split, and how many each task has in each split."""
    rng = np.random.default_rng(config.seed)
    chosen: list[tuple[Candidate, int]] = []
    names = dict(enumerate(tasks)) or {ANY_TASK: "any"}
    counts: dict[str, dict[str, int]] = {task: {} for task in names.values()}
    for split in splits:
        views = [store.select(split=split) for store in stores]
        found = [c for view in views for c in candidates(view, tasks, config.offsets)]
        if split == "test":
            found = _one_each(found, len(names), config.num_test, rng)
        for i, task in names.items():
            own = [c for c in found if c.task == i]
            picked = rng.permutation(len(own))[: config.wanted(split)]
            counts[task][split] = len(picked)
            chosen += [(own[k], SPLITS.index(split)) for k in sorted(picked)]
            if len(picked) < config.wanted(split) and (split != "test" or any(len(v) for v in views)):
                _log.warning("%s: %d %s starts in the data, %d wanted", task, len(picked), split, config.wanted(split))
    for task in names.values():
        if not counts[task][splits[0]]:
            named = "training" if splits[0] == "train" else splits[0]
            raise ValueError(f"no {named} start for {task!r}: collect or import more play, or demonstrations of it")
    return chosen, counts


def join_starts(
    bank: tuple[Mapping[str, Tensor], Mapping[str, Any]], more: tuple[Mapping[str, Tensor], Mapping[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A bank with further starts after its own, which stay as they are, row by row.

    Args:
        bank: tensors and meta, as `build_starts` returns them.
        more: the same of what is added.

    Raises:
        ValueError: other tensors or tasks, or starts of a split that the bank already has.
    """
    (tensors, meta), (added, told) = bank, more
    if set(tensors) != set(added) or list(meta["tasks"]) != list(told["tasks"]):
        raise ValueError(
            f"these starts do not belong to the bank: it has {sorted(tensors)} of {list(meta['tasks'])}, they have "
            f"{sorted(added)} of {list(told['tasks'])}"
        )
    if there := sorted(set(tensors["split"].tolist()) & set(added["split"].tolist())):
        raise ValueError(f"the bank already has {[SPLITS[i] for i in there]} starts: fill it anew instead of adding")
    joined = {k: torch.cat([v, added[k].to(v.dtype)]) for k, v in tensors.items()}
    counts = {task: {**meta.get("counts", {}).get(task, {}), **told["counts"][task]} for task in told["tasks"]}
    return joined, {**meta, "counts": counts}


def _one_each(found: list[Candidate], num_tasks: int, wanted: int, rng: np.random.Generator) -> list[Candidate]:
    """One candidate of each episode, in turn for the task that has fewest so far."""
    episodes: dict[tuple[int, int], list[Candidate]] = {}
    for c in found:
        episodes.setdefault((id(c.view), c.episode), []).append(c)
    counts = np.zeros(num_tasks, np.int64)
    out = []
    groups = list(episodes.values())
    # Episodes with least choice first: a play episode can serve another task where a demonstration cannot.
    for k in sorted(rng.permutation(len(groups)), key=lambda k: len({c.task for c in groups[k]})):
        group = groups[k]
        task = min({c.task for c in group}, key=lambda t: (counts[t], t))
        if counts[task] < wanted:
            own = [c for c in group if c.task == task]
            out.append(own[int(rng.integers(len(own)))])
            counts[task] += 1
    return out


def _filter(
    model: WorldModel, starts: list[Candidate], tasks: Sequence[str], config: BankConfig, progress: bool
) -> State:
    """Model states at the starts, fp16."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    parts: list[State] = []
    for at in progress_bar(range(0, len(starts), config.batch_size), desc="start bank", shown=progress):
        batch = window_batch(model, starts[at : at + config.batch_size], config.context)
        told = sentences_of(model, starts[at : at + config.batch_size], tasks)
        state = filter_to(model, {k: v.to(device) for k, v in batch.items()}, config.context, generator, told)
        parts.append({k: (v.half() if v.is_floating_point() else v).cpu() for k, v in state.items()})
    return {k: torch.cat([p[k] for p in parts]) for k in parts[0]}


def sentences_of(model: WorldModel, starts: Sequence[Candidate], tasks: Sequence[str]) -> list[str] | None:
    """What a model that is told something is told of each start: its episode's own words, else its task's."""
    out: list[str] = []
    for c in starts:
        meta = dict(c.view.metas[c.episode])
        if c.task != ANY_TASK and meta.get("task") != tasks[c.task]:  # play: the skill of this row alone
            meta = {"task": tasks[c.task]}
        one = told(model.spec, [meta], store_instructions(c.view))
        if one is None:
            return None
        out += one
    return out


def window_batch(model: WorldModel, starts: Sequence[Candidate], context: int) -> dict[str, Tensor]:
    """The rows that ``context`` frames span which end at each start: [B, (context - 1) * a + 1, ...], torch layout.

    A frame spans a = ``spec.actions_per_frame`` rows. Rows before an episode's first are that row, with hold actions
    that keep two-valued entries (a gripper) as the first action has them.
    """
    windows: dict[str, list[np.ndarray]] = {k: [] for k in (*model.spec.observations, "action")}
    control = model.spec.control
    hold = np.asarray(control.hold, np.float32)
    length = (context - 1) * model.spec.actions_per_frame + 1
    for c in starts:
        first = max(0, c.frame - length + 1)
        rows = c.view.episode(c.episode, list(windows), first, c.frame + 1)
        missing = length - (c.frame + 1 - first)
        for key, value in rows.items():
            before = value[:1]
            if key == "action":
                before = hold[None].copy()
                for i in control.binary:
                    before[:, i] = value[0, i]
            windows[key].append(np.concatenate([np.repeat(before, missing, 0), value]))
    out = {k: torch.from_numpy(np.stack(v)) for k, v in windows.items()}
    return {k: v.movedim(-1, 2) if v.dtype == torch.uint8 and v.dim() == 5 else v for k, v in out.items()}
