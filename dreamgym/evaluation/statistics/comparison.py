"""The same actions from the same starts, in a dream and in its twin: what was seen, and how far the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from dreamgym.evaluation.making.measures import Curve, camera_label, psnr, readable
from dreamgym.suites import Measure


@dataclass(frozen=True)
class Played:
    """What N episodes looked like, T steps each; entry 0 is the start.

    Attributes:
        frames: camera -> uint8 [N, T + 1, H, W, 3].
        state: vector sensors [N, T + 1, d] float32, as far as known.
        probability: [N, T + 1] success probability by the reward model (0 at the start).
        success: [N, T + 1] bool: in a dream by the reward model's threshold, in a twin by the simulator's rules.
        uncertainty: [N, T + 1] (0 at the start).
        seconds: time that the T steps of all N episodes took.
    """

    frames: dict[str, np.ndarray]
    state: dict[str, np.ndarray]
    probability: np.ndarray
    success: np.ndarray
    uncertainty: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Sequences:
    """Held-out action sequences, each from a start of the checkpoint's bank.

    Attributes:
        tasks: names.
        row: int64 [N], rows of the start bank.
        task: int64 [N], indices into ``tasks``.
        length: int64 [N], actions that count.
        action: float32 [N, T, A].
    """

    tasks: tuple[str, ...]
    row: np.ndarray
    task: np.ndarray
    length: np.ndarray
    action: np.ndarray

    @property
    def names(self) -> list[str]:
        """The task of each sequence."""
        return [self.tasks[i] for i in self.task]

    def mask(self) -> np.ndarray:
        """[N, T + 1] bool: steps that count, the start left out."""
        t = np.arange(self.action.shape[1] + 1)
        return (t >= 1) & (t <= self.length[:, None])


@dataclass(frozen=True)
class Agreement:
    """How far a dream and its twin agree.

    Attributes:
        curves: by measure; the baseline repeats the start, ``mean`` is empty.
        verdicts: at each step 1..T, the share of episodes in which dream and simulator agree on "done by now".
        uncertainty: mean at each step 1..T.
        episodes: for each sequence: task, length, success step in both (None: never), last probability.
    """

    curves: dict[str, Curve]
    verdicts: list[float]
    uncertainty: list[float]
    episodes: list[dict[str, Any]] = field(default_factory=list)

    def row(self, step: int) -> dict[str, float]:
        """All measures after ``step`` steps."""
        out = {name: curve.model[step - 1] for name, curve in self.curves.items()}
        return out | {"verdicts": self.verdicts[step - 1], "uncertainty": self.uncertainty[step - 1]}

    def to_dict(self, horizons: Sequence[int]) -> dict[str, Any]:
        """JSON-ready form with the figures at ``horizons``."""
        rows = {str(h): {k: float(f"{v:.5g}") for k, v in self.row(h).items()} for h in horizons}
        return {"horizons": rows, "episodes": self.episodes}


def compare(real: Played, dream: Played, sequences: Sequences, measures: Sequence[Measure] = ()) -> Agreement:
    """Agreement of a dream with reality, step by step, over the steps of each sequence that count.

    Args:
        real, dream: the same sequences in both.
        sequences: what was done.
        measures: the suite's; those that both states can be measured by are compared.
    """
    mask = sequences.mask()[:, 1:]
    curves = {}
    for camera in real.frames:
        if camera not in dream.frames:
            continue
        truth, mine = (p.frames[camera].astype(np.float32) / 255 for p in (real, dream))
        errors = [((x - truth[:, 1:]) ** 2).mean((2, 3, 4)) for x in (mine[:, 1:], truth[:, :1])]
        model, repeat = (psnr(_over(e, mask)).tolist() for e in errors)
        curves[camera] = Curve("dB", True, model, repeat, [], label=camera_label(camera))
    curves |= _state_curves(real, dream, mask, measures)
    done = [np.maximum.accumulate(p.success, 1)[:, 1:] for p in (real, dream)]
    unsure = _over(dream.uncertainty[:, 1:], mask).tolist()
    return Agreement(curves, _over(done[0] == done[1], mask).tolist(), unsure, _episodes(real, dream, sequences))


def _state_curves(real: Played, dream: Played, mask: np.ndarray, measures: Sequence[Measure]) -> dict[str, Curve]:
    keys = [k for k in dream.state if k in real.state]
    truth = {k: torch.from_numpy(real.state[k][:, 1:]) for k in keys}
    mine = {k: torch.from_numpy(dream.state[k][:, 1:]) for k in keys}
    still = {k: torch.from_numpy(real.state[k][:, :1]).expand_as(truth[k]) for k in keys}
    curves = {}
    for measure in readable(measures, truth):
        model, repeat = (_over(measure.error(guess, truth).numpy(), mask).tolist() for guess in (mine, still))
        curves[measure.name] = Curve(
            measure.unit, measure.higher_is_better, model, repeat, [], label=measure.label or measure.name
        )
    return curves


def _over(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over episodes that are still under way, [T]; the last known value where none is."""
    count = mask.sum(0)
    mean = (values * mask).sum(0) / np.maximum(count, 1)
    last = max(int(np.flatnonzero(count)[-1]), 0) if count.any() else 0
    return np.where(count > 0, mean, mean[last])


def _episodes(real: Played, dream: Played, sequences: Sequences) -> list[dict[str, Any]]:
    def first(success: np.ndarray, length: int) -> int | None:
        steps = np.flatnonzero(success[1 : length + 1])
        return int(steps[0]) + 1 if len(steps) else None

    return [
        {
            "task": name,
            "length": int(n),
            "success_step_real": first(real.success[i], n),
            "success_step_dream": first(dream.success[i], n),
            "last_probability": round(float(dream.probability[i, n]), 4),
        }
        for i, (name, n) in enumerate(zip(sequences.names, sequences.length, strict=True))
    ]
