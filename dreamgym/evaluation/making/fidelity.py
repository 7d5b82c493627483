"""Open-loop fidelity of any world model on held-out episodes: how far it drifts, against baselines (DiWA S.5.4).

From ``context`` real frames the model imagines along the recorded actions, and each imagined frame is compared with the
recorded one: PSNR of every camera that it decodes, its suite's measures (metres of a hand, lights that are right), and
of every vector the error over all entries that move, in standard deviations. The baselines repeat the last real frame,
show the mean training frame, and hold what the model itself reads off the context. The same from episodes' first
frames, as a reset shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from dreamgym.bars import progress_bar
from dreamgym.data.store import EpisodeView
from dreamgym.evaluation.making.measures import Curve, StateReader, psnr, rounded_json
from dreamgym.evaluation.making.tally import Scored, Tally
from dreamgym.evaluation.making.windows import Window, Windows, followed, reachable, statistics, training_mean
from dreamgym.evaluation.making.yardstick import Yardstick
from dreamgym.fields import check_numbers
from dreamgym.suites.facts import StoreFacts, store_facts
from dreamgym.types import InstructionSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import imagined
from dreamgym.world_models.history import begin

ONE_STEP_FRAMES = 4096


@dataclass(frozen=True)
class FidelityConfig:
    """How fidelity is measured.

    Attributes:
        windows: held-out windows, and as many beginnings of episodes.
        context: real frames before the prediction; None: as many as the model's history.
        steps: control steps to predict; fewer where no episode is long enough.
        batch_size: windows at a time.
        seed: of the windows and of the model's draws.
        worst_share: share of the largest errors that the uncertainty is to point out.
        openings: whether to predict from episodes' first frames too.
    """

    windows: int = 256
    context: int | None = None
    steps: int = 50
    batch_size: int = 64
    seed: int = 0
    worst_share: float = 0.1
    openings: bool = True

    def __post_init__(self) -> None:
        check_numbers(self)
        sizes = (self.windows, self.steps, self.batch_size, 1 if self.context is None else self.context)
        if min(sizes) < 1 or not 0 < self.worst_share < 1:
            raise ValueError(f"windows, context, steps and batch_size >= 1 and worst_share in (0, 1); got {self}")


@dataclass(frozen=True)
class Fidelity:
    """The outcome of `measure_fidelity`.

    Attributes:
        config: how it was measured, with the context and the steps that it came to.
        actions_per_frame: control steps a predicted frame.
        curves: by camera, measure of the suite ("drawer", ...) or vector sensor ("state": over all entries that move).
        moving: the suite's measures on those frames alone in which the real thing has changed since the context: where
            repeating the last state is wrong. Steps at which nothing had moved hold nan.
        openings: as ``curves``, predicted from the first frames of episodes; empty if not asked for.
        uncertainty: see `rate_uncertainty`; for open-loop predictions at all steps and, with the prefix ``one_step_``,
            for predictions of one frame from a state that has seen all frames before it.
        state_source: "decoded", "probe" or "none".
    """

    config: FidelityConfig
    actions_per_frame: int
    curves: dict[str, Curve]
    moving: dict[str, Curve]
    openings: dict[str, Curve]
    uncertainty: dict[str, float]
    state_source: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        groups = {"curves": self.curves, "moving": self.moving, "openings": self.openings}
        return {
            "windows": self.config.windows,
            "context": self.config.context,
            "steps": self.config.steps,
            "seed": self.config.seed,
            "actions_per_frame": self.actions_per_frame,
            "state_source": self.state_source,
            **{name: {k: c.to_dict() for k, c in group.items()} for name, group in groups.items()},
            "uncertainty": {k: rounded_json(v) for k, v in self.uncertainty.items()},
        }


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
        held_out: episodes that it was not trained on, with its sensors and those that its suite's measures are of.
        training: its training episodes: what means and standard deviations are of.
        config: see `FidelityConfig`.
        probe: state probe for a model that does not decode its suite's vectors.
        progress: whether to show a bar.

    Raises:
        ValueError: no held-out episode is long enough, the data lack a sensor of the model, or nothing that it decodes
            is in the data.
    """
    config = FidelityConfig() if config is None else config
    if not len(training):
        raise ValueError(f"{training.path}: the store has no training episodes, which means and deviations are of")
    facts = store_facts(held_out)
    model = as_recorded(model, facts)
    context = model.spec.history if config.context is None else config.context
    held_out = followed(model, held_out)
    steps = reachable(model, held_out, context, config.steps)
    config = FidelityConfig(**{**vars(config), "context": context, "steps": steps})
    yardstick = make_yardstick(model, held_out, training, probe, config.seed)
    generator = torch.Generator(next(model.parameters()).device).manual_seed(config.seed)
    size = (config.windows, context, steps, config.batch_size, config.seed)
    run = _Run(model, yardstick, config, generator)
    for window in progress_bar(
        Windows(model, held_out, yardstick.keys, *size).batches(generator),
        desc="fidelity", shown=progress,
    ):  # fmt: skip
        run.predict(window)
        run.predict_one_step(window)
    again = _Run(model, yardstick, config, generator)
    if config.openings:
        for window in Windows(model, held_out, yardstick.keys, *size, True).batches(generator):
            again.predict(window)
    return Fidelity(
        config,
        model.spec.actions_per_frame,
        run.curves(),
        run.curves(moving=True),
        again.curves(),
        run.uncertainty(),
        yardstick.reader.source,
    )


