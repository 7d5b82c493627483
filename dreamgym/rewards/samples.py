"""What the success classifier is trained and scored on: features of frames, each with its start and its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.store import EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.rewards.encode import encode, episode_batches, load_episodes
from dreamgym.suites.facts import store_tasks, suite_of
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.instructions import told_of

DEMO_POSTERIOR, DEMO_PRIOR, PLAY_POSTERIOR, PLAY_PRIOR = range(4)
SOURCES = ("demo_posterior", "demo_prior", "play_posterior", "play_prior")


@dataclass
class Samples:
    """Labelled frames of every task over one shared pool of features.

    Attributes:
        tasks: names.
        features: chunks of the pool, each fp16 [m, Z]; `pool` joins them.
        rows: for each task, int64 [n, 2]: a frame's row in the pool and its start's row.
        label: for each task, bool [n]: success, by the recorded marks or the recorded oracle.
        source: for each task, int64 [n]: index into `SOURCES`.
        group: for each task, int64 [n]: the episode or window that the frame is of.
    """

    tasks: tuple[str, ...]
    features: list[Tensor] = field(default_factory=list)
    rows: list[list[Tensor]] = field(default_factory=list)
    label: list[list[Tensor]] = field(default_factory=list)
    source: list[list[Tensor]] = field(default_factory=list)
    group: list[list[Tensor]] = field(default_factory=list)
    pool_size: int = 0
    groups: int = 0

    def __post_init__(self) -> None:
        for name in ("rows", "label", "source", "group"):
            setattr(self, name, [[] for _ in self.tasks])

    def put(self, features: Tensor) -> Tensor:
        """Adds [B, T, Z] to the pool and returns the rows, int64 [B, T]."""
        flat = features.flatten(0, 1).to("cpu", torch.float16)
        rows = torch.arange(self.pool_size, self.pool_size + len(flat)).view(features.shape[:2])
        self.features.append(flat)
        self.pool_size += len(flat)
        return rows

    def add(self, task: int, rows: Tensor, start: Tensor, label: Tensor, source: int, group: Tensor) -> None:
        """Adds frames of one task: every argument but ``source`` is [n]."""
        self.rows[task].append(torch.stack([rows, start], 1))
        self.label[task].append(label)
        self.source[task].append(torch.full_like(rows, source))
        self.group[task].append(group)

    def pool(self) -> Tensor:
        """The pool of features, fp16 [M, Z]."""
        self.features = [torch.cat(self.features)]
        return self.features[0]

    def of(self, task: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows [n, 2], label, source and group [n] of one task."""
        parts = (self.rows[task], self.label[task], self.source[task], self.group[task])
        if not parts[0]:
            raise ValueError(f"there is no frame of {self.tasks[task]!r}: collect demonstrations of it")
        return tuple(torch.cat(p) for p in parts)  # type: ignore[return-value]


def add_demonstrations(
    samples: Samples,
    model: WorldModel,
    view: EpisodeView,
    *,
    passes: int = 2,
    imagine_steps: int = 24,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> None:
    """Adds every frame of the demonstrations and failed attempts in ``view``.

    Labels are the recorded ``success`` marks. Each pass filters the episodes anew (other draws) and imagines up to
    ``imagine_steps`` frames along the recorded actions from another place, so that the prior's latents are seen near
    the start, in the middle and at the end.

    Raises:
        ValueError: the store has no "success" key, no episode of one of the tasks, or one of which a model that is
            told something knows no sentence.
    """
    view = view.select(lambda meta: meta.get("task") in samples.tasks)
    keys = [*model.spec.observations, "action", "success"]
    device, a = _device(model), model.spec.actions_per_frame
    batches = [(p, i) for p in range(passes) for i in episode_batches(view, batch_size)]
    for number, indices in progress_bar(batches, desc="encode demonstrations", shown=progress):
        data, lengths = load_episodes(view, indices, keys)
        steps = (data["action"].shape[1] - 1) // a + 1  # frames
        context = int(np.clip(round(steps * (number + 0.5) / (passes + 0.5)) if number else min(4, steps), 1, steps))
        told = told_of(model.spec, view, indices)
        encoded = encode(model, {k: v.to(device) for k, v in data.items()}, context, generator, told)
        rows = samples.put(encoded.posterior)
        imagined = samples.put(encoded.prior[:, :imagine_steps])
        for b, i in enumerate(indices):
            task = samples.tasks.index(view.metas[i]["task"])
            group = samples.groups + i
            length, mark = (int(lengths[b]) - 1) // a + 1, data["success"][b, ::a].bool()
            for own, first, source in ((rows[b], 0, DEMO_POSTERIOR), (imagined[b], context, DEMO_PRIOR)):
                own = own[: max(0, length - first)]
                label = mark[first : first + len(own)]
                samples.add(task, own, rows[b, :1].expand(len(own)), label, source, torch.full((len(own),), group))
    samples.groups += len(view)


@dataclass(frozen=True)
class PlayWindows:
    """Windows of play.

    Attributes:
        num: how many are drawn.
        context, steps: frames of a window that are filtered first, and that follow.
        stride: every so many of those that follow is taken.
        batch_size: windows encoded at a time.
        seed: of the draws of windows.
    """

    num: int = 256
    context: int = 8
    steps: int = 48
    stride: int = 2
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)


