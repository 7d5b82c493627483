"""Up to which horizon a dream may be trusted, as its card says it: where it knows more than every baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BASELINES = ("repeat", "held", "mean")


def trusted_span(curve: Mapping[str, Any]) -> tuple[int, int] | None:
    """The longest run of measured steps at which the dream is better than every baseline that was measured there.

    Args:
        curve: a `measures.Curve` as JSON.

    Returns:
        First and last control step of that run; None where there is no such step.
    """
    sign = 1 if curve["higher_is_better"] else -1
    steps = curve.get("steps") or range(1, len(curve["model"]) + 1)
    best: tuple[int, int] | None = None
    run: list[int] = []
    for i, step in enumerate(steps):
        run = [*run, step] if _better(curve, i, sign) else []
        if run and (best is None or run[-1] - run[0] > best[1] - best[0]):
            best = run[0], run[-1]
    return best


def _better(curve: Mapping[str, Any], i: int, sign: int) -> bool:
    mine = curve["model"][i]
    others = [curve[name][i] for name in BASELINES if curve.get(name)]
    known = [x for x in others if x is not None]
    return mine is not None and bool(known) and all(sign * mine > sign * x for x in known)


def trusted_spans(fidelity: Mapping[str, Any]) -> dict[str, tuple[int, int] | None]:
    """`trusted_span` of each measure of the simulator's state: on frames in which it moved, where those were measured.

    Where most things stand still, nobody beats the last frame for some steps, and that says little of a dream.
    """
    found = fidelity.get("moving") or fidelity.get("curves") or {}
    return {name: trusted_span(curve) for name, curve in found.items() if not name.startswith("rgb")}


def common_span(spans: Mapping[str, tuple[int, int] | None]) -> tuple[int, int] | None:
    """The steps that all spans share; None where there are none."""
    known = [span for span in spans.values() if span is not None]
    if not known or len(known) < len(spans):
        return None
    low, high = max(a for a, _ in known), min(b for _, b in known)
    return (low, high) if low <= high else None
