"""`dreamgym fidelity`."""

from __future__ import annotations

from json import dumps
from pathlib import Path

from dreamgym.cli.bounds import Count, Seed
from dreamgym.cli.checks import check_file
from dreamgym.cli.show import amend, curve_rows, open_to_amend, table
from dreamgym.places import write_whole


def fidelity(
    checkpoint: str,
    store: Path,
    windows: Count = 256,
    steps: Count = 50,
    seed: Seed = 0,
    json: Path | None = None,
    write: bool = False,
) -> None:
    """Measures a checkpoint's open-loop fidelity on held-out episodes against its baselines (DiWA S.5.4).

    Args:
        checkpoint: checkpoint to measure: a shipped name, a folder, or ``hf://organisation/name``.
        store: episode store with held-out episodes (split "val").
        windows: held-out windows, and as many beginnings of episodes.
        steps: imagined control steps of a window; fewer where no episode is long enough.
        seed: seed of the windows and of the model's draws.
        json: file to write every figure into; none where not given.
        write: write the figures into the checkpoint itself and its card, and the limit of its uncertainty (their 99th
            percentile); all else as it was.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.envs.simulators import check_recorded_in
    from dreamgym.evaluation.making.card import STEPS, write_card
    from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity
    from dreamgym.training.checkpoint import load
    from dreamgym.training.train import training_episodes

    check_file("--json", json)
    opened = open_to_amend(checkpoint, None) if write else load(checkpoint)
    data = EpisodeStore.open(store)
    check_recorded_in(opened, data)
    config = FidelityConfig(windows=windows, steps=steps, seed=seed)
    held_out, training = data.select(split="val"), training_episodes(data)
    found = measure_fidelity(opened.model, held_out, training, config, opened.probe, progress=True)
    if json is not None:
        write_whole(json, dumps(found.to_dict(), indent=1))
    if write:
        metrics = {**opened.metrics, "fidelity": found.to_dict()}
        spec = opened.spec.with_uncertainty_limit(found.uncertainty["p99"])
        amend(opened.path, None, metrics, card=write_card(opened.path.name, metrics), spec=spec)
    told = found.to_dict()
    for title, part in (("open-loop fidelity", "curves"), ("from a reset", "openings")):
        heads, rows = curve_rows(told[part], STEPS, ("model", "repeat", "held", "mean"))
        if rows:
            table(f"{title}, {windows} windows", heads, rows)
    for name, value in found.uncertainty.items():
        if "auroc" in name:
            kind = name.replace("auroc_", "").replace("_", " ")
            print(f"uncertainty finds the worst tenth of errors ({kind}) with an AUROC of {value:.3f}")
