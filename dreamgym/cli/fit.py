"""`dreamgym fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal


def fit(
    store: Path,
    run: Path,
    variant: Literal["vision", "hybrid", "state"] = "vision",
    preset: Literal["tiny", "paper"] = "tiny",
    steps: int = 15_000,
    lr: float | None = None,
    batch_size: int | None = None,
    length: int | None = None,
    cooldown: int | None = None,
    eval_every: int = 1000,
    precision: Literal["fp32", "bf16"] | None = None,
    threads: int | None = None,
    seed: int | None = None,
    init: Path | None = None,
    model: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Trains an RSSM on a store's training episodes, or goes on with the run; Ctrl-C saves and stops.

    Args:
        store: episode store that ``dreamgym collect`` filled.
        run: folder of the run: progress, log.jsonl, tensorboard/.
        variant: cameras; cameras with the scene state supervised; or robot and scene state alone.
        preset: DiWA's sizes, or sizes for two CPU cores.
        steps: updates in all, those before a resume included.
        lr: peak learning rate; the preset's where not given, as for the options below.
        batch_size: windows an update.
        length: steps a window.
        cooldown: updates at the end over which the rate falls to zero.
        eval_every: updates between open-loop evaluations on held-out episodes.
        precision: of the arithmetic; bf16 where the machine is fast at it.
        threads: torch threads.
        seed: of weights, noise and batches.
        init: another run, whose weights this one begins with wherever name and shape agree.
        model: fields of the model's config, as decoder_depth=32 or image_weights='{"rgb_static":3}'.
        out: checkpoint folder to write once all updates are done.
    """
    from dreamgym.training.recipes import export, model_fields, train_rssm

    changes: dict[str, Any] = {
        "lr": lr,
        "batch_size": batch_size,
        "length": length,
        "cooldown": cooldown,
        "precision": precision,
        "threads": threads,
        "seed": seed,
        "init": init,
    }
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    fields = model_fields(model)
    result = train_rssm(store, run, variant, preset, steps, eval_every=eval_every, model_changes=fields, **given)
    print(f"{run}: {result.step} of {steps} updates done")
    if out is not None and result.step >= steps:
        print(f"wrote {export(run, out)}")
