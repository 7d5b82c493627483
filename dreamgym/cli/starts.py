"""`dreamgym starts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgym.cli.show import amend

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint


def starts(
    checkpoint: Path,
    stores: tuple[Path, ...],
    tasks: tuple[str, ...] = (),
    num_train: int = 200,
    num_val: int = 50,
    num_test: int = 50,
    offsets: tuple[int, ...] | None = None,
    add: bool = False,
    out: Path | None = None,
) -> None:
    """Fills the start bank of a checkpoint: filtered states in which each task of its rewards can begin.

    A checkpoint that names no simulator gets the one that the first store was recorded in, for its twin.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: play and demonstrations.
        tasks: tasks to begin; those of the checkpoint's rewards where not given, else those of the stores.
        num_train: starts a task from training episodes.
        num_val: starts a task from held-out episodes.
        num_test: starts a task from episodes of the split "test" (``dreamgym collect --split test``), one an episode.
        offsets: rows into a skill at which a start may lie; where not given 0, 4 and 8, or with --add the bank's own.
        add: keep the bank's own starts, row by row, and add those of the split "test" to them; nothing else of the
            checkpoint changes.
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.suites.facts import store_tasks, suite_of
    from dreamgym.training.bank import BankConfig, build_starts, join_starts
    from dreamgym.training.checkpoint import load

    sources = [EpisodeStore.open(store) for store in stores]
    config = BankConfig(num_train=num_train, num_val=num_val, num_test=num_test)
    config = config if offsets is None else replace(config, offsets=offsets)
    opened = load(checkpoint)
    judged = next((reward.tasks for reward in opened.rewards.values()), ())
    wanted = tasks or judged or tuple(dict.fromkeys(t for source in sources for t in store_tasks(source)))
    if add:
        if not opened.starts:
            raise ValueError(f"{checkpoint} has no start bank to add to: leave --add out")
        told = opened.starts_meta
        made = tuple(told.get("offsets", config.offsets)) if offsets is None else offsets
        config = replace(config, context=told.get("context", config.context), offsets=made)
        more = build_starts(opened.model, sources, told["tasks"], config, progress=True, splits=("test",))
        tensors, meta = join_starts((opened.starts, told), more)
        amend(checkpoint, out, **_described(opened, meta), starts=tensors, starts_meta=meta)
        _show(meta)
        return
    tensors, meta = build_starts(opened.model, sources, wanted, config, progress=True)
    suite, simulator = suite_of(sources[0]), opened.simulator
    if simulator is None and suite is not None:
        simulator = suite.recorded_in(sources[0].info, sources[0].metas[0])
    amend(checkpoint, out, {}, starts=tensors, starts_meta=meta, simulator=simulator)
    _show(meta)


def _described(opened: Checkpoint, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics that count the starts, and the card made of them where the old card was made of the old ones."""
    from dreamgym.evaluation.making.card import write_card

    metrics = {"starts": {**opened.metrics.get("starts", {}), **meta}}
    name, old = opened.path.name, (opened.path / "README.md").read_text(encoding="utf-8")
    if "starts" not in opened.metrics or old != write_card(name, opened.metrics):
        return {"metrics": metrics}
    return {"metrics": metrics, "card": write_card(name, {**opened.metrics, **metrics})}


def _show(meta: Mapping[str, Any]) -> None:
    for task, counts in meta["counts"].items():
        print(f"{task:<22} " + ", ".join(f"{count} {split}" for split, count in counts.items()))
