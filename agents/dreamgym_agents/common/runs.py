"""Runs of one stage after another; a killed run goes on from its last save, along the curve of an unbroken one.

A run lives in a directory: ``progress/`` of each stage (weights, optimizer, average; the newest two), ``log.jsonl``
(a line a step that has something to tell: {"step", "stage", ...}) and ``tensorboard/``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dreamgym.bars import progress_bar
from dreamgym.training.ema import EMA
from dreamgym.training.log import RunLog
from dreamgym.training.processes import Processes
from dreamgym.training.progress import latest, load_averaged, load_progress, save_progress
from dreamgym.training.runs import check_run_folder, held
from dreamgym.training.stop import Stop, Stopped, stop_signals

_log = logging.getLogger(__name__)


class StageRun:
    """One stage of a run with a budget of its own; a subclass says what a step is.

    Step i must be a function of (seed, i) and the weights before it.

    Attributes:
        name: of the stage, in the log.
        budget: how much there is to do, in ``unit``.
        unit: what the progress bar counts.
        folder: of its progress, inside the run's.
        module: what is trained.
        optimizer: its optimizer; set by `begin` at the latest.
        ema: the average of the module's weights, or None.
        count: steps done.
        shares: whether several processes can share the work (`dreamgym.training.processes`).
    """

    name: str
    budget: int
    unit: str = "step"
    folder: str = ""
    module: nn.Module
    optimizer: torch.optim.Optimizer
    ema: EMA | None = None
    count: int = 0
    shares: bool = False

    @property
    def done(self) -> int:
        """How much of the budget is used up."""
        return self.count

    def begin(self, fresh: bool) -> None:
        """Makes ready, before progress is restored; ``fresh``: there is none."""

    def step(self) -> Mapping[str, float]:
        """Step number ``count``; returns what to log of it, nothing where there is nothing to tell."""
        raise NotImplementedError

    def finish(self) -> None:
        """What is left to do once the budget is used up, before the last save."""

    def extra(self) -> dict[str, Any]:
        """What else progress holds, JSON-ready."""
        return {}

    def restore(self, extra: Mapping[str, Any]) -> None:
        """Takes back what `extra` gave."""

    # What the runner calls.

    def save(self, run_dir: Path) -> None:
        """Writes progress."""
        save_progress(run_dir / self.folder, self.count, self.module, self.optimizer, self.ema, self.extra())

    def resume(self, run_dir: Path) -> None:
        """Makes ready, and goes on from the newest progress where there is some."""
        path = latest(run_dir / self.folder)
        self.begin(path is None)
        if path is not None:
            self.count, extra = load_progress(path, self.module, self.optimizer, self.ema)
            self.restore(extra)
            _log.info("going on with %s after %d steps", run_dir / self.folder, self.count)

    def use_average(self) -> None:
        """Puts the averaged weights into the module, where an average was kept of any."""
        if self.ema is not None and self.ema.updates:
            self.module.load_state_dict({**self.module.state_dict(), **self.ema.state_dict()})


def run_stages(
    stages: Sequence[StageRun],
    run_dir: str | Path,
    *,
    save_every_s: float = 120.0,
    show: bool = True,
    log: str = "tensorboard",
) -> None:
    """Runs each stage to its budget, in turn, and leaves the averaged weights in their modules.

    Args:
        stages: what to do; one that is done already is only restored.
        run_dir: the run; progress there is gone on from.
        save_every_s: seconds between saves of progress; the end of a stage is always saved.
        show: progress bars.
        log: "tensorboard", or "wandb" for Weights & Biases beside it.

    Raises:
        ImportError, ValueError: Weights & Biases is not installed, or cannot be used.
        ValueError: no run can live there, another process is at work in it, or its progress is damaged; or several
            processes were started for stages that do not share their work.
        Stopped: SIGINT or SIGTERM came before all of it was done; progress is saved.
    """
    folder, before, processes = check_run_folder(run_dir), 0, Processes.current()
    if processes.count > 1 and (alone := [stage.name for stage in stages if not stage.shares]):
        raise ValueError(
            f"{', '.join(alone)} runs in one process, and {processes.count} were started: start it without torchrun"
        )
    with held(folder) if processes.main else nullcontext(), stop_signals() as stop:
        for number, stage in enumerate(stages):
            stage.resume(folder)
            if stage.done < stage.budget:
                written = RunLog(folder, before + stage.count, log) if processes.main else None
                try:
                    _run(stage, folder, before, stop, save_every_s, show, written, processes)
                finally:
                    if written is not None:
                        written.close()
            stage.use_average()
            before += stage.count
            if stop.is_set() and number < len(stages) - 1:
                raise Stopped(f"stopped after {stage.name} of {folder}", stop)


def _run(
    stage: StageRun,
    folder: Path,
    before: int,
    stop: Stop,
    save_every_s: float,
    show: bool,
    log: RunLog | None,
    processes: Processes,
) -> None:
    """Steps until the budget is used up; ``before``: steps of earlier stages, from where the log counts on.

    Of several processes the first one writes: it has a ``log``.
    """
    saved, show = time.monotonic(), show and log is not None
    bar = progress_bar(total=stage.budget, initial=stage.done, unit=stage.unit, desc=stage.name, shown=show, leave=True)
    with bar:
        while stage.done < stage.budget and not processes.any(stop.is_set()):
            done = stage.done
            values = stage.step()
            stage.count += 1
            bar.update(stage.done - done)
            if values and log is not None:
                log.write(before + stage.count, stage.name, values)
                bar.set_postfix(refresh=False, **{k: f"{v:.3g}" for k, v in list(values.items())[:4]})
            if log is not None and time.monotonic() - saved > save_every_s:
                stage.save(folder)
                saved = time.monotonic()
    if stage.done >= stage.budget:
        stage.finish()
    if log is not None:
        stage.save(folder)
    processes.wait()
    if stage.done < stage.budget:
        raise Stopped(f"stopped after {stage.done} of {stage.budget} {stage.unit}s of {folder / stage.folder}", stop)


def finished(run_dir: str | Path, name: str, budget: int) -> Path | None:
    """The last progress in folder ``name`` of a run, if all ``budget`` steps of that stage are done."""
    last = latest(Path(run_dir) / name)
    return None if last is None or int(last.name.removeprefix("step_")) < budget else last


def load_finished(run_dir: str | Path, name: str, budget: int, module: nn.Module) -> bool:
    """Loads the averaged weights of a finished stage into its module; False where it is not finished."""
    last = finished(run_dir, name, budget)
    if last is not None:
        load_averaged(last, module)
    return last is not None
