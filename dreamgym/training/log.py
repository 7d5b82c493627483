"""What a run writes while it runs: a line of JSON now and then, TensorBoard where it is installed, and Weights & Biases
where it is asked for.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamgym.fields import parse_json


class RunLog:
    """``log.jsonl`` of a run, and ``tensorboard/`` where TensorBoard is installed. A line is {"step", "stage", ...}.

    Lines beyond ``step``, which a killed run wrote after its last save, are dropped: the log holds one curve.

    Args:
        run_dir: the run.
        step: updates done; the log goes on after them.
        to: "tensorboard", or "wandb" for Weights & Biases beside it (`open_wandb`).
        settings: what the run was asked for, for Weights & Biases.

    Raises:
        ImportError: "wandb" where it is not installed; the message is the pip line.
        ValueError: Weights & Biases cannot be reached.
    """

    def __init__(
        self, run_dir: Path, step: int, to: str = "tensorboard", settings: Mapping[str, Any] | None = None
    ) -> None:
        self.path = run_dir / "log.jsonl"
        self._wandb = open_wandb(run_dir, settings or {}) if to == "wandb" else None
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
        """Writes out what TensorBoard and Weights & Biases still hold."""
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.finish()

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _scalars(self, tag: str, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{tag}/{name}", value, step)
        if self._wandb is not None:
            self._wandb.log({f"{tag}/{name}": value for name, value in values.items()}, step=step)


def truncate_log(path: Path, step: int) -> None:
    """Drops lines that a killed run wrote after its last save, so that the log holds one curve."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if parse_json(line)["step"] <= step:
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


def open_wandb(run_dir: Path, settings: Mapping[str, Any]) -> Any:
    """A run of Weights & Biases, the same one at every call with this folder; its files lie in ``run_dir/wandb``.

    The environment decides the rest, as W&B documents it: WANDB_PROJECT ("dreamgym" where not set), WANDB_ENTITY, and
    WANDB_MODE=offline, which sends nothing (``wandb sync`` sends it later).

    Raises:
        ImportError: wandb is not installed; the message is the pip line.
        ValueError: nobody is logged in, or the server cannot be reached.
    """
    try:
        import wandb
    except ImportError as error:
        raise ImportError('--log wandb needs Weights & Biases: pip install "dreamgym[wandb]"') from error
    file = run_dir / "wandb.id"
    if not file.exists():
        file.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
    try:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "dreamgym"),
            id=file.read_text(encoding="utf-8").strip(),
            name=run_dir.name,
            dir=str(run_dir),
            config=dict(settings),
            resume="allow",
        )
    except wandb.errors.Error as error:
        raise ValueError(
            f"Weights & Biases cannot be used ({str(error).splitlines()[0]}): `wandb login`, or set WANDB_MODE=offline"
        ) from error
