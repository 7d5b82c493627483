"""Recorded windows to predict: what the model has seen of each, what it imagines, and what really came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.store import EpisodeView, Meta
from dreamgym.rewards.encode import filter_to, imagined, sensors
from dreamgym.suites import Suite
from dreamgym.types import InstructionSpec, State
from dreamgym.world_models.base import WorldModel, to_frames

HORIZONS = (1, 5, 10, 20, 25, 50)
"""Control steps that a prediction ends at where no episode is long enough for all that was asked for."""


def reachable(model: WorldModel, view: EpisodeView, context: int, steps: int) -> int:
    """Control steps of the longest prediction that some episode of ``view`` is long enough for.

    Args:
        model: any family; predictions are whole frames, and one clip at most of a model driven by instructions.
        view: episodes.
        context: frames before the prediction.
        steps: control steps that are wanted.

    Raises:
        ValueError: no episode is long enough for a single frame.
    """
    a = model.spec.actions_per_frame
    if isinstance(model.spec.action, InstructionSpec):
        steps = min(steps, model.spec.action.clip * a)
    longest = int(view.lengths.max()) if len(view) else 0
    wanted = sorted({h // a * a for h in (*HORIZONS, steps) if h <= steps} - {0}) or [a]
    found = [h for h in wanted if longest >= rows_of(context, h, a)]
    if not found:
        raise ValueError(
            f"{view.path}: the store has no held-out episodes (split 'val') that are long enough to imagine along: "
            f"{rows_of(context, wanted[0], a)} rows are needed, the longest of {len(view)} has {longest}"
        )
    return found[-1]


def rows_of(context: int, steps: int, actions_per_frame: int) -> int:
    """Rows of a window: ``context`` frames, then ``steps`` control steps."""
    return (context - 1) * actions_per_frame + steps + 1


@dataclass(frozen=True)
class Window:
    """B windows at frame rate.

    Attributes:
        frames: sensors [B, C + F, ...] and "action" [B, C + F - 1, a, A], as recorded; C real frames, F to predict.
        begin: the model's state after the C-th frame.
        context: C.
        instruction: int64 [B] of a model that is driven by instructions, or None.
    """

    frames: Mapping[str, Tensor]
    begin: State
    context: int
    instruction: Tensor | None = None

    def predict(self, model: WorldModel, generator: torch.Generator) -> Iterable[State]:
        """The model's states after each of the F frames, without real observations."""
        if self.instruction is not None:
            return model.unroll(self.begin, self.instruction, generator)
        return imagined(model, self.begin, self.frames["action"][:, self.context - 1 :].flatten(1, 2), generator)

    def sensors(self, frame: int, keys: Sequence[str]) -> dict[str, Tensor]:
        """What was recorded at ``frame``, [B, ...]."""
        return {k: self.frames[k][:, frame] for k in keys if k in self.frames}