def as_recorded(model: WorldModel, facts: StoreFacts) -> WorldModel:
    """The model as the robot sees it that the data were recorded with, where it knows that one by name.

    Raises:
        ValueError: the data are of several robots.
    """
    if facts.robots:
        raise ValueError(
            f"the store has episodes of the robots {list(facts.robots)}, whose actions mean different things: give one "
            "of the stores that it was joined of"
        )
    robot = facts.robot
    return model.embody(robot) if robot in model.spec.embodiments and model.spec.embodiment is None else model


def make_yardstick(model: WorldModel, held_out: EpisodeView, training: EpisodeView, probe: Any, seed: int) -> Yardstick:
    """What of a model is compared with held-out episodes; means and deviations are of the training episodes.

    Raises:
        ValueError: nothing that the model shows is in the data.
    """
    facts = store_facts(held_out)
    cameras = tuple(k for k in model.spec.cameras if k in held_out.keys)
    vectors = [k for k in facts.layouts if k in held_out.keys and k in training.keys]
    reader = StateReader(model, probe, vectors)
    read = tuple(k for k in vectors if k in reader.decoded or k in getattr(probe, "keys", vectors if probe else ()))
    if not cameras and not read:
        raise ValueError(
            f"nothing of this model can be compared with {held_out.path}: it decodes {list(model.spec.decodable)}, the "
            f"store holds {sorted(held_out.keys)}; fit a probe, or give a store with what the model decodes"
        )
    measures = () if facts.suite is None else facts.suite.measures
    return Yardstick(
        reader, cameras, read, measures, training_mean(training, [*cameras, *read], seed=seed),
        statistics(training, read), facts.layouts,
    )  # fmt: skip


@dataclass
class _Run:
    """Sums over windows of what was predicted: by (name, who), each [frames]."""

    model: WorldModel
    yardstick: Yardstick
    config: FidelityConfig
    generator: torch.Generator
    tally: Tally = field(init=False)
    motion: Tally = field(init=False)
    open_loop: Scored = field(init=False)
    one_step: Scored = field(init=False)

    def __post_init__(self) -> None:
        frames = self.config.steps // self.model.spec.actions_per_frame
        self.tally, self.motion = Tally(frames), Tally(frames)
        self.open_loop, self.one_step = Scored(), Scored()

    def predict(self, window: Window) -> None:
        """Predicts one batch of windows and adds its errors to the sums."""
        yardstick, last = self.yardstick, window.context - 1
        before = yardstick.recorded(window, last)
        guesses = {"repeat": before, "mean": yardstick.mean(before), "held": yardstick.reader(window.begin)}
        for t, state in enumerate(window.predict(self.model, self.generator)):
            truth = yardstick.recorded(window, last + 1 + t)
            mine = yardstick.decoded(state)
            changed = yardstick.has_moved(before, truth)
            for who, guess in ({"model": mine} | guesses).items():
                for name, value in yardstick.errors(guess, truth).items():
                    self.tally.add(name, who, t, value)
                    if name in changed:
                        self.motion.add(name, who, t, value, changed[name])
            self.open_loop.add(self.model.uncertainty(state), yardstick.distances(mine, truth))

    def predict_one_step(self, window: Window) -> None:
        """One frame ahead of every other recorded one, each from a state that has seen all frames before it."""
        if self.one_step.size >= ONE_STEP_FRAMES or isinstance(self.model.spec.action, InstructionSpec):
            return
        model, yardstick, generator = self.model, self.yardstick, self.generator
        action, observed = window.frames["action"], tuple(model.spec.observations)
        first = {k: window.frames[k][:, :1] for k in observed}
        state = begin(model, first, generator, window.told)
        actions = model.spec.prepare(action)
        for t in range(action.shape[1]):
            if t:
                state = model.observe(state, actions[:, t - 1], window.sensors(t, observed), generator)
            if t % 2 or t < window.context - 1:
                continue
            for after in imagined(model, state, action[:, t], generator):
                distances = yardstick.distances(yardstick.decoded(after), yardstick.recorded(window, t + 1))
                self.one_step.add(model.uncertainty(after), distances)

    def curves(self, moving: bool = False) -> dict[str, Curve]:
        """Means over windows; with ``moving`` the suite's measures on frames in which the real thing has moved."""
        tally, a = self.motion if moving else self.tally, self.model.spec.actions_per_frame
        steps = [a * (i + 1) for i in range(tally.frames)]
        out = {}
        for name, (unit, higher, label) in self.yardstick.units.items():
            if (name, "model") not in tally.count:
                continue
            whose = [w for w in ("model", "repeat", "mean", "held") if (name, w) in tally.count]
            means = {w: tally.mean(name, w) for w in whose}
            if name in self.yardstick.cameras:
                # PSNR of the mean squared error: a mean of decibels would be ruled by frames that stand still.
                means = {w: psnr(v) for w, v in means.items()}
            values = {w: means[w].tolist() if w in means else [] for w in ("model", "repeat", "mean", "held")}
            out[name] = Curve(unit, higher, **values, steps=steps, label=label)
        return out

    def uncertainty(self) -> dict[str, float]:
        """See `Fidelity.uncertainty`."""
        share, one = self.config.worst_share, self.one_step
        out = {"steps": self.config.steps} | self.open_loop.rate(share)
        return out | ({f"one_step_{k}": v for k, v in one.rate(share).items()} if one.size else {})