def add_play(
    samples: Samples,
    model: WorldModel,
    view: EpisodeView,
    windows: PlayWindows,
    *,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> None:
    """Adds frames of random windows of play, filtered and imagined, for every task that could begin in the window.

    A window's start is its frame ``windows.context - 1``; labels are what the suite's oracle says of the recorded state
    since then, so most frames are negatives ("distant" ones, Table S.4).

    Args:
        samples: where they go.
        model: the world model.
        view: play of a suite whose tasks can be judged from recorded state.
        windows: how many, and of which frames.
        generator: of the model's draws.
        progress: whether to show a bar.

    Raises:
        ValueError: the store is of no suite that can judge recorded state, or lacks the sensors for it; an episode of
            which a model that is told something knows no sentence.
    """
    suite = suite_of(view)
    if suite is None or suite.succeeded is None or suite.startable is None:
        name = "no suite that is known" if suite is None else f"the suite {suite.name!r}"
        raise ValueError(f"{view.path} is of {name}, whose recorded state does not tell success: leave play out")
    a, recorded = model.spec.actions_per_frame, view.check_keys(list(suite.layouts))
    keys = list(dict.fromkeys([*model.spec.observations, "action", *recorded]))
    context, stride = windows.context, windows.stride
    length, batch_size = (context + windows.steps - 1) * a + 1, min(windows.batch_size, windows.num)
    sampler = SequenceSampler(view, length, batch_size, keys, windows.seed)
    device = _device(model)
    for step in progress_bar(range(-(-windows.num // batch_size)), desc="encode play", shown=progress):
        batch = {k: v.to(device) for k, v in sampler.batch(step).items()}
        encoded = encode(model, batch, context, generator, told_of(model.spec, view, sampler.episodes(step)))
        rows, imagined = samples.put(encoded.posterior), samples.put(encoded.prior)
        state = {k: batch[k][:, ::a].cpu().numpy() for k in recorded}
        start = {k: v[:, context - 1] for k, v in state.items()}
        later = {k: v[:, context::stride] for k, v in state.items()}
        for i, task in enumerate(samples.tasks):
            able = torch.from_numpy(suite.startable(task, start))
            label = torch.from_numpy(suite.succeeded(task, {k: v[:, None] for k, v in start.items()}, later))
            group = samples.groups + torch.arange(len(label)).unsqueeze(1).expand(label.shape)
            begin = rows[:, context - 1 : context].expand(label.shape)
            for own, source in ((rows[:, context::stride], PLAY_POSTERIOR), (imagined[:, ::stride], PLAY_PRIOR)):
                rows_of, begin_of, label_of, group_of = (x[able].flatten() for x in (own, begin, label, group))
                samples.add(i, rows_of, begin_of, label_of, source, group_of)
        samples.groups += len(rows)


def tasks_of(view: EpisodeView, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Tasks that ``view`` has episodes of, in the order of ``wanted``, or of the store where none is named.

    Raises:
        ValueError: there is no episode of one that is wanted, or none of any task.
    """
    present = {meta.get("task") for meta in view.metas}
    found = tuple(t for t in wanted or store_tasks(view) if t in present)
    missing = [t for t in wanted if t not in present]
    if missing or not found:
        have = sorted(t for t in present if t is not None)
        raise ValueError(f"{view.path} has no episode of {missing or 'any task'}: those of its episodes are {have}")
    return found


def _device(model: WorldModel) -> torch.device:
    return next(model.parameters()).device
