"""`dreamgym encoder`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dreamgym.cli.checks import check_threads


@dataclass(frozen=True)
class EncoderOptions:
    """What to train, and how.

    Attributes:
        store: episode store with cameras; its training episodes are used.
        run: folder of the run: progress, log.jsonl.
        kind: "dinov2", self-distillation on images alone (geometry), or "siglip", images and sentences (semantics).
        out: folder for the encoder, once all updates are done.
        steps: updates in all, those before a resume included.
        batch_size: moments an update, each with all cameras.
        lr: peak learning rate.
        patch: pixels a side of a patch.
        width: of the transformer.
        layers: of the transformer.
        seed: of weights, frames and crops.
        precision: of the arithmetic.
        threads: torch threads.
        save_every: seconds between saves of progress.
    """

    store: Path
    run: Path
    kind: Literal["dinov2", "siglip"]
    out: Path | None = None
    steps: int = 4000
    batch_size: int = 32
    lr: float = 5e-4
    patch: int = 16
    width: int = 128
    layers: int = 4
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int | None = None
    save_every: float = 120.0


def encoder(options: EncoderOptions) -> None:
    """Trains a small vision encoder on a store's frames, or goes on with the run; Ctrl-C saves and stops."""
    from dreamgym.places import check_place
    from dreamgym.training.encoders import EncoderTraining, save_encoder, train_encoder
    from dreamgym.training.stop import Stopped

    check_threads(options.threads)
    if options.out is not None:
        check_place(options.out)

    told = {k: v for k, v in asdict(options).items() if k not in ("store", "run", "kind", "out")}
    result = train_encoder(options.store, options.run, options.kind, EncoderTraining(**told))
    if result.stopped is not None:
        raise Stopped(f"{options.run}: stopped after {result.step} updates, which are kept", result.stopped)
    if options.out is not None:
        print(f"encoder: {save_encoder(options.run, options.out)}")
