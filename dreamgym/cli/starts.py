"""`dreamgym starts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgym.cli.bounds import Whole
from dreamgym.cli.show import amend, open_to_amend, read_card

if TYPE_CHECKING:
    from dreamgym.data import EpisodeStore
    from dreamgym.training.bank import BankConfig
    from dreamgym.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class StartsOptions:
    """Which starts, and of what.

    Attributes:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: episode stores of play and demonstrations.
        tasks: tasks to begin; where not given those of the checkpoint's rewards, else those of the stores.
        num_train: starts of a task from training episodes.
        num_val: starts of a task from held-out episodes.
        num_test: starts of a task from episodes of the split "test" (``dreamgym collect --split test``), one an
            episode.
        offsets: rows into a skill at which a start may lie; where not given 0, 4 and 8, or with --add the bank's own.
        add: keep the bank's own starts, row by row, and add those of the split "test" to them; nothing else of the
            checkpoint changes.
        out: checkpoint folder to write; where not given the checkpoint itself is replaced.
    """

    checkpoint: Path
    stores: tuple[Path, ...]
    tasks: tuple[str, ...] = ()
    num_train: Whole = 200
    num_val: Whole = 50
    num_test: Whole = 50
    offsets: tuple[Whole, ...] | None = None
    add: bool = False
    out: Path | None = None

    @property
    def bank(self) -> BankConfig:
        """What the bank is to hold.

        Raises:
            ValueError: one of them is out of range.
        """
        from dreamgym.training.bank import BankConfig

        offsets = BankConfig.offsets if self.offsets is None else self.offsets
        return BankConfig(num_train=self.num_train, num_val=self.num_val, num_test=self.num_test, offsets=offsets)


def starts(options: StartsOptions) -> None:
    """Fills the start bank of a checkpoint: filtered states in which each task of its rewards can begin.

    A checkpoint that names no simulator gets the one that the first store was recorded in, for its twin.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.envs.simulators import check_recorded_in
    from dreamgym.suites.facts import store_tasks, suite_of
    from dreamgym.training.bank import build_starts

    sources = [EpisodeStore.open(store) for store in options.stores]
    config, opened = options.bank, open_to_amend(options.checkpoint, options.out)
    check_recorded_in(opened, *sources)
    if options.add:
        _add(options, opened, sources)
        return
    judged = next((reward.tasks for reward in opened.rewards.values()), ())
    wanted = options.tasks or judged or tuple(dict.fromkeys(t for source in sources for t in store_tasks(source)))
    tensors, meta = build_starts(opened.model, sources, wanted, config, progress=True)
    suite, simulator = suite_of(sources[0]), opened.simulator
    if simulator is None and suite is not None:
        simulator = suite.recorded_in(sources[0].info, sources[0].metas[0])
    amend(options.checkpoint, options.out, {}, starts=tensors, starts_meta=meta, simulator=simulator)
    _show(meta)


def _add(options: StartsOptions, opened: Checkpoint, sources: Sequence[EpisodeStore]) -> None:
    """Adds starts of the split "test" to the checkpoint's own."""
    from dreamgym.training.bank import build_starts, join_starts

    if not opened.starts:
        raise ValueError(f"{options.checkpoint} has no start bank to add to: leave --add out")
    config, told = options.bank, opened.starts_meta
    made = tuple(told.get("offsets", config.offsets)) if options.offsets is None else options.offsets
    config = replace(config, context=told.get("context", config.context), offsets=made)
    more = build_starts(opened.model, sources, told["tasks"], config, progress=True, splits=("test",))
    tensors, meta = join_starts((opened.starts, told), more)
    amend(options.checkpoint, options.out, **_described(opened, meta), starts=tensors, starts_meta=meta)
    _show(meta)


def _described(opened: Checkpoint, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics that count the starts, and the card made of them where the old card was made of the old ones."""
    from dreamgym.evaluation.making.card import write_card

    metrics = {"starts": {**opened.metrics.get("starts", {}), **meta}}
    name, old = opened.path.name, read_card(opened.path)
    if "starts" not in opened.metrics or old != write_card(name, opened.metrics):
        return {"metrics": metrics}
    return {"metrics": metrics, "card": write_card(name, {**opened.metrics, **metrics})}


def _show(meta: Mapping[str, Any]) -> None:
    for task, counts in meta["counts"].items():
        print(f"{task:<22} " + ", ".join(f"{count} {split}" for split, count in counts.items()))
