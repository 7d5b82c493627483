"""Open-loop fidelity of a world model on held-out play: how far it drifts, against two baselines (DiWA S.5.4).

From ``context`` real frames the model imagines along the recorded actions, and each imagined frame is compared with the
recorded one: PSNR per camera, and through the decoded state or the state probe metres of drawer, slider and hand and
the share of lights that are right. The baselines repeat the last real frame, and show the mean training frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dreamgym.data.sampler import SequenceSampler
from dreamgym.data.store import EpisodeView
from dreamgym.evaluation.making.measures import (
    MEASURES,
    UNITS,
    Curve,
    StateReader,
    as_numpy,
    moved,
    psnr,
    rounded_json,
    squared_error,
    state_errors,
)
from dreamgym.rewards.encode import filter_to, filtered, imagined
from dreamgym.training.openloop import auroc
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

STATES = ("robot_obs", "scene_obs")
BASELINES = ("model", "repeat", "mean")
ONE_STEP_FRAMES = 4096


@dataclass(frozen=True)
class FidelityConfig:
    """How fidelity is measured.

    Attributes:
        windows: held-out windows.
        context: real frames before the prediction.
        steps: predicted steps.
        batch_size: windows at a time.
        seed: of the windows and of the model's draws.
        worst_share: share of the largest errors that the uncertainty is to point out.
    """

    windows: int = 256
    context: int = 2
    steps: int = 50
    batch_size: int = 64
    seed: int = 0
    worst_share: float = 0.1

    def __post_init__(self) -> None:
        if min(self.windows, self.context, self.steps, self.batch_size) < 1 or not 0 < self.worst_share < 1:
            raise ValueError(f"windows, context, steps and batch_size >= 1 and worst_share in (0, 1); got {self}")


@dataclass(frozen=True)
class Fidelity:
    """The outcome of `measure_fidelity`.

    Attributes:
        config: how it was measured.
        curves: by measure ("rgb_static", ..., "drawer", "slider", "tcp", "bulb", "led").
        moving: the same state measures on those frames alone in which the real thing has changed since the context:
            where repeating the last state is wrong. Steps at which nothing had moved hold nan.
        uncertainty: see `judge_uncertainty`; for open-loop predictions at all steps and, with the prefix ``one_step_``,
            for predictions of one frame from a state that has seen all frames before it.
        state_source: "decoded", "probe" or "none".
    """

    config: FidelityConfig
    curves: dict[str, Curve]
    moving: dict[str, Curve]
    uncertainty: dict[str, float]
    state_source: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "windows": self.config.windows,
            "context": self.config.context,
            "steps": self.config.steps,
            "seed": self.config.seed,
            "state_source": self.state_source,
            "curves": {k: c.to_dict() for k, c in self.curves.items()},
            "moving": {k: c.to_dict() for k, c in self.moving.items()},
            "uncertainty": {k: rounded_json(v) for k, v in self.uncertainty.items()},
        }


@dataclass
class _Tally:
    """Sums over windows, by (measure, who): each value [steps]."""

    steps: int
    total: dict[tuple[str, str], np.ndarray] = field(init=False)
    count: dict[tuple[str, str], np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.total = defaultdict(lambda: np.zeros(self.steps))
        self.count = defaultdict(lambda: np.zeros(self.steps))

    def add(self, name: str, who: str, step: int, value: Tensor, keep: Tensor | None = None) -> None:
        """Adds [B] values at ``step``, those where ``keep`` [B] alone if it is given."""
        value = value if keep is None else value[keep]
        self.total[name, who][step] += float(value.sum())
        self.count[name, who][step] += value.numel()

    def mean(self, name: str, who: str) -> np.ndarray:
        """[steps], nan where nothing was counted."""
        count = self.count[name, who]
        return np.where(count > 0, self.total[name, who] / np.maximum(count, 1), np.nan)


@torch.no_grad()
def measure_fidelity(
    model: WorldModel,
    held_out: EpisodeView,
    training: EpisodeView,
    config: FidelityConfig | None = None,
    probe: Any = None,
    progress: bool = False,
) -> Fidelity:
    """Measures open-loop fidelity; deterministic for a seed.

    Args:
        model: the world model, in eval mode.
        held_out: episodes that it was not trained on, with its sensors and, for the state measures, robot_obs and
            scene_obs.
        training: its training episodes: what the mean baselines are the mean of.
        config: see `FidelityConfig`.
        probe: state probe for a model that does not decode scene_obs.
        progress: whether to show a bar.

    Raises:
        ValueError: no held-out episode is long enough, or the data lack a sensor of the model.
    """
    config = FidelityConfig() if config is None else config
    reader = StateReader(model, probe)
    mean = training_mean(training, [*model.spec.cameras, *STATES], seed=config.seed)
    generator = torch.Generator(next(model.parameters()).device).manual_seed(config.seed)
    tally, motion = _Tally(config.steps), _Tally(config.steps)
    judged, one_step = _Judged(), _Judged()
    for batch in tqdm(_windows(model, held_out, config), desc="fidelity", disable=not progress, leave=False):
        _play_window(model, reader, batch, mean, config, generator, tally, motion, judged)
        if one_step.size < ONE_STEP_FRAMES:
            _judge_one_step(model, reader, batch, config, generator, one_step)
    uncertainty = judged.verdict(config.worst_share)
    uncertainty |= {f"one_step_{k}": v for k, v in one_step.verdict(config.worst_share).items()}
    return Fidelity(
        config,
        {k: _image_curve(tally, k) for k in model.spec.cameras} | _state_curves(tally),
        _state_curves(motion),
        uncertainty,
        reader.source,
    )


def _windows(model: WorldModel, view: EpisodeView, config: FidelityConfig) -> Iterator[dict[str, Tensor]]:
    device = next(model.parameters()).device
    keys = [k for k in view.keys if k in (*model.spec.observations, *model.spec.cameras, *STATES, "action")]
    size = min(config.batch_size, config.windows)
    sampler = SequenceSampler(view, config.context + config.steps, size, keys, config.seed)
    left = config.windows
    for step in range(-(-config.windows // size)):
        yield {k: v[:left].to(device) for k, v in sampler.batch(step).items()}
        left -= size


def _play_window(
    model: WorldModel,
    reader: StateReader,
    batch: dict[str, Tensor],
    mean: dict[str, Tensor],
    config: FidelityConfig,
    generator: torch.Generator,
    tally: _Tally,
    motion: _Tally,
    judged: _Judged,
) -> None:
    """Predicts one batch of windows and adds its errors to the sums."""
    last = config.context - 1
    cameras = [k for k in model.spec.cameras if k in batch]
    states = [k for k in STATES if k in batch]
    before = {k: batch[k][:, last] for k in states}
    begin = filter_to(model, batch, config.context, generator)
    held = reader(begin)
    for t, state in enumerate(imagined(model, begin, batch["action"][:, last:-1], generator)):
        now = last + 1 + t
        images = model.decode(state, cameras) if cameras else {}
        for camera in cameras:
            truth = batch[camera][:, now]
            error = squared_error(images[camera], truth)
            tally.add(camera, "model", t, error)
            tally.add(camera, "repeat", t, squared_error(batch[camera][:, last].float() / 255, truth))
            tally.add(camera, "mean", t, squared_error(mean[camera].to(error).expand_as(images[camera]) / 255, truth))
        truths = {k: batch[k][:, now] for k in states}
        read = {k: v for k, v in reader(state).items() if k in truths}
        changed = moved(before, truths)
        always = {k: mean[k].to(v).expand_as(v) for k, v in truths.items()}
        for who, guess in (("model", read), ("repeat", before), ("mean", always), ("held", held)):
            for name, value in state_errors({k: guess[k] for k in read}, truths).items():
                tally.add(name, who, t, value)
                motion.add(name, who, t, value, changed[name])
        judged.add(model, state, images, {k: batch[k][:, now] for k in cameras}, read, truths)


def _judge_one_step(
    model: WorldModel,
    reader: StateReader,
    batch: dict[str, Tensor],
    config: FidelityConfig,
    generator: torch.Generator,
    judged: _Judged,
) -> None:
    """Predicts every other frame of the windows from the state that has seen all frames before it."""
    action = model.spec.prepare(batch["action"])
    cameras = [k for k in model.spec.cameras if k in batch]
    for t, state in enumerate(filtered(model, batch, generator, config.context + config.steps - 1)):
        if t % 2 or t < config.context - 1:
            continue
        after = model.imagine(state, action[:, t], generator)
        truths = {k: batch[k][:, t + 1] for k in STATES if k in batch}
        read = {k: v for k, v in reader(after).items() if k in truths}
        images = model.decode(after, cameras) if cameras else {}
        judged.add(model, after, images, {k: batch[k][:, t + 1] for k in cameras}, read, truths)


class _Judged:
    """Uncertainties and true errors of predictions, collected."""

    def __init__(self) -> None:
        self.unsure: list[Tensor] = []
        self.wrong: dict[str, list[Tensor]] = defaultdict(list)
        self.size = 0

    def add(
        self,
        model: WorldModel,
        state: State,
        images: dict[str, Tensor],
        frames: dict[str, Tensor],
        read: dict[str, Tensor],
        truths: dict[str, Tensor],
    ) -> None:
        """Adds one prediction of each of B windows."""
        self.unsure.append(model.uncertainty(state))
        self.size += len(self.unsure[-1])
        if images:
            errors = [squared_error(images[k], frames[k]) for k in images]
            self.wrong["image"].append(torch.stack(errors).mean(0))
        if read:
            self.wrong["state"].append(_state_distance(state_errors(read, truths)))

    def verdict(self, worst_share: float) -> dict[str, float]:
        """See `judge_uncertainty`."""
        errors = {k: as_numpy(torch.cat(v)) for k, v in self.wrong.items()}
        return judge_uncertainty(as_numpy(torch.cat(self.unsure)), errors, worst_share)


def _state_distance(errors: dict[str, Tensor]) -> Tensor:
    """One number [B] for a state's error: metres of joints and hand, a wrong light counting as 0.1 m."""
    parts = [0.1 * (1 - v) if k in ("bulb", "led") else v for k, v in errors.items()]
    return torch.stack(parts).sum(0)


