"""`dreamgym adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dreamgym.cli.bounds import Count, NotNegative, Positive, Seed, Share, Threads, Whole
from dreamgym.cli.fit import SETTINGS


@dataclass(frozen=True)
class AdaptOptions:
    """What to adapt, to whom, and how.

    Attributes:
        checkpoint: a world model that several robots share: a checkpoint's folder, a shipped name, or a run's folder.
        store: episodes of the new robot, from ``dreamgym collect`` or ``dreamgym import``.
        run: folder of the run, which the same command goes on with.
        embodiment: name of the robot; as its store says where not given.
        order: stages in their order, as the family's config names them; the family's own where not given.
        steps: updates in all; the preset's where not given.
        lr: peak learning rate; the preset's where not given.
        batch_size: windows in an update; the preset's where not given.
        length: rows of a window; the preset's where not given.
        cooldown: updates at the end over which the rate falls to zero, or below 1 that share of all updates; the
            preset's where not given.
        ema: decay of the average of the weights; the preset's where not given.
        precision: precision of the arithmetic; where not given bf16 on machines that are fast at it, else fp32.
        seed: seed of new weights, noise and batches; the preset's where not given.
        threads: threads of torch; torch's own number where not given.
        eval_every: updates between open-loop evaluations on held-out episodes; 0: one at the end.
        save_every: seconds between saves of progress, of which the first comes after 20; 180 where not given.
        log: where curves go beside log.jsonl: TensorBoard's files (where not given), or Weights & Biases too.
        out: checkpoint folder to write once all updates are done; nothing is written where not given.
    """

    checkpoint: str
    store: Path
    run: Path
    embodiment: str | None = None
    order: str | None = None
    steps: Count | None = None
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
    out: Path | None = None


def adapt(options: AdaptOptions) -> None:
    """Teaches a world model a new robot from a small store of it; the same command goes on with the run."""
    from dreamgym.training import checkpoint
    from dreamgym.training.adapt import adapt as run
    from dreamgym.training.stop import Stopped
    from dreamgym.training.train import load_run

    if options.out is not None:
        checkpoint.check_target(options.out)
    settings = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    result = run(
        options.checkpoint, options.store, options.run, options.embodiment, options.order, options.steps, **settings
    )
    if result.stopped is not None:
        raise Stopped(f"{options.run}: stopped after {result.step} updates, which are kept", result.stopped)
    print(f"{options.run}: {result.step} updates done")
    if options.out is not None:
        print(f"wrote {checkpoint.save(options.out, load_run(options.run))}")
