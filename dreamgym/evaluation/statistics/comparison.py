"""The same actions from the same starts, in a dream and in its twin: what was seen, and how far the two agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from dreamgym.evaluation.making.measures import Curve, camera_label, psnr, readable
from dreamgym.suites import Measure


@dataclass(frozen=True)
class Trajectories:
    """What N episodes looked like, F frames each; entry 0 is the start.

    Attributes:
        frames: camera -> uint8 [N, F + 1, H, W, 3].
        state: vector sensors by name, [N, F + 1, d] float32, as far as known.
        probability: [N, F + 1] success probability by the reward model (0 at the start).
        success: [N, F + 1] bool: in a dream by the reward model's threshold, in a twin by the simulator's rules.
        uncertainty: [N, F + 1] (0 at the start).
        seconds: time that the F frames of all N episodes took.
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
        action: float32 [N, T, A], at control rate.
        actions_per_frame: a; T = F * a.
    """

    tasks: tuple[str, ...]
    row: np.ndarray
    task: np.ndarray
    length: np.ndarray
    action: np.ndarray
    actions_per_frame: int = 1

    @property
    def names(self) -> list[str]:
        """The task of each sequence."""
        return [self.tasks[i] for i in self.task]

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """All but the tasks' names, as a checkpoint's demo.safetensors holds them."""
        names = ("row", "task", "length", "action")
        return {k: torch.from_numpy(np.ascontiguousarray(getattr(self, k))) for k in names}

    def mask(self) -> np.ndarray:
        """[N, F + 1] bool: frames that count, the start left out."""
        a = self.actions_per_frame
        t = a * np.arange(self.action.shape[1] // a + 1)
        return (t >= 1) & (t <= self.length[:, None])


@dataclass(frozen=True)
class Agreement:
    """How far a dream and its twin agree.

    Attributes:
        curves: by measure; the baseline repeats the start, ``mean`` is empty.
        verdicts: at each frame 1..F, the share of episodes in which dream and simulator agree on "done by now".
        uncertainty: mean at each frame 1..F.
        episodes: for each sequence: task, length, success step in both (None: never), last probability.
        actions_per_frame: control steps from one frame to the next.
    """

    curves: dict[str, Curve]
    verdicts: list[float]
    uncertainty: list[float]
    episodes: list[dict[str, Any]] = field(default_factory=list)
    actions_per_frame: int = 1

    def row(self, step: int) -> dict[str, float]:
        """All measures at the frame after ``step`` control steps."""
        at = step // self.actions_per_frame - 1
        out = {name: curve.model[at] for name, curve in self.curves.items()}
        return out | {"verdicts": self.verdicts[at], "uncertainty": self.uncertainty[at]}

    def to_dict(self, horizons: Sequence[int]) -> dict[str, Any]:
        """JSON-ready form with the figures at ``horizons``: control steps, those at which there is a frame."""
        horizons = [h for h in horizons if h >= 1 and h % self.actions_per_frame == 0]
        rows = {str(h): {k: float(f"{v:.5g}") for k, v in self.row(h).items()} for h in horizons}
        return {"horizons": rows, "episodes": self.episodes}


def compare(
    real: Trajectories, dream: Trajectories, sequences: Sequences, measures: Iterable[Measure] = ()
) -> Agreement:
    """Agreement of a dream with reality, frame by frame, over the frames of each sequence that count.

    Args:
        real, dream: what the same actions came to.
        sequences: those actions.
        measures: of the simulator's state (`Suite.measures`); those whose sensor both know are compared.
    """
    mask = sequences.mask()[:, 1:]
    steps = [sequences.actions_per_frame * (t + 1) for t in range(mask.shape[1])]
    curves = {}
    for camera in real.frames:
        if camera not in dream.frames:
            continue
        truth, mine = (p.frames[camera].astype(np.float32) / 255 for p in (real, dream))
        errors = [((x - truth[:, 1:]) ** 2).mean((2, 3, 4)) for x in (mine[:, 1:], truth[:, :1])]
        model, repeat = (psnr(_over(e, mask)).tolist() for e in errors)
        curves[camera] = Curve("dB", True, model, repeat, [], steps=steps, label=camera_label(camera))
    curves |= _state_curves(real, dream, mask, steps, measures)
    done = [np.maximum.accumulate(p.success, 1)[:, 1:] for p in (real, dream)]
    unsure = _over(dream.uncertainty[:, 1:], mask).tolist()
    verdicts = _over(done[0] == done[1], mask).tolist()
    return Agreement(curves, verdicts, unsure, _episodes(real, dream, sequences), sequences.actions_per_frame)


def _state_curves(
    real: Trajectories, dream: Trajectories, mask: np.ndarray, steps: list[int], measures: Iterable[Measure]
) -> dict[str, Curve]:
    truth, mine = ({k: torch.from_numpy(v) for k, v in p.state.items()} for p in (real, dream))
    later, guess = ({k: v[:, 1:] for k, v in p.items()} for p in (truth, mine))
    still = {k: v[:, :1].expand_as(later[k]) for k, v in truth.items()}
    curves = {}
    for measure in readable(readable(measures, later), guess):
        model, repeat = (_over(measure.error(p, later).numpy(), mask).tolist() for p in (guess, still))
        kind = (measure.unit, measure.higher_is_better)
        curves[measure.name] = Curve(*kind, model, repeat, [], steps=steps, label=measure.label or measure.name)
    return curves


def _over(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over episodes that are still under way, [T]; the last known value where none is."""
    count = mask.sum(0)
    mean = (values * mask).sum(0) / np.maximum(count, 1)
    last = max(int(np.flatnonzero(count)[-1]), 0) if count.any() else 0
    return np.where(count > 0, mean, mean[last])


def _episodes(real: Trajectories, dream: Trajectories, sequences: Sequences) -> list[dict[str, Any]]:
    a = sequences.actions_per_frame

    def first(success: np.ndarray, frames: int) -> int | None:
        """Control steps to the first success."""
        found = np.flatnonzero(success[1 : frames + 1])
        return (int(found[0]) + 1) * a if len(found) else None

    return [
        {
            "task": name,
            "length": int(n),
            "success_step_real": first(real.success[i], n // a),
            "success_step_dream": first(dream.success[i], n // a),
            "last_probability": round(float(dream.probability[i, n // a]), 4),
        }
        for i, (name, n) in enumerate(zip(sequences.names, sequences.length, strict=True))
    ]
