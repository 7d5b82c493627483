"""`dreamgym adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dreamgym.cli.fit import SETTINGS


@dataclass(frozen=True)
class AdaptOptions:
    """What to adapt, to whom, and how.

    Attributes:
        checkpoint: a world model that several robots share: a checkpoint's folder, a shipped name, or a run's folder.
        store: episodes of the new robot, from ``dreamgym collect`` or ``dreamgym import``.
        run: folder of the run, which the same command goes on with.
        embodiment: what to call the robot; as its store does where not given.
        order: which stages, in which order; the family's own where not given (latent_action: lac, dft, 23, 12; of
            explicit actions eac, tft).
        steps: updates in all; the preset's where not given, as for the options below.
        lr: peak learning rate.
        batch_size: windows an update.
        length: rows of a window.
        cooldown: updates at the end over which the rate falls to zero; below 1, that share of all.
        ema: decay of the average of the weights.
        precision: of the arithmetic.
        seed: of new weights, noise and batches.
        threads: torch threads.
        eval_every: updates between open-loop evaluations on held-out episodes.
        save_every: seconds between saves of progress.
        log: where curves go beside log.jsonl, as for ``fit``.
        out: checkpoint folder to write once all updates are done.
    """

    checkpoint: str
    store: Path
    run: Path
    embodiment: str | None = None
    order: str | None = None
    steps: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    length: int | None = None
    cooldown: float | None = None
    ema: float | None = None
    precision: str | None = None
    seed: int | None = None
    threads: int | None = None
    eval_every: int = 1000
    save_every: float | None = None
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
