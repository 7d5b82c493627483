"""Two checkpoints on the same held-out episodes: is the new one worse than the old by more than a tolerance? ::

    fidelity     open-loop errors along recorded actions, by measure, as a share of the old one's
    classifier   F1 of the success model on filtered frames of marked episodes
    agreement    share of marked episodes whose success the dream, led along the recorded actions from their first
                 frame, tells as it was

Both checkpoints get the same windows, episodes and seeds. Intervals are 95% and clustered by episode: of means with
Student's quantile and the cluster-robust variance of `inference`, of F1 by a bootstrap over episodes, of shares by
`inference.paired_difference`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dreamgym.data.store import EpisodeView
from dreamgym.envs.simulators import check_recorded_in
from dreamgym.evaluation.making.fidelity import as_recorded, make_yardstick
from dreamgym.evaluation.making.measures import psnr
from dreamgym.evaluation.making.windows import Windows, followed, reachable
from dreamgym.evaluation.statistics.inference import (
    cluster_numbers,
    clustered_variance,
    paired_difference,
    student_quantile,
)
from dreamgym.fields import check_numbers
from dreamgym.rewards.encode import episode_batches, load_episodes
from dreamgym.suites.facts import store_facts
from dreamgym.world_models.filtering import filtered, frames_of, imagined
from dreamgym.world_models.instructions import told_of

if TYPE_CHECKING:
    from dreamgym.rewards.base import RewardModel
    from dreamgym.training.checkpoint import Checkpoint
    from dreamgym.world_models.base import WorldModel

ROUNDS = 2000
"""Draws of the bootstrap."""

F1, SHARE = "F1", "share"


@dataclass(frozen=True)
class GateConfig:
    """What is compared, and how much worse is too much.

    Attributes:
        tolerance: of errors a share of the old one's; of F1 and shares the difference itself.
        split: of the episodes: "val" while checkpoints are chosen, "test" for what is reported.
        windows: held-out windows for fidelity.
        steps: control steps to predict; fewer where no episode is long enough.
        episodes: marked episodes at most.
        batch_size: windows, or episodes, at a time.
        seed: of the windows and of every draw.
    """

    tolerance: float = 0.05
    split: str = "val"
    windows: int = 256
    steps: int = 50
    episodes: int = 400
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.tolerance < 0 or min(self.windows, self.steps, self.episodes, self.batch_size) < 1:
            raise ValueError(
                f"a tolerance of at least 0 and windows, steps, episodes, batch_size of 1 expected: {self}"
            )


@dataclass(frozen=True)
class Change:
    """One figure of both checkpoints.

    Attributes:
        part: "fidelity", "classifier" or "agreement".
        name: of the measure, or of the reward.
        unit: of ``old`` and ``new``: "m", "dB", "F1", "share", ...
        old, new: the figures.
        loss: by how much the new one is worse: an error's increase as a share of the old error, a drop of F1 or of a
            share. Below 0 it is better.
        low, high: its 95% interval.
        worse: above the tolerance, and surely above 0.
    """

    part: str
    name: str
    unit: str
    old: float
    new: float
    loss: float
    low: float
    high: float
    worse: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@torch.no_grad()
def compare_checkpoints(
    old: Checkpoint, new: Checkpoint, store: EpisodeView, config: GateConfig | None = None
) -> list[Change]:
    """Measures both, and what changed; parts that one of them or the store lacks are left out.

    Args:
        old, new: the checkpoints.
        store: episodes with the sensors of both; marked with "success" for the classifier and the agreement.
        config: see `GateConfig`.

    Raises:
        ValueError: episodes of another suite than one of them; no held-out episodes, fewer than two of them, or
            nothing that both show.
    """
    config = config or GateConfig()
    for opened in (old, new):
        check_recorded_in(opened, store)
    held_out = store.select(split=config.split)
    if len(held_out) < 2:
        raise ValueError(
            f"{store.path} has {len(held_out)} episodes of the split {config.split!r}: at least 2 are needed to say "
            "how sure a difference is"
        )
    found = [*_fidelity(old, new, store, held_out, config), *_success(old, new, held_out, config)]
    if not found:
        raise ValueError(f"{old.path} and {new.path} show nothing that {store.path} could tell apart")
    return found


def _change(part: str, name: str, unit: str, values: tuple[float, ...], tolerance: float) -> Change:
    old, new, loss, low, high = map(float, values)
    return Change(part, name, unit, old, new, loss, low, high, loss > tolerance and low > 0)


# ---------------------------------------------------------------------------- fidelity


def _fidelity(
    old: Checkpoint, new: Checkpoint, store: EpisodeView, held_out: EpisodeView, config: GateConfig
) -> Iterator[Change]:
    models = [as_recorded(c.model, store_facts(held_out)) for c in (old, new)]
    spans = {m.spec.actions_per_frame for m in models}
    if len(spans) > 1:
        raise ValueError(f"a frame of one spans {min(spans)} actions, of the other {max(spans)}: no window suits both")
    view = followed(models[1], followed(models[0], held_out))
    context = max(m.spec.history for m in models)
    steps = min(reachable(m, view, context, config.steps) for m in models)
    training = store.select(lambda meta: meta.get("split", "train") == "train")
    if not len(training):
        raise ValueError(f"{store.path}: the store has no training episodes, which deviations are of")
    sides, units = [], {}
    for model, probe in zip(models, (old.probe, new.probe), strict=True):
        yardstick = make_yardstick(model, view, training, probe, config.seed)
        windows = Windows(model, view, yardstick.keys, config.windows, context, steps, config.batch_size, config.seed)
        sides.append(_errors(model, windows, yardstick, config.seed))
        units = yardstick.units
    (before, episode), (after, _) = sides
    label = cluster_numbers(episode)
    if int(label.max()) < 1:
        raise ValueError(f"{store.path}: one held-out episode alone is long enough for {steps} steps: ask for fewer")
    for name, (unit, higher, _) in units.items():
        if name in before and name in after:
            yield _of_errors(name, unit, higher, before[name], after[name], label, config.tolerance)


def _errors(model: WorldModel, windows: Windows, yardstick: Any, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each window's mean error over its frames, [N] by name, and its episode, [N]."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    parts: dict[str, list[np.ndarray]] = {}
    episodes: list[int] = []
    for window in windows.batches(generator):
        frames: dict[str, list[torch.Tensor]] = {}
        for t, state in enumerate(window.predict(model, generator)):
            truth = yardstick.recorded(window, window.context + t)
            for name, value in yardstick.errors(yardstick.decoded(state), truth).items():
                frames.setdefault(name, []).append(value.double())
        for name, values in frames.items():
            parts.setdefault(name, []).append(torch.stack(values).mean(0).cpu().numpy())
        episodes += window.episodes
    return {name: np.concatenate(values) for name, values in parts.items()}, np.array(episodes)


def _of_errors(
    name: str, unit: str, higher: bool, before: np.ndarray, after: np.ndarray, label: np.ndarray, tolerance: float
) -> Change:
    """A measure's change: of shares that are right the drop, of errors the increase as a share of the old one."""
    camera = unit == "dB"
    sign = -1.0 if higher and not camera else 1.0  # cameras hold squared errors
    difference = sign * (after - before)
    scale = 1.0 if higher and not camera else max(float(before.mean()), 1e-12)
    half = student_quantile(0.95, max(1, int(label.max()))) * np.sqrt(clustered_variance(difference, label))
    loss = float(difference.mean())
    old, new = (float(psnr(x.mean())) if camera else float(x.mean()) for x in (before, after))
    return _change("fidelity", name, unit, (old, new, *((loss + d * half) / scale for d in (0, -1, 1))), tolerance)


