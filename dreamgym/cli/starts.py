"""`dreamgym starts`."""

from __future__ import annotations

from pathlib import Path

from dreamgym.cli.show import amend


def starts(
    checkpoint: Path, stores: tuple[Path, ...], num_train: int = 200, num_val: int = 50, out: Path | None = None
) -> None:
    """Fills the start bank of a checkpoint: filtered states in which each task of its rewards can begin. A checkpoint
    that names no simulator gets the CALVIN scene that the first store was recorded in, for its twin.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: play and demonstrations.
        num_train: starts a task from training episodes.
        num_val: starts a task from held-out episodes.
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.making.finish import simulator_of
    from dreamgym.rewards.tasks import TASKS
    from dreamgym.training.bank import BankConfig, build_starts
    from dreamgym.training.checkpoint import load

    sources = [EpisodeStore.open(store) for store in stores]
    config = BankConfig(num_train=num_train, num_val=num_val)
    opened = load(checkpoint)
    tasks = opened.rewards["success"].tasks if "success" in opened.rewards else TASKS
    tensors, meta = build_starts(opened.model, sources, tasks, config, progress=True)
    simulator = opened.simulator or simulator_of(sources[0])
    amend(checkpoint, out, {}, starts=tensors, starts_meta=meta, simulator=simulator)
    for task, counts in meta["counts"].items():
        print(f"{task:<22} " + ", ".join(f"{count} {split}" for split, count in counts.items()))
