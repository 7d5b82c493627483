"""Figures of one world's episodes, and of two policies' against each other, with intervals clustered by start."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.statistics.inference import (
    clustered_wilson,
    difference,
    effective_episodes,
    paired_difference,
)


def interval(side: Episodes, confidence: float = 0.95) -> tuple[float, float]:
    """The success rate's interval; episodes from one start are one cluster."""
    return clustered_wilson(side.success, side.row, confidence)


def gain(before: Episodes, after: Episodes) -> tuple[float, float, float]:
    """Success of one policy above that of another in the same world, and the ends of its 95% interval.

    Compared in pairs where the episodes began from the same starts in the same order, else as if independent; clustered
    by start either way.
    """
    if paired(before, after):
        return paired_difference(before.success, after.success, cluster=before.row)
    sizes = [(side.rate, effective_episodes(side.success, side.row)) for side in (before, after)]
    counts = [(rate * size, size) for rate, size in sizes]
    return difference(counts[0], counts[1])


def paired(one: Episodes, other: Episodes) -> bool:
    """Whether episode by episode both began from the same start, with the same task."""
    return np.array_equal(one.row, other.row) and np.array_equal(one.task, other.task)


def side_summary(side: Episodes) -> dict[str, Any]:
    """Figures of one world's episodes, JSON-ready."""
    low, high = interval(side)
    means = {"mean_return": side.returns, "mean_length": side.length, "mean_uncertainty": side.uncertainty}
    return {
        "num_episodes": len(side),
        "num_starts": len(np.unique(side.row)),
        "effective_episodes": round(effective_episodes(side.success, side.row), 2),
        "success_rate": round(side.rate, 6),
        "interval_95": [round(low, 6), round(high, 6)],
        **{k: float(f"{v.mean():.5g}") for k, v in means.items()},
    }


def found_summary(side: Episodes) -> dict[str, float]:
    """The reward model's verdict on whole episodes against the oracle's: precision, recall, F1 (1 for 0 of 0)."""
    hits, said, true = (int(x.sum()) for x in (side.found & side.success, side.found, side.success))
    values = {"precision": (hits, said), "recall": (hits, true), "episode_f1": (2 * hits, said + true)}
    return {k: round(a / b, 6) if b else 1.0 for k, (a, b) in values.items()}
