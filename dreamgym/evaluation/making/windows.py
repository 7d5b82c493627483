"""Recorded windows to predict: what the model has seen of each, what it imagines, and what really came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.store import EpisodeView
from dreamgym.types import InstructionSpec, State
from dreamgym.world_models.base import WorldModel, to_frames
from dreamgym.world_models.filtering import filter_to, imagined, sensors
from dreamgym.world_models.history import begin, hold_actions
from dreamgym.world_models.instructions import following, known_sentences, told_of

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
        told: B sentences, of a model that is told something; else None.
        episodes: of which each is a window: B positions in the view.
    """

    frames: Mapping[str, Tensor]
    begin: State
    context: int
    told: Sequence[str] | None = None
    episodes: Sequence[int] = ()

    def predict(self, model: WorldModel, generator: torch.Generator) -> Iterable[State]:
        """The model's states after each of the F frames, without real observations."""
        ahead = self.frames["action"][:, self.context - 1 :].flatten(1, 2)
        return imagined(model, self.begin, ahead, generator, self.told)

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

    def batches(self, generator: torch.Generator) -> Iterator[Window]:
        """The windows, ``batch_size`` at a time."""
        model, size = self.model, min(self.batch_size, self.num)
        rows = rows_of(self.context, self.steps, model.spec.actions_per_frame)
        names = [k for k in self.view.keys if k in (*model.spec.observations, *self.keys, "action")]
        sampler = SequenceSampler(self.view, rows, size, names, self.seed, "episode", float(self.openings))
        for step in range(-(-self.num // size)):
            batch = {k: v for k, v in sampler.batch(step).items() if k in names}
            batch = {k: v[: self.num - step * size].to(generator.device) for k, v in batch.items()}
            episodes = [int(i) for i in sampler.episodes(step)[: len(batch["action"])]]
            yield self._window(batch, episodes, generator)

    def _window(self, batch: dict[str, Tensor], episodes: list[int], generator: torch.Generator) -> Window:
        model, a = self.model, self.model.spec.actions_per_frame
        told = told_of(model.spec, self.view, episodes)
        context = 1 if self.openings else self.context
        frames = to_frames({k: v[:, : rows_of(context, self.steps, a)] for k, v in batch.items()}, a)
        if self.openings:
            state = opening_state(model, frames, generator, told)
        elif isinstance(model.spec.action, InstructionSpec):
            # What the robot did before is control actions, which `observe` does not take.
            history = {k: v[:, :context] for k, v in sensors(model, frames).items()}
            history["action"] = frames["action"][:, : context - 1].flatten(1, 2)
            state = begin(model, history, generator, told)
        else:
            state = filter_to(model, batch, context, generator, told)
        return Window(frames, state, context, told, episodes)


def followed(model: WorldModel, view: EpisodeView) -> EpisodeView:
    """The episodes that can be predicted: all, or those that say what a model that is told something must be told.

    Raises:
        ValueError: there are episodes, and none says it.
    """
    found = following(model.spec, view)
    if len(view) and not len(found):
        raise ValueError(
            f"{view.path}: no episode follows an instruction of this model ({list(known_sentences(model.spec))}): "
            "write it into the episodes' meta as 'instruction'"
        )
    return found


def opening_state(
    model: WorldModel,
    frames: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> State:
    """The state after the first of ``frames`` [B, F, ...], as at a reset: H times that frame, with hold actions between
    that leave two-valued entries as the first action has them.
    """
    spec, action = model.spec, frames["action"]
    history = {k: v[:, :1].expand(-1, spec.history, *v.shape[2:]) for k, v in sensors(model, frames).items()}
    between = hold_actions(spec, len(action), spec.history - 1, action.device).clone()
    for i in spec.control.binary:
        between[..., i] = spec.control.prepare(action[:, 0, 0])[:, None, i]
    return begin(model, {**history, "action": between}, generator, told)


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