def _image_curve(tally: _Tally, camera: str) -> Curve:
    """PSNR of the squared error averaged over windows: a mean of decibels would be ruled by frames that stand still."""
    return Curve("dB", True, *(psnr(tally.mean(camera, who)).tolist() for who in BASELINES))


def _state_curves(tally: _Tally) -> dict[str, Curve]:
    names = [m for m in MEASURES if (m, "model") in tally.count]
    whose = (*BASELINES, "held")
    return {m: Curve(UNITS[m], m in ("bulb", "led"), *(tally.mean(m, w).tolist() for w in whose)) for m in names}


def judge_uncertainty(unsure: np.ndarray, errors: dict[str, np.ndarray], worst_share: float) -> dict[str, float]:
    """How well uncertainty points out the worst predictions, over all windows and steps.

    Args:
        unsure: uncertainty of each prediction, [n].
        errors: true errors by kind, each [n].
        worst_share: the share of the largest errors that counts as worst.

    Returns:
        auroc_<kind> for each kind, p50 and p99 of the uncertainty. The 99th percentile is what
        `WorldModelSpec.uncertainty_limit` holds.
    """
    out = {f"auroc_{k}": auroc(unsure, e >= np.quantile(e, 1 - worst_share)) for k, e in errors.items()}
    return out | {"p50": float(np.quantile(unsure, 0.5)), "p99": float(np.quantile(unsure, 0.99))}


def training_mean(view: EpisodeView, keys: list[str], frames: int = 2048, seed: int = 0) -> dict[str, Tensor]:
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
