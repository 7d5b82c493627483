"""Builds the start bank of a checkpoint: filtered model states from which a task can begin, each with its snapshot.

Starts are frames at which a scripted skill really began a task that it then achieved, so the task is undone, can be
done, and lies in reach. The tensors have the layout of ``starts.safetensors`` (docs/architecture.md); `StartBank` in
`dreamgym.envs.core.starts` gives them meaning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dreamgym.data.store import EpisodeView
from dreamgym.rewards.encode import filter_to
from dreamgym.rewards.tasks import startable
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

SPLITS = ("train", "val")
SNAPSHOT = "snapshot"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BankConfig:
    """What a bank holds.

    Attributes:
        num_train, num_val: starts for each task and split, where the data have as many.
        context: frames that each start is filtered over; a start near the beginning of its episode is preceded by
            hold steps, as a real reset is.
        offsets: frames into a skill at which a start may lie, as long as the task can still begin there.
        batch_size: windows filtered at a time.
        seed: of the choice and of the model's draws.
    """

    num_train: int = 200
    num_val: int = 50
    context: int = 16
    offsets: tuple[int, ...] = (0, 4, 8)
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.num_train, self.context, self.batch_size) < 1
            or self.num_val < 0
            or min(self.offsets, default=-1) < 0
        ):
            raise ValueError(f"num_train, context, batch_size >= 1, num_val and offsets >= 0; got {self}")


@dataclass(frozen=True)
class Candidate:
    """A frame of an episode of a view at which task number ``task`` can begin."""

    view: EpisodeView
    episode: int
    frame: int
    task: int


def candidates(view: EpisodeView, tasks: Sequence[str], offsets: Sequence[int] = (0,)) -> list[Candidate]:
    """Frames of ``view`` at which a skill began one of ``tasks`` and achieved it.

    Play names its skills in its meta (``skills``: [name, first row, row after the last, achieved]); a demonstration is
    one skill from its first row to its first success. Of a failed attempt only the first row counts: its start is
    drawn as an expert's is.
    """
    out = []
    for i, meta in enumerate(view.metas):
        runs = meta.get("skills")
        if runs is None and meta.get("task") in tasks:
            success = np.flatnonzero(view.episode(i, ["success"])["success"])
            runs = [[meta["task"], 0, int(success[0]) if len(success) else 1, True]]
        for name, first, stop, achieved in runs or ():
            if name not in tasks or not achieved:
                continue
            frames = np.array([first + k for k in offsets if first + k < stop], dtype=np.int64)
            good = frames
            if "scene_obs" in view.keys:  # elsewhere than in CALVIN a task that is not done yet can be done
                scene = view.episode(i, ["scene_obs"], int(first), int(stop))["scene_obs"][frames - first]
                good = frames[startable(name, scene)]
            out += [Candidate(view, i, int(frame), list(tasks).index(name)) for frame in good]
    return out


@torch.no_grad()
def build_starts(
    model: WorldModel,
    stores: Sequence[EpisodeView],
    tasks: Sequence[str],
    config: BankConfig | None = None,
    progress: bool = False,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Builds the bank.

    Args:
        model: the world model, in eval mode.
        stores: play and demonstrations, with meta "split"; a start is of the split of its episode. Stores with a
            "snapshot" key give every start the simulator state of exactly that frame; with one store that lacks it,
            the bank has no snapshots.
        tasks: task names, in the order of the reward model.
        config: see `BankConfig`.
        progress: whether to show a bar.

    Returns:
        Tensors ``state/<key>`` [N, ...] fp16 (integers kept), ``task`` and ``split`` [N] int64, ``snapshot`` [N, S]
        float64; and meta: tasks, context, seed and how many starts each task has in each split.

    Raises:
        ValueError: a task has no training start in the data.
    """
    config = BankConfig() if config is None else config
    rng = np.random.default_rng(config.seed)
    chosen: list[tuple[Candidate, int]] = []
    counts: dict[str, dict[str, int]] = {task: {} for task in tasks}
    for number, (split, wanted) in enumerate(zip(SPLITS, (config.num_train, config.num_val), strict=True)):
        found = [c for store in stores for c in candidates(store.select(split=split), tasks, config.offsets)]
        for i, task in enumerate(tasks):
            own = [c for c in found if c.task == i]
            picked = rng.permutation(len(own))[:wanted]
            counts[task][split] = len(picked)
            chosen += [(own[k], number) for k in sorted(picked)]
            if len(picked) < wanted:
                _log.warning("%s: %d %s starts in the data, %d wanted", task, len(picked), split, wanted)
    for task in tasks:
        if not counts[task]["train"]:
            raise ValueError(f"no training start for {task!r}: collect more play, or demonstrations of it")
    starts = [c for c, _ in chosen]
    tensors = {f"state/{k}": v for k, v in _filter(model, starts, config, progress).items()}
    tensors["task"] = torch.tensor([c.task for c in starts])
    tensors["split"] = torch.tensor([split for _, split in chosen])
    if all(SNAPSHOT in store.keys for store in stores):
        rows = [c.view.episode(c.episode, [SNAPSHOT], c.frame, c.frame + 1)[SNAPSHOT][0] for c in starts]
        tensors[SNAPSHOT] = torch.from_numpy(np.stack(rows).astype(np.float64))
    return tensors, {"tasks": list(tasks), "context": config.context, "seed": config.seed, "counts": counts}


def _filter(model: WorldModel, starts: list[Candidate], config: BankConfig, progress: bool) -> State:
    """Model states at the starts, fp16."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    parts: list[State] = []
    for at in tqdm(range(0, len(starts), config.batch_size), desc="start bank", disable=not progress, leave=False):
        batch = window_batch(model, starts[at : at + config.batch_size], config.context)
        state = filter_to(model, {k: v.to(device) for k, v in batch.items()}, config.context, generator)
        parts.append({k: (v.half() if v.is_floating_point() else v).cpu() for k, v in state.items()})
    return {k: torch.cat([p[k] for p in parts]) for k in parts[0]}


def window_batch(model: WorldModel, starts: Sequence[Candidate], context: int) -> dict[str, Tensor]:
    """The ``context`` frames that end at each start, with the actions between them, in torch layout [B, context, ...].

    Frames before an episode's first are that frame, with hold actions that keep the gripper as the first action does.
    """
    windows: dict[str, list[np.ndarray]] = {k: [] for k in (*model.spec.observations, "action")}
    hold = np.asarray(model.spec.action.hold, np.float32)
    for c in starts:
        first = max(0, c.frame - context + 1)
        rows = c.view.episode(c.episode, list(windows), first, c.frame + 1)
        missing = context - (c.frame + 1 - first)
        for key, value in rows.items():
            before = value[:1]
            if key == "action":
                before = hold[None].copy()
                for i in model.spec.action.binary:
                    before[:, i] = value[0, i]
            windows[key].append(np.concatenate([np.repeat(before, missing, 0), value]))
    out = {k: torch.from_numpy(np.stack(v)) for k, v in windows.items()}
    return {k: v.movedim(-1, 2) if v.dtype == torch.uint8 and v.dim() == 5 else v for k, v in out.items()}
