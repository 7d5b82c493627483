"""`dreamgym starts`."""

from __future__ import annotations

from pathlib import Path

from dreamgym.cli.show import amend


def starts(
    checkpoint: Path,
    stores: tuple[Path, ...],
    tasks: tuple[str, ...] = (),
    num_train: int = 200,
    num_val: int = 50,
    num_test: int = 50,
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
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.suites.facts import store_tasks, suite_of
    from dreamgym.training.bank import BankConfig, build_starts
    from dreamgym.training.checkpoint import load

    sources = [EpisodeStore.open(store) for store in stores]
    config = BankConfig(num_train=num_train, num_val=num_val, num_test=num_test)
    opened = load(checkpoint)
    judged = next((reward.tasks for reward in opened.rewards.values()), ())
    wanted = tasks or judged or tuple(dict.fromkeys(t for source in sources for t in store_tasks(source)))
    tensors, meta = build_starts(opened.model, sources, wanted, config, progress=True)
    suite, simulator = suite_of(sources[0]), opened.simulator
    if simulator is None and suite is not None:
        simulator = suite.recorded_in(sources[0].info, sources[0].metas[0])
    amend(checkpoint, out, {}, starts=tensors, starts_meta=meta, simulator=simulator)
    for task, counts in meta["counts"].items():
        print(f"{task:<22} " + ", ".join(f"{count} {split}" for split, count in counts.items()))
