"""How sure a success rate is: Wilson's interval, gains, and what clusters of episodes do to both.

Episodes from one start are alike, so n of them say less than n from starts of their own. Where episodes are clustered
(by start, or by start and seed), an interval is that of the *effective* number of independent episodes (Korn and
Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from survey
data", Survey Methodology 1998; here with Wilson's interval in place of Clopper and Pearson's)::

    n_eff = n / deff * (t_{n-1} / t_{K-1})^2          deff = cluster-robust variance of the mean / (p (1 - p) / (n - 1))

for K clusters, with ``deff`` kept within 1 and n / K, so that n_eff lies between the number of clusters and that of
episodes (the ratio of Student's quantiles, for variances estimated from few clusters, lowers it further). With one
episode a cluster it is the plain interval. `benchmarks/interval_coverage.py` measures how often such intervals hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


def wilson(successes: float, episodes: float, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a success rate (Wilson 1927): never empty at 0 or 1, never outside [0, 1].

    Args:
        successes: how many; need not be whole (an effective number).
        episodes: of how many, more than 0.
        confidence: in (0, 1).

    Raises:
        ValueError: no episodes, or successes outside 0..episodes.
    """
    if episodes <= 0 or not -1e-9 <= successes <= episodes + 1e-9:
        raise ValueError(f"an interval needs 0 <= successes <= episodes and episodes > 0, got {successes}, {episodes}")
    z, rate = normal_quantile(confidence), successes / episodes
    middle = (rate + z * z / (2 * episodes)) / (1 + z * z / episodes)
    half = z / (1 + z * z / episodes) * np.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    # At 0 and at n the ends are exact; rounding must not say otherwise.
    low = 0.0 if successes <= 0 else max(0.0, float(middle - half))
    high = 1.0 if successes >= episodes else min(1.0, float(middle + half))
    return low, high


def clustered_wilson(success: ArrayLike, cluster: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a success rate over clustered episodes.

    Args:
        success: [n] outcomes, 0 or 1.
        cluster: [n] labels: episodes of one label are not independent (the start, or numbers for (start, seed)).
        confidence: in (0, 1).

    Raises:
        ValueError: no episodes, or not one label for each.
    """
    y = np.asarray(success, np.float64).ravel()
    size = effective_episodes(y, cluster, confidence)
    return wilson(float(y.mean()) * size, size, confidence)


def effective_episodes(success: ArrayLike, cluster: ArrayLike, confidence: float = 0.95) -> float:
    """Independent episodes that would say as much of the mean as these clustered ones.

    Where all outcomes are alike nothing can be said of their clustering: it is then the number of clusters.

    Args:
        success: [n] outcomes, 0 or 1 (or anything whose mean is taken).
        cluster, confidence: see `clustered_wilson`.
    """
    y, label = np.asarray(success, np.float64).ravel(), cluster_numbers(cluster)
    if len(y) != len(label) or not len(y):
        raise ValueError(f"give one cluster for each of one or more episodes, got {len(label)} for {len(y)}")
    n, k = len(y), int(label.max()) + 1
    if k == n:
        return float(n)
    spread = float(y.var())
    if k == 1 or spread < 1e-12:
        return float(k)
    deff = clustered_variance(y, label) / (spread / (n - 1))
    size = n / min(max(deff, 1.0), n / k)
    return size * (student_quantile(confidence, n - 1) / student_quantile(confidence, k - 1)) ** 2


def cluster_numbers(cluster: ArrayLike) -> np.ndarray:
    """Labels (numbers or names) as 0..K-1, [n]."""
    return np.unique(np.asarray(cluster).ravel(), return_inverse=True)[1].ravel()


def clustered_variance(values: np.ndarray, label: np.ndarray) -> float:
    """Variance of the mean of ``values`` [n] that are independent between clusters alone (``label`` 0..K-1, K > 1)."""
    sums = np.bincount(label, values - values.mean())
    return float((sums**2).sum() * len(sums) / (len(sums) - 1) / len(values) ** 2)


def difference(
    before: tuple[float, float], after: tuple[float, float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """The gain in success rate with Newcombe's interval (1998, method 10), which is made of two Wilson intervals.

    Args:
        before, after: (successes, episodes), effective numbers where episodes are clustered. The two are taken for
            independent; paired starts make the interval, if anything, too wide.
        confidence: in (0, 1).

    Returns:
        The difference after - before, and the ends of its interval.
    """
    (low_0, high_0), (low_1, high_1) = (wilson(*x, confidence) for x in (before, after))
    p, q = before[0] / before[1], after[0] / after[1]
    low = q - p - float(np.hypot(q - low_1, high_0 - p))
    return q - p, low, q - p + float(np.hypot(high_1 - q, p - low_0))


def paired_difference(
    before: ArrayLike, after: ArrayLike, confidence: float = 0.95, cluster: Sequence[int] | np.ndarray | None = None
) -> tuple[float, float, float]:
    """The gain in success rate over paired episodes, with the adjusted Wald interval of Bonett and Price (2012).

    Only the pairs that came out differently say anything, so where both succeed from the same starts the interval is
    much narrower than `difference` makes it.

    Args:
        before, after: [n] outcomes (0 or 1) of the episodes from the same starts.
        confidence: in (0, 1).
        cluster: [n] labels of pairs that are not independent; the counts are then effective ones. None: all are.

    Returns:
        The difference after - before, and the ends of its interval, within -1..1.

    Raises:
        ValueError: no episodes, or not as many of one as of the other.
    """
    old, new = (np.asarray(x, bool).ravel() for x in (before, after))
    if len(old) != len(new) or not len(old):
        raise ValueError(f"give as many outcomes of one as of the other, one at least; got {len(old)}, {len(new)}")
    gained = new.astype(np.float64) - old
    n = float(len(old)) if cluster is None else effective_episodes(gained, cluster, confidence)
    z = normal_quantile(confidence)
    won, lost = ((k.mean() * n + 1) / (n + 2) for k in (new & ~old, old & ~new))
    middle, half = won - lost, z * np.sqrt((won + lost - (won - lost) ** 2) / (n + 2))
    ends = float(np.clip(middle - half, -1, 1)), float(np.clip(middle + half, -1, 1))
    return float(gained.mean()), *ends


def normal_quantile(confidence: float) -> float:
    """Half the width, in standard deviations, of a normal interval that holds ``confidence``.

    Raises:
        ValueError: a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def student_quantile(confidence: float, degrees: int) -> float:
    """The same of Student's t (Abramowitz and Stegun 26.7.5, to 1% from 4 degrees of freedom on; exact for 1 and 2)."""
    z, v = normal_quantile(confidence), float(degrees)
    if degrees == 1:
        return float(np.tan(np.pi * confidence / 2))
    if degrees == 2:
        return float(confidence * np.sqrt(2 / (1 - confidence**2)))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + float(sum(term / v ** (i + 1) for i, term in enumerate(terms)))
