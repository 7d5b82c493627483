"""One training loop for every world-model family.

A run lives in a directory: ``fit.json`` (what was asked), ``progress/`` (weights, optimizer, average; the newest
two), ``log.jsonl`` (a line every ``log_every`` updates), ``tensorboard/``. Called again with the same directory it goes
on from the newest progress, along the curve that an unbroken run would have taken: batch i and the noise of update i
are functions of (seed, i).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.training.ema import EMA
from dreamgym.training.log import open_tensorboard, truncate_log
from dreamgym.training.prefetch import Prefetcher, Sampler
from dreamgym.training.progress import latest, load_progress, save_progress
from dreamgym.training.stop import stop_signals
from dreamgym.world_models.base import WorldModel

_log = logging.getLogger(__name__)

EvalFn = Callable[[WorldModel, int], dict[str, float]]

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class FitConfig:
    """How to train. Defaults of the optimizer are DiWA's Table S.2.

    Attributes:
        steps: updates in all, those before a resume included.
        lr: peak learning rate, reached after ``warmup`` updates.
        cooldown: updates at the end over which the rate falls to zero.
        weight_decay: decoupled (AdamW).
        eps: AdamW's epsilon.
        betas: AdamW's moment decays.
        grad_clip: largest gradient norm.
        ema: decay of the weights' moving average, or None for none.
        seed: of the noise in every update (batches have the sampler's own seed).
        precision: "fp32", or "bf16" for autocast (twice as fast on CPUs with AMX, and on GPUs).
        compile: torch.compile the loss.
        threads: torch threads for the run, or None to leave them.
        checkpoint_every_s: seconds between saves of progress.
        log_every: updates between lines of the log.
        eval_every: updates between calls of ``eval_fn``; 0 for never.
    """

    steps: int = 15_000
    lr: float = 3e-4
    warmup: int = 500
    cooldown: int = 0
    weight_decay: float = 5e-2
    eps: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    grad_clip: float = 100.0
    ema: float | None = None
    seed: int = 0
    precision: str = "fp32"
    compile: bool = False
    threads: int | None = None
    checkpoint_every_s: float = 180.0
    log_every: int = 20
    eval_every: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")
        for name in ("steps", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.lr <= 0 or self.grad_clip <= 0:
            raise ValueError(f"lr and grad_clip must be positive, got {self.lr} and {self.grad_clip}")

    def lr_at(self, step: int) -> float:
        """Learning rate of update ``step`` (from 0)."""
        scale = min(1.0, (step + 1) / max(1, self.warmup))
        if self.cooldown:
            scale = min(scale, max(0.0, (self.steps - step) / self.cooldown))
        return self.lr * scale


@dataclass
class FitResult:
    """What a run ended with.

    Attributes:
        step: updates done; fewer than asked when the run was told to stop.
        losses: the last logged line.
        metrics: what ``eval_fn`` last returned.
    """

    step: int
    losses: dict[str, float]
    metrics: dict[str, float]


class LossModule(nn.Module):
    """Makes a model's `loss` a forward pass, which is what data-parallel wrappers and compilers hook into."""

    def __init__(self, model: WorldModel, precision: str) -> None:
        super().__init__()
        self.model = model
        self.mixed = precision == "bf16"

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """`WorldModel.loss`."""
        # Not accelerate's own mixed precision: that is one choice for the whole process.
        with torch.autocast(generator.device.type, torch.bfloat16, enabled=self.mixed):
            return self.model.loss(batch, generator)


def fit(
    model: WorldModel, sampler: Sampler, config: FitConfig, run_dir: str | Path, eval_fn: EvalFn | None = None
) -> FitResult:
    """Trains ``model`` in place; resumes where ``run_dir`` holds progress.

    Args:
        model: any family; its `loss` is minimised.
        sampler: gives batch i as a function of i.
        config: how.
        run_dir: where the run lives.
        eval_fn: called every ``eval_every`` updates and at the end with the model (averaged weights where an average
            is kept) and the number of updates; what it returns is logged.

    Returns:
        Where it ended. The model holds its last weights, not the average.

    Raises:
        FloatingPointError: twenty updates in a row had a non-finite gradient.
    """
    run = _Run(model, sampler, config, Path(run_dir), eval_fn)
    with stop_signals() as stop:
        return run.train(stop)


class _Run:
    """The state of one call of `fit`."""

    def __init__(
        self, model: WorldModel, sampler: Sampler, config: FitConfig, run_dir: Path, eval_fn: EvalFn | None
    ) -> None:
        try:
            from accelerate import Accelerator
        except ImportError as error:
            raise ImportError('training needs accelerate: pip install "dreamgym[train]"') from error
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        run_dir.mkdir(parents=True, exist_ok=True)
        self.model, self.sampler, self.config, self.run_dir, self.eval_fn = model, sampler, config, run_dir, eval_fn
        self.accelerator = Accelerator()
        self.device = self.accelerator.device
        model.to(self.device).train()
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        loss: Any = LossModule(model, config.precision)
        if config.compile:
            loss = torch.compile(loss)
        self.loss, self.optimizer = self.accelerator.prepare(loss, optimizer)
        self.ema = EMA(model, config.ema) if config.ema is not None else None
        self.step, self.bad = 0, 0
        self.metrics: dict[str, float] = {}
        self.losses: dict[str, float] = {}
        self._resume()

    def _resume(self) -> None:
        path = latest(self.run_dir)
        if path is not None:
            self.step, extra = load_progress(path, self.model, self._adam, self.ema, rng=True)
            self.metrics = extra.get("metrics", {})
            _log.info("resuming %s at update %d", self.run_dir, self.step)
        if self.accelerator.is_main_process:
            truncate_log(self.run_dir / "log.jsonl", self.step)
            (self.run_dir / "fit.json").write_text(json.dumps(asdict(self.config), indent=1))

    @property
    def _adam(self) -> torch.optim.Optimizer:
        """The optimizer under accelerate's wrapper."""
        inner: torch.optim.Optimizer = self.optimizer.optimizer
        return inner

    def train(self, stop: threading.Event) -> FitResult:
        """Runs to ``config.steps`` or until ``stop`` is set."""
        from tqdm.auto import tqdm

        config = self.config
        main = self.accelerator.is_main_process
        writer = open_tensorboard(self.run_dir, self.step) if main else None
        saved = logged = time.monotonic()
        first = self.step
        bar = tqdm(
            total=config.steps, initial=self.step, unit="update", dynamic_ncols=True, disable=not main, mininterval=2
        )
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        with bar, Prefetcher(self.sampler, self.step, config.steps, rank, world) as batches:
            while self.step < config.steps and not stop.is_set():
                log_now = (self.step + 1) % config.log_every == 0
                values = self._update(batches.next(), log_now)
                self.step += 1
                bar.update()
                if log_now and main:
                    now = time.monotonic()
                    values["seconds_per_update"] = (now - logged) / min(config.log_every, self.step - first)
                    logged = now
                    self._write(values, writer)
                    bar.set_postfix(loss=f"{values['loss']:.1f}", refresh=False)
                if self.eval_fn and config.eval_every and self.step % config.eval_every == 0:
                    self._evaluate(writer)
                    logged = time.monotonic()
                if main and time.monotonic() - saved > config.checkpoint_every_s:
                    self._save()
                    saved = time.monotonic()
        if self.step > first:
            if self.eval_fn and not (config.eval_every and self.step % config.eval_every == 0) and not stop.is_set():
                self._evaluate(writer)
            if main:
                self._save()
        if writer is not None:
            writer.close()
        return FitResult(self.step, self.losses, self.metrics)

    def _update(self, batch: dict[str, Tensor], want_values: bool) -> dict[str, float]:
        for group in self._adam.param_groups:
            group["lr"] = self.config.lr_at(self.step)
        batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
        rank = self.accelerator.process_index
        generator = torch.Generator(self.device).manual_seed(_seed(self.config.seed, self.step, rank))
        losses = self.loss(batch, generator)
        self.accelerator.backward(losses["loss"])
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.grad_clip)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.bad = 0
            if self.ema is not None:
                self.ema.update(self.model)
        else:
            self._count_bad(losses)
        self.optimizer.zero_grad(set_to_none=True)
        if not want_values:
            return {}
        values = {k: float(v.detach()) for k, v in losses.items()}
        return {**values, "grad_norm": float(norm), "lr": self.config.lr_at(self.step)}

    def _count_bad(self, losses: dict[str, Tensor]) -> None:
        self.bad += 1
        _log.warning("update %d: the gradient is not finite; the weights stay", self.step)
        if self.bad >= 20:
            values = {k: float(v.detach()) for k, v in losses.items()}
            raise FloatingPointError(
                f"20 updates in a row up to {self.step} had a non-finite gradient, losses {values}: "
                "lower the learning rate, or look for NaN in the data"
            )

    def _write(self, values: dict[str, float], writer: Any) -> None:
        self.losses = values
        with (self.run_dir / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, **values}) + "\n")
        if writer is not None:
            for name, value in values.items():
                writer.add_scalar(f"train/{name}", value, self.step)

    def _evaluate(self, writer: Any) -> None:
        assert self.eval_fn is not None
        self.model.eval()
        with torch.no_grad():
            if self.ema is not None:
                with self.ema.applied(self.model):
                    self.metrics = self.eval_fn(self.model, self.step)
            else:
                self.metrics = self.eval_fn(self.model, self.step)
        self.model.train()
        if self.accelerator.is_main_process:
            with (self.run_dir / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": self.step, "eval": self.metrics}) + "\n")
            if writer is not None:
                for name, value in self.metrics.items():
                    writer.add_scalar(f"eval/{name}", value, self.step)

    def _save(self) -> None:
        save_progress(self.run_dir, self.step, self.model, self._adam, self.ema, {"metrics": self.metrics})


def _seed(seed: int, step: int, rank: int) -> int:
    """A seed for the noise of one update on one process."""
    return (seed * 1_000_003 + rank * 500_009_999 + step * 7_919 + 12_345) % (2**63 - 1)
