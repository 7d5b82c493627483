"""The mean of a table of seeds by starts: how sure it is for other seeds and other starts together.

Policies of several seeds that act from the same starts are crossed: episodes of one policy are alike, and so are
episodes from one start. The variance of their mean has both parts (two-way random effects; Cameron, Gelbach and Miller,
"Robust inference with multiway clustering", 2011, for a whole table)::

    V = V_starts + V_seeds - V_rest      V_starts = var(means of starts) / K,  V_seeds = var(means of seeds) / S,
                                         V_rest = var(what both leave) / (S K)

and its degrees of freedom follow Satterthwaite, so that three seeds that disagree make a wide interval and three that
agree do not. One seed says nothing of other seeds: its interval is about starts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dreamgym.evaluation.statistics.inference import normal_quantile, student_quantile, wilson


@dataclass(frozen=True)
class Mean:
    """A mean with its variance.

    Attributes:
        value: the mean.
        variance: of the mean.
        degrees: of freedom of that variance.
        episodes: how many values it is of.
    """

    value: float
    variance: float
    degrees: float
    episodes: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's interval, for means of gains."""
        half = student_quantile(confidence, max(1, int(self.degrees))) * self.variance**0.5
        return self.value - half, self.value + half

    def rate_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of the effective number of episodes, for success rates in [0, 1]."""
        spread, size = self.value * (1 - self.value), float(self.episodes)
        if spread > 0 and self.variance > 0:
            wider = student_quantile(confidence, max(1, int(self.degrees))) / normal_quantile(confidence)
            size = min(size, spread / self.variance / wider**2)
        elif self.variance == 0:
            size = min(size, self.degrees + 1)  # all alike: nothing can be said of how alike episodes are
        return wilson(self.value * size, size, confidence)


def crossed_mean(values: ArrayLike) -> Mean:
    """The mean of [S, K] values of S seeds from the same K starts.

    Raises:
        ValueError: not such a table, or of fewer than two starts.
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not len(table):
        raise ValueError(f"expected values [seeds, starts] of two starts or more, got shape {table.shape}")
    (seeds, starts), mean = table.shape, float(table.mean())
    of_starts = float(table.mean(0).var(ddof=1)) / starts
    if seeds == 1:
        return Mean(mean, of_starts, starts - 1, table.size)
    of_seeds = float(table.mean(1).var(ddof=1)) / seeds
    left = table - table.mean(0) - table.mean(1, keepdims=True) + mean
    rest = float((left**2).sum()) / ((seeds - 1) * (starts - 1)) / table.size
    variance = max(of_starts + of_seeds - rest, of_starts, of_seeds)
    parts = of_starts**2 / (starts - 1) + of_seeds**2 / (seeds - 1)
    degrees = variance**2 / parts if parts > 0 else float(starts - 1)
    return Mean(mean, variance, degrees, table.size)


def mean_of(parts: Sequence[Mean]) -> Mean:
    """The plain mean of independent means (of tasks, each with policies and starts of its own)."""
    if not parts:
        raise ValueError("the mean of nothing: give one mean or more")
    variance = sum(p.variance for p in parts)
    below = sum(p.variance**2 / p.degrees for p in parts)
    degrees = variance**2 / below if below > 0 else min(p.degrees for p in parts)
    value = float(np.mean([p.value for p in parts]))
    return Mean(value, variance / len(parts) ** 2, degrees, sum(p.episodes for p in parts))
