"""What commands share: tables, and checkpoints written anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgym.types import WorldModelSpec

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint


def amend(
    checkpoint: Path, out: Path | None, metrics: dict[str, Any], spec: WorldModelSpec | None = None, **parts: Any
) -> None:
    """Writes the checkpoint again with some parts replaced; it is never half written. See `open_to_amend`."""
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
        "card": read_card(old.path),
        "metrics": {**old.metrics, **metrics},
        "dtype": old.dtype,
    }
    print(f"wrote {save(out or checkpoint, old.model, **{**contents, **parts})}")


def open_to_amend(checkpoint: str | Path, out: Path | None) -> Checkpoint:
    """The checkpoint that `amend` is to write again, once it is known that it can be written.

    Raises:
        CheckpointError: it cannot be loaded.
        ValueError: ``out`` is taken by something else, or missing where the checkpoint comes with dreamgym or lies on
            the Hub.
    """
    from dreamgym.training.checkpoint import BUILT_IN, check_target, load

    if out is not None:
        check_target(out)
    opened = load(checkpoint)
    if out is None and opened.path != Path(checkpoint):
        whose = "comes with dreamgym" if opened.path.parent == BUILT_IN else "lies on the Hub"
        raise ValueError(f"{checkpoint} {whose} and stays as it is: copy it, or name the new checkpoint with --out")
    if out is None:
        check_target(opened.path)
    return opened


def read_card(folder: Path) -> str:
    """The card of a checkpoint; empty where somebody took it away."""
    card = folder / "README.md"
    return card.read_text(encoding="utf-8") if card.is_file() else ""


def curve_rows(
    curves: Mapping[str, Mapping[str, Any]], steps: Sequence[int], who: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Measured curves as a table's heads and rows.

    Args:
        curves: by name, each with "unit", "steps" and, by who predicts, the errors at these steps.
        steps: to show, of those that were measured; the last one alone where none of them was.
        who: who predicts, a row each.
    """
    from dreamgym.evaluation.making.measures import format_value

    measured = {step for curve in curves.values() for step in curve["steps"]}
    shown = [step for step in steps if step in measured] or sorted(measured)[-1:]
    rows = []
    for name, curve in curves.items():
        for predictor in (w for w in who if curve.get(w)):
            at = dict(zip(curve["steps"], curve[predictor], strict=True))
            rows.append([name, predictor, *(format_value(at.get(step), curve["unit"], 2) for step in shown)])
    return ["measure", "of", *(f"step {step}" for step in shown)], rows


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Prints a table as wide as the window, numbers to the right."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        raise ImportError('tables need rich: pip install "dreamgym[cli]"') from None

    made = Table(title=title, title_justify="left")
    for i, head in enumerate(heads):
        made.add_column(head, justify="right" if i else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    # A log has no width of its own; in a narrow window lines may wrap, but cells are never cut.
    Console(width=max(Console().width, 110)).print(made)