# ---------------------------------------------------------------------------- success


@dataclass(frozen=True)
class _Told:
    """What a checkpoint says of N marked episodes: hits and wrong frames [N]; whether dream and mark agree."""

    hits: np.ndarray
    wrong: np.ndarray
    agrees: np.ndarray


def _success(old: Checkpoint, new: Checkpoint, held_out: EpisodeView, config: GateConfig) -> Iterator[Change]:
    names = [name for name in old.rewards if name in new.rewards]
    if not names or "success" not in held_out.keys:
        return
    name = "success" if "success" in names else names[0]
    rewards = [c.rewards[name] for c in (old, new)]
    tasks = [t for t in rewards[0].tasks if t in rewards[1].tasks]
    view = held_out.select(lambda meta: meta.get("task") in tasks)
    if not len(view):
        return
    view = view.first(min(len(view), config.episodes))
    before, after = (_judged(c.model, r, view, config) for c, r in zip((old, new), rewards, strict=True))
    scores = [_f1(side.hits.sum(), side.wrong.sum()) for side in (before, after)]
    rng = np.random.default_rng(config.seed)
    draws = rng.integers(len(view), size=(ROUNDS, len(view)))
    resampled = [_f1(side.hits[draws].sum(1), side.wrong[draws].sum(1)) for side in (before, after)]
    low, high = np.quantile(resampled[0] - resampled[1], (0.025, 0.975)).tolist()
    values = (float(scores[0]), float(scores[1]), float(scores[0] - scores[1]), low, high)
    yield _change("classifier", name, F1, values, config.tolerance)
    gain, least, most = paired_difference(before.agrees, after.agrees)
    values = (float(before.agrees.mean()), float(after.agrees.mean()), -gain, -most, -least)
    yield _change("agreement", name, SHARE, values, config.tolerance)


