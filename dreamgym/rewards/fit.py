"""Training of the success classifier on marked demonstrations, play and imagination (DiWA S.2.3, Table S.4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.data.store import EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.rewards.calibrate import calibrate
from dreamgym.rewards.samples import DEMO_POSTERIOR, SOURCES, PlayWindows, Samples, add_demonstrations, add_play
from dreamgym.rewards.success import SuccessClassifier, SuccessConfig, success_loss
from dreamgym.world_models.base import WorldModel

_log = logging.getLogger(__name__)

UNTRUSTED = 0.5
"""F1, of held-out or of imagined frames, below which a task's classifier is warned of."""


@dataclass(frozen=True)
class SuccessFitConfig:
    """How a success classifier is trained.

    Attributes:
        epochs: passes over the demonstrations' frames (of an average task).
        batch_size: frames a task in an update, half of them successes.
        learning_rate: of Adam. Table S.4's 1e-6 is what `paper()` uses.
        weight_decay: decoupled.
        demo_passes: how often each demonstration is filtered, with other draws of the latents.
        imagine_steps: frames that are imagined along a demonstration's actions, from near its start and, in further
            passes, from later on. They keep the label of the real frame, so the classifier learns when to doubt.
        play_windows: windows of play that add negatives (and the successes that happen in them).
        play_context: real frames before a window's start.
        play_steps: frames of a window after its start.
        mix: how often each source is drawn, in the order of `samples.SOURCES`: filtered and imagined frames of
            demonstrations, then of play. Filtered demonstrations weigh most, since they are what a policy's episodes
            look like and their labels are sure.
        seed: of draws and weights.
    """

    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-6
    weight_decay: float = 0.0
    demo_passes: int = 2
    imagine_steps: int = 24
    play_windows: int = 256
    play_context: int = 8
    play_steps: int = 48
    mix: tuple[float, float, float, float] = (4.0, 1.0, 1.0, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.epochs < 1 or self.batch_size < 4 or self.learning_rate <= 0 or self.demo_passes < 1:
            raise ValueError(f"epochs and demo_passes >= 1, batch_size >= 4, learning_rate > 0; got {self}")
        if len(self.mix) != len(SOURCES) or min(self.mix) <= 0:
            raise ValueError(f"mix needs a positive weight for each of {SOURCES}, got {self.mix}")

    @classmethod
    def paper(cls) -> SuccessFitConfig:
        """Table S.4: 100 epochs, batch 32, learning rate 1e-6."""
        return cls()

    @classmethod
    def tiny(cls) -> SuccessFitConfig:
        """Two minutes on one core: at 1e-6 a small classifier would hardly leave its initial weights."""
        return cls(
            epochs=12,
            batch_size=64,
            learning_rate=3e-4,
            weight_decay=1e-2,
            imagine_steps=60,
            play_windows=1536,
            mix=(4.0, 1.0, 3.0, 1.0),
        )


def fit_success(
    model: WorldModel,
    demonstrations: EpisodeView,
    play: EpisodeView | None,
    config: SuccessConfig,
    fit: SuccessFitConfig | None = None,
    progress: bool = False,
    attempts: EpisodeView | None = None,
) -> tuple[SuccessClassifier, dict[str, Any]]:
    """Trains, calibrates and scores a classifier on the features of a frozen world model.

    Args:
        model: the world model, in eval mode, on the device to train on.
        demonstrations: marked episodes (key "success", meta "task" and "split" "train" or "val"), failures included.
        play: play for negatives, or None.
        config: sizes and tasks.
        fit: how to train; `SuccessFitConfig.tiny()` by default.
        progress: whether to show progress bars.
        attempts: clumsy attempts, marked like demonstrations (`dreamgym.suites.calvin.attempts`), or None. Near misses
            are what cloned policies do and experts do not: without them the classifier takes a hand's path for success.

    Returns:
        The classifier with calibrated thresholds, in eval mode, and JSON-ready metrics: per task (see `calibrate`),
        their means, the fit's config and the last losses.

    Raises:
        ValueError: a task has no success or no failure among the demonstrations of a split.
    """
    fit = SuccessFitConfig.tiny() if fit is None else fit
    device = next(model.parameters()).device
    marked = [demonstrations] if attempts is None else [demonstrations, attempts]
    train, held_out = _gather(model, config.tasks, marked, play, fit, progress)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fit.seed)
        classifier = SuccessClassifier(config).to(device)
    losses = _optimise(classifier, train, fit, progress)
    classifier.eval()
    per_task = calibrate(classifier, held_out, fit.seed)
    metrics = {"tasks": per_task, "fit": asdict(fit), "losses": losses, "frames": int(train.pool_size)}
    for key in ("f1", "f1_off_edge", "f1_imagined", "episode_f1"):
        metrics[f"mean_{key}"] = sum(m[key] for m in per_task.values()) / len(per_task)
    if not all(torch.isfinite(p).all() for p in classifier.parameters()):
        raise ValueError(
            "the success classifier's weights are not finite: what the world model imagines from these data overflows; "
            "look at its fidelity, and train the world model again (check_world_model finds faults of a family)"
        )
    _log.info("success classifier: held-out F1 %.3f, imagined %.3f", metrics["mean_f1"], metrics["mean_f1_imagined"])
    _warn_of_untrusted(per_task)
    return classifier, metrics


