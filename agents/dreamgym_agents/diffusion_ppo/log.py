"""What a run tells while it runs: a progress bar, a line of JSON a step, TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dreamgym.training.log import open_tensorboard, truncate_log


class RunLog:
    """The log of a run, used as a context.

    Lines beyond the step from which a run resumes are dropped, so that the log holds one curve.

    Args:
        run_dir: log.jsonl and tensorboard/ go here.
        done: of ``total``, what the run resumes with.
        total: of the bar.
        unit: of the bar.
        name: beside the bar, and before the tags of TensorBoard.
        step: the log's own step from which the run resumes, where that is not ``done``.
    """

    def __init__(self, run_dir: Path, done: int, total: int, unit: str, name: str, step: int | None = None) -> None:
        from tqdm.auto import tqdm

        step = done if step is None else step
        self.path, self.name = run_dir / "log.jsonl", name
        truncate_log(self.path, step)
        self.writer = open_tensorboard(run_dir, step)
        self.bar = tqdm(total=total, initial=done, unit=unit, desc=name, dynamic_ncols=True, mininterval=2)

    def advance(self, step: int, amount: int, values: Mapping[str, Any]) -> None:
        """Moves the bar; writes ``values`` (numbers) as one line, where there are any."""
        self.bar.update(amount)
        if not values:
            return
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer is not None:
            for key, value in values.items():
                self.writer.add_scalar(f"{self.name}/{key}", value, step)

    def show(self, values: Mapping[str, float]) -> None:
        """Puts numbers beside the bar."""
        self.bar.set_postfix({k: f"{v:.2f}" for k, v in values.items()}, refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        if self.writer is not None:
            self.writer.close()
