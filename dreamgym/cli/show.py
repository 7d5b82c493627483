"""What commands share: tables, and checkpoints written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dreamgym.types import WorldModelSpec


def amend(
    checkpoint: Path, out: Path | None, metrics: dict[str, Any], spec: WorldModelSpec | None = None, **parts: Any
) -> None:
    """Writes the checkpoint again with some parts replaced; it is never half written."""
    from dreamgym.training.checkpoint import load, save

    old = load(checkpoint)
    old.model.spec = spec or old.spec
    contents: dict[str, Any] = {
        "rewards": old.rewards,
        "starts": old.starts,
        "starts_meta": old.starts_meta,
        "probe": old.probe,
        "simulator": old.simulator,
        "attachments": old.attachments(),
        "card": (old.path / "README.md").read_text(encoding="utf-8"),
        "metrics": {**old.metrics, **metrics},
        "dtype": old.dtype,
    }
    print(f"wrote {save(out or checkpoint, old.model, **{**contents, **parts})}")


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Prints a table as wide as the window, numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    made = Table(title=title, title_justify="left")
    for i, head in enumerate(heads):
        made.add_column(head, justify="right" if i else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    # A log has no width of its own; in a narrow window lines may wrap, but cells are never cut.
    Console(width=max(Console().width, 110)).print(made)
