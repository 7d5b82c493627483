"""`dreamgym fidelity`."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from dreamgym.cli.show import amend, table

if TYPE_CHECKING:
    from dreamgym.data import EpisodeView
    from dreamgym.training.checkpoint import Checkpoint


def fidelity(
    checkpoint: str, store: Path, windows: int = 256, steps: int = 50, json: Path | None = None, write: bool = False
) -> None:
    """Measures a checkpoint's open-loop fidelity on held-out play against its baselines (DiWA S.5.4).

    Args:
        checkpoint: a shipped name, a folder, or ``hf://organisation/name``.
        store: play with held-out episodes.
        windows: held-out windows.
        steps: imagined steps a window; of a dream on states, which is measured at 1, 5, 20 and 50, how far the table
            goes.
        json: file to write every figure into.
        write: write the figures into the checkpoint itself and its card, and the limit of its uncertainty (their 99th
            percentile); all else as it was.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.making.card import write_card
    from dreamgym.evaluation.making.fidelity import FidelityConfig, measure_fidelity
    from dreamgym.training.checkpoint import load

    opened, data = load(checkpoint), EpisodeStore.open(store)
    held_out, training = data.select(split="val"), data.select(split="train")
    if opened.spec.family == "mlp":
        return _fidelity_of_states(opened, held_out, windows, steps, json, write)
    config = FidelityConfig(windows=windows, steps=steps)
    found = measure_fidelity(opened.model, held_out, training, config, opened.probe, progress=True)
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=1))
    if write:
        metrics = {**opened.metrics, "fidelity": found.to_dict()}
        spec = opened.spec.with_uncertainty_limit(found.uncertainty["p99"])
        amend(opened.path, None, metrics, card=write_card(opened.path.name, metrics), spec=spec)
    shown = [i for i in (1, 5, 10, 25, 50) if i <= steps]
    rows = [
        [f"{name}, {curve.unit}", who, *(f"{getattr(curve, who)[i - 1]:.3g}" for i in shown)]
        for name, curve in found.curves.items()
        for who in ("model", "repeat", "held", "mean")
        if getattr(curve, who)
    ]
    table(f"open-loop fidelity, {windows} windows", ["measure", "of", *(f"step {i}" for i in shown)], rows)


def _fidelity_of_states(
    opened: Checkpoint, held_out: EpisodeView, windows: int, steps: int, json: Path | None, write: bool
) -> None:
    """`fidelity` of an MLP world model, whose card is of another kind."""
    from dreamgym.envs.make import SHIPPED
    from dreamgym.training.card_mlp import write_card
    from dreamgym.training.fidelity_mlp import LONG, PARTS, evaluate, evaluate_parts

    suite, name = (opened.simulator or {}).get("id", ""), opened.path.name
    errors, parts = evaluate(opened.model, held_out, windows), evaluate_parts(opened.model, held_out, suite, windows)
    if not errors:
        raise ValueError("the store has no held-out episodes (split 'val') that are long enough to imagine along")
    found = {"open_loop": errors, "parts": parts}
    if json is not None:
        json.write_text(dumps({**found, "windows": windows}, indent=1))
    if write:
        if not {"rewards", "data"} <= opened.metrics.keys():
            raise ValueError(f"{opened.path} has no card to write into: make it whole first (recipe_mlp finish)")
        metrics = {**opened.metrics, **found}
        spec = opened.spec.with_uncertainty_limit(errors["uncertainty_p99"])
        amend(opened.path, None, metrics, card=write_card(name, metrics, SHIPPED.get(name)), spec=spec)
    shown = [h for h in LONG if h <= steps]
    units = {part: of.unit for part, of in PARTS.get(suite, {}).items()}
    measures = {"entries that move, std": errors, **{f"{n}, {units[n]}": v for n, v in parts.items()}}
    rows = [
        [measure, f"{who}, from a reset" if where else who, *(_cell(of.get(f"{key}/{where}{h}")) for h in shown)]
        for measure, of in measures.items()
        for key, who in (("error", "model"), ("repeat", "repeat"))
        for where in ("", "opening/")
        if any(f"{key}/{where}{h}" in of for h in shown)
    ]
    table(f"open-loop fidelity, {windows} windows", ["measure", "of", *(f"step {h}" for h in shown)], rows)
    points = errors["uncertainty_auroc_one_step"], errors["uncertainty_auroc"]
    print(f"uncertainty finds the worst tenth of errors with an AUROC of {points[0]:.3f} (one step), {points[1]:.3f}")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