@dataclass(frozen=True)
class Windows:
    """Windows of a view, the same for the same seed.

    Attributes:
        model: filters them.
        view: episodes, each as likely as any other.
        keys: sensors to read beside the model's own.
        num: windows in all.
        context: frames before the prediction.
        steps: control steps to predict.
        batch_size: windows at a time.
        seed: of the choice.
        openings: whether they begin with an episode's first frame, seen as a reset shows it: its history is that frame,
            with hold steps between.
        suite: whose sentences its tasks have, for a model that is driven by instructions.
    """

    model: WorldModel
    view: EpisodeView
    keys: tuple[str, ...]
    num: int
    context: int
    steps: int
    batch_size: int
    seed: int
    openings: bool = False
    suite: Suite | None = None

    def batches(self, generator: torch.Generator) -> Iterator[Window]:
        """The windows, ``batch_size`` at a time."""
        action = self.model.spec.action
        if not isinstance(action, InstructionSpec):
            yield from self._of(self.view, self.num, None, generator)
            return
        told = {s: self._following(s) for s in action.sentences}
        told = {s: v for s, v in told.items() if len(v) and v.lengths.max() >= self._rows}
        if not told:
            raise ValueError(
                f"{self.view.path}: no episode of {self._rows} rows or more follows an instruction of this model "
                f"({list(action.sentences)}): write it into the episodes' meta as 'instruction'"
            )
        for text, own in told.items():
            yield from self._of(own, -(-self.num // len(told)), action.sentences.index(text), generator)

    def _following(self, text: str) -> EpisodeView:
        return self.view.select(lambda meta: sentence(meta, self.suite) == text)

    @property
    def _rows(self) -> int:
        return rows_of(self.context, self.steps, self.model.spec.actions_per_frame)

    def _of(self, view: EpisodeView, num: int, told: int | None, generator: torch.Generator) -> Iterator[Window]:
        device, size = generator.device, min(self.batch_size, num)
        names = [k for k in view.keys if k in (*self.model.spec.observations, *self.keys, "action")]
        sampler = SequenceSampler(view, self._rows, size, names, self.seed, "episode", float(self.openings))
        for step in range(-(-num // size)):
            batch = {k: v[: num - step * size].to(device) for k, v in sampler.batch(step).items()}
            batch = {k: v for k, v in batch.items() if k in names}
            size_now = len(batch["action"])
            index = None if told is None else torch.full((size_now,), told, dtype=torch.int64, device=device)
            yield self._window(batch, index, generator)

    def _window(self, batch: dict[str, Tensor], told: Tensor | None, generator: torch.Generator) -> Window:
        model, a = self.model, self.model.spec.actions_per_frame
        context = 1 if self.openings else self.context
        frames = to_frames({k: v[:, : rows_of(context, self.steps, a)] for k, v in batch.items()}, a)
        if self.openings:
            return Window(frames, opening_state(model, frames, generator), context, told)
        if told is None:
            return Window(frames, filter_to(model, batch, context, generator), context)
        history = {k: v[:, :context] for k, v in sensors(model, frames).items()}
        history["action"] = frames["action"][:, : context - 1].flatten(1, 2)
        return Window(frames, model.start(history, generator), context, told)


def opening_state(model: WorldModel, frames: Mapping[str, Tensor], generator: torch.Generator | None = None) -> State:
    """The state after the first of ``frames`` [B, F, ...], as at a reset: H times that frame, with hold actions between
    that leave two-valued entries as the first action has them.
    """
    spec, action = model.spec, frames["action"]
    seen = sensors(model, frames)
    history = {k: v[:, :1].expand(-1, spec.history, *v.shape[2:]) for k, v in seen.items()}
    hold = torch.tensor(spec.control.hold, device=action.device).to(action)
    between = hold.repeat(len(action), (spec.history - 1) * spec.actions_per_frame, 1)
    for i in spec.control.binary:
        between[..., i] = spec.control.prepare(action[:, 0, 0])[:, None, i]
    return model.start({**history, "action": between}, generator)


def sentence(meta: Meta, suite: Suite | None) -> str | None:
    """The instruction that an episode follows: its own, or that of its task; None where it has neither."""
    if meta.get("instruction"):
        return str(meta["instruction"])
    task = meta.get("task")
    if task is None:
        return None
    return suite.instruction(task) if suite is not None else str(task).replace("_", " ")


def statistics(view: EpisodeView, keys: Sequence[str], rows: int = 200_000) -> dict[str, tuple[Tensor, Tensor]]:
    """Spread of vector sensors in recorded episodes, evenly spread over the view, at most about ``rows`` rows.

    Returns:
        By key: standard deviation [d] (1 where an entry never moves), and root mean square of the change from one row
        to the next [d].
    """
    stride = max(1, view.num_steps // rows)
    chosen = range(0, len(view), stride)
    out = {}
    for key in keys:
        parts = [torch.from_numpy(np.array(view.episode(i, [key])[key])) for i in chosen]
        values, changes = torch.cat(parts).double(), torch.cat([p.diff(dim=0) for p in parts]).double()
        mean, std = values.mean(0), values.std(0)
        std = torch.where(std > 1e-4 * (mean.abs() + std), std, 1.0)
        out[key] = (std.float(), changes.square().mean(0).sqrt().float())
    return out


def training_mean(view: EpisodeView, keys: Sequence[str], frames: int = 2048, seed: int = 0) -> dict[str, Tensor]:
    """Mean of each key over random training frames: images float32 [C, H, W] in 0..255, vectors [d]."""
    present = [k for k in keys if k in view.keys]
    sampler = SequenceSampler(view, 1, 256, present, seed)
    total: dict[str, Tensor] = {}
    rounds = -(-frames // 256)
    for step in range(rounds):
        batch = sampler.batch(step)
        for key in present:
            part = batch[key][:, 0].double().mean(0) / rounds
            total[key] = total[key] + part if key in total else part
    return {k: v.float() for k, v in total.items()}
