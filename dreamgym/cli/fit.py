"""`dreamgym fit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dreamgym.cli.bounds import Count, NotNegative, Positive, Seed, Share, Threads, Whole

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
        family: family of world models, one of {families}, or your own (``--import``); where not given the one that the
            store's sensors suggest.
        preset: "tiny", sizes for two CPU cores, "paper", or another of the family's; "tiny" where not given.
        steps: updates in all, those before a resume included; the preset's where not given.
        set: fields of the family's config as FIELD=JSON, such as variant=hybrid hidden=[256,256].
        tasks: tasks whose episodes are used; all episodes where not given.
        lr: peak learning rate; the preset's where not given.
        batch_size: windows in an update; the preset's where not given.
        length: rows of a window; the preset's where not given.
        cooldown: updates at the end over which the rate falls to zero, or below 1 that share of all updates; the
            preset's where not given.
        ema: decay of the average of the weights; the preset's where not given.
        precision: precision of the arithmetic; where not given bf16 on machines that are fast at it, else fp32.
        seed: seed of weights, noise and batches; the preset's where not given.
        threads: threads of torch; torch's own number where not given.
        eval_every: updates between open-loop evaluations on held-out episodes; 0: one at the end.
        save_every: seconds between saves of progress, of which the first comes after 20; 180 where not given.
        log: where curves go beside log.jsonl: TensorBoard's files, or Weights & Biases too (WANDB_MODE=offline sends
            nothing); TensorBoard where not given.
        init: another run, or a checkpoint's folder, whose weights this run begins with wherever name and shape agree.
        refresh_data: take in episodes that were appended to the store since the run began.
        out: checkpoint folder to write once all updates are done; nothing is written where not given.
    """

    store: Path
    run: Path
    family: str | None = None
    preset: str | None = None
    steps: Count | None = None
    set: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    lr: Positive | None = None
    batch_size: Count | None = None
    length: Count | None = None
    cooldown: NotNegative | None = None
    ema: Share | None = None
    precision: Literal["fp32", "bf16"] | None = None
    seed: Seed | None = None
    threads: Threads | None = None
    eval_every: Whole = 1000
    save_every: NotNegative | None = None
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