def _judged(model: WorldModel, reward: RewardModel, view: EpisodeView, config: GateConfig) -> _Told:
    """Frames and episodes of a view as the reward model sees them: filtered, and imagined from the first frame on."""
    device, a = next(model.parameters()).device, model.spec.actions_per_frame
    generator = torch.Generator(device).manual_seed(config.seed)
    hits, wrong, agrees = (np.zeros(len(view)) for _ in range(3))
    for indices in episode_batches(view, config.batch_size):
        data, lengths = load_episodes(view, indices, [*model.spec.observations, "action", "success"])
        batch, told = {k: v.to(device) for k, v in data.items()}, told_of(model.spec, view, indices)
        task = torch.tensor([reward.tasks.index(view.metas[i]["task"]) for i in indices], device=device)
        states = filtered(model, batch, generator, told=told)
        first = next(states)
        memory = reward.start(model, first, task)

        def said(state: Any, memory: Any = memory, task: Any = task) -> torch.Tensor:
            return reward.succeeded(reward.probability(model, memory, state, task), task)

        seen = _stacked(said, first, states)
        ahead = frames_of(model, batch)["action"].flatten(1, 2)
        dreamt = _stacked(said, first, imagined(model, first, ahead, generator, told))
        label = data["success"][:, ::a].bool()[:, : seen.shape[1]]
        inside = torch.arange(seen.shape[1]) < ((lengths - 1) // a + 1).unsqueeze(1)
        hits[indices] = (seen & label & inside).sum(1)
        wrong[indices] = ((seen ^ label) & inside).sum(1)
        agrees[indices] = (dreamt & inside).any(1) == (label & inside).any(1)
    return _Told(hits, wrong, agrees)


def _stacked(said: Callable[[Any], torch.Tensor], first: Any, rest: Iterator[Any]) -> torch.Tensor:
    """What is said of a state and of those after it, bool [B, F], on the CPU."""
    return torch.stack([said(first), *(said(state) for state in rest)], 1).cpu()


def _f1(hits: Any, wrong: Any) -> Any:
    """F1 of counts; 1 where there is nothing to find and nothing was found."""
    return np.where(hits + wrong > 0, 2 * hits / np.maximum(2 * hits + wrong, 1), 1.0)
