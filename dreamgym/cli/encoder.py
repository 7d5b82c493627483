"""`dreamgym encoder`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from dreamgym.cli.bounds import Count, NotNegative, Positive, Seed, Threads


@dataclass(frozen=True)
class EncoderOptions:
    """What to train, and how.

    Attributes:
        store: episode store with cameras; its training episodes are used.
        run: folder of the run: progress, log.jsonl.
        kind: "dinov2", self-distillation on images alone (geometry), "siglip", images and sentences (semantics), or
            "vjepa2", masked latent prediction on images alone.
        out: folder to write the encoder into once all updates are done; nothing is written where not given.
        steps: updates in all, those before a resume included.
        batch_size: moments in an update, each with all cameras.
        lr: peak learning rate.
        patch: side of a patch, pixels.
        width: width of the transformer.
        layers: layers of the transformer.
        seed: seed of weights, frames and crops.
        precision: precision of the arithmetic.
        threads: threads of torch; torch's own number where not given.
        save_every: seconds between saves of progress.
    """

    store: Path
    run: Path
    kind: Literal["dinov2", "siglip", "vjepa2"]
    out: Path | None = None
    steps: Count = 4000
    batch_size: Count = 32
    lr: Positive = 5e-4
    patch: Count = 16
    width: Count = 128
    layers: Count = 4
    seed: Seed = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Threads | None = None
    save_every: NotNegative = 120.0


def encoder(options: EncoderOptions) -> None:
    """Trains a small vision encoder on a store's frames, or goes on with the run; Ctrl-C saves and stops."""
    from dreamgym.places import check_place
    from dreamgym.training.encoders import EncoderTraining, save_encoder, train_encoder
    from dreamgym.training.stop import Stopped

    if options.out is not None:
        check_place(options.out)

    told = {k: v for k, v in asdict(options).items() if k not in ("store", "run", "kind", "out")}
    result = train_encoder(options.store, options.run, options.kind, EncoderTraining(**told))
    if result.stopped is not None:
        raise Stopped(f"{options.run}: stopped after {result.step} updates, which are kept", result.stopped)
    if options.out is not None:
        print(f"encoder: {save_encoder(options.run, options.out)}")
