"""`dreamgym compare`."""

from __future__ import annotations

import json as json_
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dreamgym.cli.bounds import Count, NotNegative, Seed, Threads
from dreamgym.cli.checks import check_file
from dreamgym.cli.show import table
from dreamgym.places import write_whole

if TYPE_CHECKING:
    from dreamgym.evaluation.making.gate import Change


@dataclass(frozen=True)
class CompareOptions:
    """On what, how strictly and how much.

    Attributes:
        store: episode store of which neither was trained on the split's episodes; marked with success for classifier
            and agreement.
        tolerance: how much worse the new one may be: of errors a share of the old one's, of F1 and shares the
            difference itself.
        split: split of the episodes: "val" for choices, "test" for what is reported.
        windows: held-out windows for fidelity.
        steps: imagined control steps of a window; fewer where no episode is long enough.
        episodes: most marked episodes that are looked at.
        seed: seed of the windows and of every draw.
        json: file to write every figure into; none where not given.
        threads: threads of torch.
    """

    store: Path
    tolerance: NotNegative = 0.05
    split: Literal["val", "test"] = "val"
    windows: Count = 256
    steps: Count = 50
    episodes: Count = 400
    seed: Seed = 0
    json: Path | None = None
    threads: Threads = 1


def compare(old: str, new: str, options: CompareOptions) -> None:
    """Compares two checkpoints on held-out episodes; ends with status 1 where the new one is worse.

    Worse is a figure whose loss is above the tolerance and whose 95% interval lies above 0. For the continuous
    integration of whoever trains world models.

    Args:
        old: checkpoint to be no worse than: a shipped name, a folder, or ``hf://organisation/name``.
        new: checkpoint in question, named likewise.
    """
    import torch

    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.making.gate import GateConfig, compare_checkpoints
    from dreamgym.evaluation.policies.setup import checkpoint_hashes
    from dreamgym.provenance import provenance
    from dreamgym.training.checkpoint import load

    check_file("--json", options.json)
    torch.set_num_threads(options.threads)
    config = GateConfig(
        options.tolerance, options.split, options.windows, options.steps, options.episodes, seed=options.seed
    )
    opened = {"old": load(old), "new": load(new)}
    found = compare_checkpoints(opened["old"], opened["new"], EpisodeStore.open(options.store), config)
    if options.json is not None:
        told = {"old": old, "new": new, "store": str(options.store), "tolerance": config.tolerance}
        hashes = {f"{who} {role}": v for who, made in opened.items() for role, v in checkpoint_hashes(made).items()}
        rows = {"provenance": provenance(hashes), "changes": [change.to_dict() for change in found]}
        write_whole(options.json, json_.dumps({**told, **rows}, indent=1))
    _tell(found, config.tolerance)
    if worse := [f"{change.part} {change.name}" for change in found if change.worse]:
        print(f"worse: {', '.join(worse)}")
        raise SystemExit(1)
    print(f"{new} is not worse than {old} beyond the tolerance of {config.tolerance:g}")


def _tell(found: Sequence[Change], tolerance: float) -> None:
    from dreamgym.evaluation.making.measures import format_value

    rows = [
        [
            f"{change.part}: {change.name}",
            format_value(change.old, change.unit, 2),
            format_value(change.new, change.unit, 2),
            f"{100 * change.loss:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})",
            "worse" if change.worse else "",
        ]
        for change in found
    ]
    heads = ["figure", "old", "new", "loss in %, 95% interval", f"beyond {100 * tolerance:g}%"]
    table("errors: loss as a share of the old one's; F1 and shares: in points", heads, rows)