def _warn_of_untrusted(per_task: Mapping[str, Mapping[str, Any]]) -> None:
    """Tells of tasks whose success the classifier cannot tell."""
    for task, found in per_task.items():
        if min(found["f1"], found["f1_imagined"]) < UNTRUSTED:
            _log.warning(
                "the success classifier cannot be trusted with %r: F1 of held-out frames %.2f, of imagined ones %.2f "
                "(1 is right). The dream will pay for what is no success, or never: give it more episodes of the task, "
                "failures and near misses among them",
                task, found["f1"], found["f1_imagined"],
            )  # fmt: skip


def _gather(
    model: WorldModel,
    tasks: tuple[str, ...],
    marked: Sequence[EpisodeView],
    play: EpisodeView | None,
    fit: SuccessFitConfig,
    progress: bool,
) -> tuple[Samples, Samples]:
    """Frames to train on, and those held out."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(fit.seed)
    common: dict[str, Any] = {"generator": generator, "progress": progress}
    train, held_out = Samples(tasks), Samples(tasks)
    for view in marked:
        own = view.select(split="train")
        add_demonstrations(train, model, own, passes=fit.demo_passes, imagine_steps=fit.imagine_steps, **common)
    if play is not None and fit.play_windows:
        windows = PlayWindows(fit.play_windows, fit.play_context, fit.play_steps, seed=fit.seed)
        add_play(train, model, play, windows, **common)
    for view in marked:
        own = view.select(split="val")
        add_demonstrations(held_out, model, own, passes=2, imagine_steps=fit.imagine_steps, **common)
    for name, samples in (("train", train), ("val", held_out)):
        _check(samples, name)
    return train, held_out


def _optimise(
    classifier: SuccessClassifier, samples: Samples, fit: SuccessFitConfig, progress: bool
) -> dict[str, float]:
    device = next(classifier.parameters()).device
    draws = torch.Generator().manual_seed(fit.seed)
    pool = samples.pool().to(device)
    balanced = [_Balanced(*samples.of(i)[:3], fit.mix) for i in range(len(samples.tasks))]
    frames = sum(int((samples.of(i)[2] == DEMO_POSTERIOR).sum()) for i in range(len(balanced))) / len(balanced)
    updates = fit.epochs * max(1, round(frames / fit.demo_passes / fit.batch_size))
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay)
    label = (torch.arange(fit.batch_size) < fit.batch_size // 2).expand(len(balanced), -1).to(device)
    losses: dict[str, Tensor] = {}
    classifier.train()
    for _ in progress_bar(range(updates), desc="fit rewards", unit="update", shown=progress):
        rows = torch.stack([b.draw(fit.batch_size, draws) for b in balanced]).to(device)
        start = pool[rows[..., 1]].float() if classifier.start_layer is not None else None
        losses = success_loss(classifier, pool[rows[..., 0]].float(), start, label)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimizer.step()
    return {k: float(v.detach()) for k, v in losses.items()} | {"updates": updates}


class _Balanced:
    """Draws batches of one task: the first half successes, the second failures, each source by its weight."""

    def __init__(self, rows: Tensor, label: Tensor, source: Tensor, mix: Sequence[float]) -> None:
        self.halves = []
        for wanted in (True, False):
            found = [(rows[(label == wanted) & (source == s)], weight) for s, weight in enumerate(mix)]
            parts = [p for p, _ in found if len(p)]
            weights = torch.tensor([weight for p, weight in found if len(p)])
            length = torch.tensor([len(p) for p in parts])
            self.halves.append((torch.cat(parts), length, torch.cumsum(length, 0) - length, weights))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows [count, 2]."""
        drawn = []
        for (rows, length, offset, weights), size in zip(self.halves, (count // 2, count - count // 2), strict=True):
            which = torch.multinomial(weights, size, replacement=True, generator=generator)
            inside = (torch.rand(size, generator=generator) * length[which]).long()
            drawn.append(rows[offset[which] + inside])
        return torch.cat(drawn)


def _check(samples: Samples, split: str) -> None:
    for i, name in enumerate(samples.tasks):
        label = samples.of(i)[1]
        if not label.any() or label.all():
            kind = "failure" if label.any() else "success"
            raise ValueError(f"no {kind} of {name!r} among the {split} frames: collect more demonstrations of it")
