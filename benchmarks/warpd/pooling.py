"""Rows of the experiments pooled over seeds: means, their intervals, and how far seeds lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dreamgym.evaluation.statistics.inference import wilson

Row = dict[str, Any]
Interval = tuple[float, float, float]


def pooled(rows: Sequence[Row]) -> Interval:
    """Mean success over the episodes of all rows, and its interval."""
    episodes = sum(r["episodes"] for r in rows)
    mean = sum(r["success"] * r["episodes"] for r in rows) / episodes
    if "spread" not in rows[0]:
        return mean, *wilson(mean * episodes, episodes)
    square = sum((r["spread"] ** 2 + r["success"] ** 2) * r["episodes"] for r in rows) / episodes
    half = 1.96 * math.sqrt(max(square - mean**2, 0.0) / episodes)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)


def by(rows: Sequence[Row], *fields: str) -> dict[Any, list[Row]]:
    """Rows by the value of a field, or by those of several, in order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple(row[f] for f in fields)
        found.setdefault(key if len(fields) > 1 else key[0], []).append(row)
    return dict(sorted(found.items()))


def spread_of_seeds(rows: Sequence[Row], *cell: str) -> str:
    """In a sentence: how far the means of seeds lie apart, which the intervals do not hold.

    Args:
        rows: of several seeds.
        cell: the fields that, but for the seed, tell a row.
    """
    found, chance = [], []
    for of in by(rows, *cell).values():
        if len({r["seed"] for r in of}) > 1 and of[0]["method"] not in ("random", "still", "operator"):
            means = [r["success"] for r in of]
            centre = sum(means) / len(means)
            found.append(sum((m - centre) ** 2 for m in means) / (len(means) - 1))
            one = [pooled([r]) for r in of]
            chance.append(sum(((high - low) / 3.92) ** 2 for _, low, high in one) / len(one))
    if not found:
        return "Brackets are 95% intervals over episodes, of one seed."
    spread, expected, most = (math.sqrt(v) for v in (sum(found) / len(found), sum(chance) / len(chance), max(found)))
    return (
        "Brackets are 95% intervals over the episodes of all seeds. Seeds add to that: their means have a standard "
        f"deviation of {spread:.3f} (root mean square over the cells; {expected:.3f} would be the chance of their "
        f"episodes alone), of {most:.2f} at most."
    )


def told(interval: Interval) -> str:
    """A mean with its interval, that no browser breaks into lines."""
    return f"{interval[0]:.2f} ({interval[1]:.2f}-{interval[2]:.2f})".replace(" ", "&nbsp;").replace("-", "&#8209;")
