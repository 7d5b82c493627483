"""One training loop for every world-model family.

A run lives in a directory: ``fit.json`` (what was asked), ``progress/`` (weights, optimizer, average; the newest
two), ``log.jsonl`` (a line every ``log_every`` updates), ``tensorboard/``. Called again with the same directory it goes
on from the newest progress, along the curve that an unbroken run would have taken: batch i and the noise of update i
are functions of (seed, i).

Started by ``accelerate launch`` or ``torchrun`` it trains on several processes: each takes its share of every batch,
gradients are averaged, and the first one writes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.training.log import RunLog
from dreamgym.training.prefetch import Prefetcher, Sampler
from dreamgym.training.processes import Processes
from dreamgym.training.progress import latest, load_progress, read_state, save_progress
from dreamgym.training.runs import write_json
from dreamgym.training.stages import ActiveStage, Span, change, check_losses, plan, rebuild
from dreamgym.training.stop import Stop, stop_signals
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.recipe import FitConfig, Stage

__all__ = ["FitConfig", "FitResult", "fit"]

_log = logging.getLogger(__name__)

EvalFn = Callable[[WorldModel, int], dict[str, float]]

FIRST_SAVE = 20.0
"""Seconds after which a call saves for the first time."""


@dataclass
class FitResult:
    """What a run ended with.

    Attributes:
        step: updates done; fewer than asked when the run was told to stop.
        losses: the last logged line.
        metrics: what ``eval_fn`` last returned.
        stopped: the signal that ended it early, or None.
    """

    step: int
    losses: dict[str, float]
    metrics: dict[str, float]
    stopped: Stop | None = None


def fit(
    model: WorldModel,
    sampler: Sampler | Mapping[str, Sampler],
    config: FitConfig,
    run_dir: str | Path,
    eval_fn: EvalFn | None = None,
    stages: Sequence[Stage] = (Stage(),),
) -> FitResult:
    """Trains ``model`` in place; resumes where ``run_dir`` holds progress.

    Args:
        model: any family; its `loss` is minimised.
        sampler: gives batch i as a function of i; or one for each stage, by name.
        config: how.
        run_dir: where the run lives.
        eval_fn: called every ``eval_every`` updates and at the end with the model (averaged weights where an average
            is kept) and the number of updates; what it returns is logged.
        stages: parts of the run; see `Stage`.

    Returns:
        Where it ended. The model holds its last weights, not the average.

    Raises:
        FloatingPointError: twenty updates in a row had a non-finite gradient.
        ValueError: the directory holds progress of another model or of other stages; or the loss returned no dict of
            scalars with "loss".
    """
    run = _Run(model, sampler, config, Path(run_dir), eval_fn, stages)
    with stop_signals() as stop:
        return run.train(stop)


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self,
        model: WorldModel,
        sampler: Sampler | Mapping[str, Sampler],
        config: FitConfig,
        run_dir: Path,
        eval_fn: EvalFn | None,
        stages: Sequence[Stage],
    ) -> None:
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ImportError('training needs accelerate: pip install "dreamgym[train]"') from error
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        run_dir.mkdir(parents=True, exist_ok=True)
        self.model, self.config, self.run_dir, self.eval_fn = model, config, run_dir, eval_fn
        self.spans = plan(stages, config.steps)
        self.samplers = sampler if isinstance(sampler, Mapping) else {s.name: sampler for s in stages}
        self.processes = Processes.current()
        self.accelerator = Accelerator()
        self.device = self.accelerator.device
        self.main = self.processes.main
        self.own = {name: p.requires_grad for name, p in model.named_parameters()}
        model.to(self.device).train()
        self.step, self.bad = 0, 0
        self.losses: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.active = self._resume(stages)
        self.log: RunLog | None = None
        if self.main:
            write_json(run_dir / "fit.json", asdict(config))
            self.log = RunLog(run_dir, self.step, config.log, asdict(config))

    # -- stages --

    def _resume(self, stages: Sequence[Stage]) -> ActiveStage:
        """The stage under way: of the newest progress, or the first."""
        path = latest(self.run_dir)
        if path is None:
            return self._begin(self.spans[0])
        state = read_state(path)
        index, step = state["extra"].get("stage", 0), state["step"]
        span = self.spans[min(index, len(stages) - 1)]
        if span.index != index or step < span.start or span.stop < step < self.config.steps:
            raise ValueError(f"{self.run_dir}: its stages were others at update {step}: use a new run directory")
        rebuild(self.model, stages, index)
        active = self._activate(span)
        self.step, extra = load_progress(path, self.model, active.optimizer, active.ema, rng=True)
        self.metrics = extra.get("metrics", {})
        _log.info("resuming %s at update %d", self.run_dir, self.step)
        return active

    def _begin(self, span: Span) -> ActiveStage:
        """Begins a stage on the model as it stands."""
        change(span.stage.begin, self.model, _seed(self.config.seed, span.start, 0))
        return self._activate(span)

    def _activate(self, span: Span) -> ActiveStage:
        self.model.to(self.device).train()
        return ActiveStage(span, self.model, self.config, self.accelerator, self.own)

    def _next(self) -> None:
        """Ends the stage under way, from whose averaged weights the next one begins."""
        active, span = self.active, self.spans[self.active.span.index + 1]
        if active.ema is not None:
            self.model.load_state_dict(active.ema.state_dict(), strict=False)
        change(active.span.stage.end, self.model, _seed(self.config.seed, span.start, 1))
        self.active = self._begin(span)

    # -- the loop --

    def train(self, stop: Stop) -> FitResult:
        """Runs to ``config.steps`` or until ``stop`` is set."""
        first, steps = self.step, self.config.steps
        self.began = self.logged = time.monotonic()
        self.saved: float | None = None
        bar = progress_bar(total=steps, initial=first, unit="update", desc="fit", shown=self.main, leave=True)
        with bar:
            while self.step < steps and not self.processes.any(stop.is_set()):
                if self.step >= self.active.span.stop:
                    self._next()
                self._stage(stop, bar, first)
        if self.step > first:
            every = self.config.eval_every
            if self.eval_fn and not (every and self.step % every == 0) and not stop.is_set():
                self._evaluate()
            self._save()
        self.processes.wait()  # what the first one evaluates and saves takes its time
        change(self.active.span.stage.end, self.model, _seed(self.config.seed, self.step, 1))
        if self.log is not None:
            self.log.close()
        return FitResult(self.step, self.losses, self.metrics, stop if self.step < steps else None)

    def _stage(self, stop: Stop, bar: Any, first: int) -> None:
        """Updates of the stage under way."""
        config, span = self.config, self.active.span
        rank, world = self.processes.rank, self.processes.count
        with Prefetcher(self.samplers[span.stage.name], self.step, span.stop, rank, world) as batches:
            while self.step < span.stop and not self.processes.any(stop.is_set()):
                log_now = (self.step + 1) % config.log_every == 0
                values = self._update(batches.next(), log_now)
                self.step += 1
                bar.update()
                if log_now and self.log is not None:
                    now = time.monotonic()
                    values["seconds_per_update"] = (now - self.logged) / min(config.log_every, self.step - first)
                    self.logged, self.losses = now, values
                    self.log.write(self.step, span.stage.name, values)
                    bar.set_postfix(loss=f"{values['loss']:.1f}", refresh=False)
                if self.eval_fn and config.eval_every and self.step % config.eval_every == 0:
                    self._evaluate()
                    self.logged = time.monotonic()
                if time.monotonic() > self._due():
                    self._save()

    def _update(self, batch: dict[str, Tensor], want_values: bool) -> dict[str, float]:
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        seed = _seed(self.config.seed, self.step, self.processes.rank)
        generator = torch.Generator(self.device).manual_seed(seed)
        losses = self.active.loss(batch, generator)
        check_losses(losses, self.active.span.stage.name, type(self.model).__name__)
        norm = self.active.update(self.model, losses["loss"], self.step)
        self._count_bad(norm, losses)
        if not want_values:
            return {}
        values = {k: float(self.processes.mean(v.detach())) for k, v in losses.items()}
        return {**values, "grad_norm": norm, "lr": self.config.lr * self.active.rate(self.step)}

    def _count_bad(self, norm: float, losses: dict[str, Tensor]) -> None:
        if norm - norm == 0:  # finite
            self.bad = 0
            return
        self.bad += 1
        _log.warning("update %d: the gradient is not finite; the weights stay", self.step)
        if self.bad >= 20:
            values = {k: float(v.detach()) for k, v in losses.items()}
            raise FloatingPointError(
                f"20 updates in a row up to {self.step} had a non-finite gradient, losses {values}: "
                "lower the learning rate, or look for NaN in the data"
            )

    def _evaluate(self) -> None:
        assert self.eval_fn is not None
        if not self.main:
            return
        self.model.eval()
        with torch.no_grad(), self.active.averaged(self.model):
            self.metrics = self.eval_fn(self.model, self.step)
        self.model.train()
        if self.log is not None:
            self.log.write_evaluation(self.step, self.active.span.stage.name, self.metrics)

    def _due(self) -> float:
        """When to save next."""
        if self.saved is None:
            return self.began + min(FIRST_SAVE, self.config.save_every)
        return self.saved + self.config.save_every

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.main:
            extra = {"metrics": self.metrics, "stage": self.active.span.index}
            save_progress(self.run_dir, self.step, self.model, self.active.optimizer, self.active.ema, extra)


def _seed(seed: int, step: int, rank: int) -> int:
    """A seed for the noise of one update on one process."""
    return (seed * 1_000_003 + rank * 500_009_999 + step * 7_919 + 12_345) % (2**63 - 1)
