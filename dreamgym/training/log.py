"""What a run writes while it runs: a line of JSON now and then, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RunLog:
    """``log.jsonl`` of a run, and ``tensorboard/`` where TensorBoard is installed. A line is {"step", "stage", ...}.

    Lines beyond ``step``, which a killed run wrote after its last save, are dropped: the log holds one curve.

    Args:
        run_dir: the run.
        step: updates done; the log goes on after them.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        self.path = run_dir / "log.jsonl"
        truncate_log(self.path, step)
        self._writer = open_tensorboard(run_dir, step)

    def write(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """A line of what an update gave: numbers by name."""
        self._append({"step": step, "stage": stage, **values})
        self._scalars("train", step, values)

    def write_evaluation(self, step: int, stage: str, metrics: Mapping[str, float]) -> None:
        """A line of what an evaluation gave, under "eval"."""
        self._append({"step": step, "stage": stage, "eval": dict(metrics)})
        self._scalars("eval", step, metrics)

    def close(self) -> None:
        """Writes out what TensorBoard still holds."""
        if self._writer is not None:
            self._writer.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _scalars(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{tag}/{name}", value, step)


def truncate_log(path: Path, step: int) -> None:
    """Drops lines that a killed run wrote after its last save, so that the log holds one curve."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):  # the line that the kill cut short
            continue
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept))
    temporary.replace(path)


def open_tensorboard(run_dir: Path, step: int) -> Any:
    """A SummaryWriter in ``run_dir/tensorboard`` that goes on after ``step``, or None where TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)
