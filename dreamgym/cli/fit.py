"""`dreamgym fit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SETTINGS = (
    "lr",
    "batch_size",
    "length",
    "cooldown",
    "ema",
    "precision",
    "seed",
    "threads",
    "eval_every",
    "save_every",
    "log",
)
"""Options that are settings of the training loop and of its batches."""


@dataclass(frozen=True)
class FitOptions:
    """What to train, and how.

    Attributes:
        store: episode store that ``dreamgym collect`` or ``dreamgym import`` filled.
        run: folder of the run: run.json, progress, log.jsonl, tensorboard/.
        family: of world models, {families}, or yours (``--import``); by default what the store's sensors suggest.
        preset: "tiny", sizes for two CPU cores (the default), or "paper".
        steps: updates in all, those before a resume included; the preset's where not given, as for the options below.
        set: fields of the family's config as FIELD=JSON: variant=hybrid hidden=[256,256].
        tasks: use the episodes of these tasks alone.
        lr: peak learning rate.
        batch_size: windows an update.
        length: rows of a window.
        cooldown: updates at the end over which the rate falls to zero; below 1, that share of all.
        ema: decay of the average of the weights.
        precision: of the arithmetic; bf16 where the machine is fast at it.
        seed: of weights, noise and batches.
        threads: torch threads.
        eval_every: updates between open-loop evaluations on held-out episodes.
        save_every: seconds between saves of progress, 180 by default; the first one comes after 20.
        log: where curves go beside log.jsonl: TensorBoard's files, or Weights & Biases too (WANDB_MODE=offline sends
            nothing).
        init: another run, whose weights this one begins with wherever name and shape agree.
        refresh_data: take in episodes that were appended to the store since the run began.
        out: checkpoint folder to write once all updates are done.
    """

    store: Path
    run: Path
    family: str | None = None
    preset: str | None = None
    steps: int | None = None
    set: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    lr: float | None = None
    batch_size: int | None = None
    length: int | None = None
    cooldown: float | None = None
    ema: float | None = None
    precision: Literal["fp32", "bf16"] | None = None
    seed: int | None = None
    threads: int | None = None
    eval_every: int = 1000
    save_every: float | None = None
    log: Literal["tensorboard", "wandb"] | None = None
    init: Path | None = None
    refresh_data: bool = False
    out: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the training loop that were given."""
        return {name: getattr(self, name) for name in SETTINGS if getattr(self, name) is not None}


def fit(options: FitOptions) -> None:
    """Trains a world model on a store's training episodes, or goes on with the run; Ctrl-C saves and stops.

    What a run was begun with stays: an option that is left away means the run's own, one that differs is refused.
    On several processes: torchrun --nproc-per-node 8 -m dreamgym -- fit ..., or accelerate launch; each takes its share
    of a batch.
    """
    from dreamgym.fields import parse_fields
    from dreamgym.training import checkpoint
    from dreamgym.training.processes import Processes
    from dreamgym.training.stop import Stopped
    from dreamgym.training.train import family_for, load_run, train
    from dreamgym.world_models.registry import recipe

    run, family, main = options.run, options.family, Processes.current().main
    if options.out is not None:
        checkpoint.check_target(options.out)
    if family is None:
        family = family_for(options.store, run)
        if main:
            print(f"family: {family}")
    result = train(
        options.store,
        run,
        family,
        options.preset,
        steps=options.steps,
        changes=parse_fields(options.set, recipe(family).config_class),
        tasks=options.tasks,
        refresh_data=options.refresh_data,
        init=options.init,
        **options.settings,
    )
    if result.stopped is not None:
        raise Stopped(f"{run}: stopped after {result.step} updates, which are kept", result.stopped)
    if not main:
        return
    print(f"{run}: {result.step} updates done")
    if options.out is not None:
        print(f"wrote {checkpoint.save(options.out, load_run(run))}")
