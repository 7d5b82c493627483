"""Prediction-powered inference: the real success rate from few real and many imagined episodes.

Prediction-powered inference (Angelopoulos et al., "Prediction-powered inference", Science 2023; with the power tuning
of "PPI++", 2023) estimates the real success rate as::

    theta = mean(Y) + lambda * (mean(F over imagined episodes) - mean(F over the real episodes' own starts))

where Y is what an episode came to in the simulator and F what the dream said of an episode from the same start. The
second term is what the dream would add, less what it is seen to be wrong by; ``lambda`` in [0, 1] trusts it as far as
it is correlated with reality. A dream that lies costs nothing but the gain: the estimate stays unbiased.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dreamgym.evaluation.statistics.inference import effective_episodes, normal_quantile, student_quantile, wilson

METHODS = ("wilson", "normal")
FEWEST = 5
"""Clusters of paired episodes below which no covariance is worth estimating, and the classical interval is given."""


@dataclass(frozen=True)
class Estimate:
    """A real success rate estimated from real and imagined episodes.

    Attributes:
        rate: the estimate, in [0, 1].
        low, high: its interval.
        weight: lambda, how far the dream is trusted; 0 is the classical estimate.
        correlation: of real and imagined outcomes over the paired episodes; 0 where either never varies.
        effective_episodes: real episodes that would give as narrow an interval without the dream.
        num_real, num_imagined: paired real episodes, and imagined ones besides.
        classical_rate, classical_low, classical_high: from the real episodes alone, by Wilson.
    """

    rate: float
    low: float
    high: float
    weight: float
    correlation: float
    effective_episodes: float
    num_real: int
    num_imagined: int
    classical_rate: float
    classical_low: float
    classical_high: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}


def prediction_powered(
    real: ArrayLike,
    paired: ArrayLike,
    imagined: ArrayLike,
    confidence: float = 0.95,
    method: str = "wilson",
    start: ArrayLike | None = None,
    imagined_start: ArrayLike | None = None,
) -> Estimate:
    """The real success rate from few real and many imagined episodes.

    The normal interval of the papers covers too rarely at the few episodes that robots allow, and is empty where all
    of them end alike. "wilson" puts the same variance into Wilson's form: it asks how many plain episodes would be as
    sure (`Estimate.effective_episodes`) and gives their interval. Below `FEWEST` paired starts lambda is 0.

    Args:
        real: [n] outcomes in the simulator, 0 or 1.
        paired: [n] what the dream said of an episode from the same start, in [0, 1] (an outcome, or the mean of many).
        imagined: [N] the same for further episodes whose starts were drawn alike, never run in the simulator.
        confidence: of the interval.
        method: "wilson" or "normal".
        start: [n] labels of the real episodes' starts: those of one start are a cluster. None: each has its own.
        imagined_start: [N] labels of the imagined ones' starts, in the same numbers; imagining again from a start that
            was also run in the simulator says nothing of others. None: each has its own.

    Raises:
        ValueError: no episodes, lengths that do not match, values outside [0, 1], an unknown method.
    """
    y, f, more = (np.asarray(x, np.float64).ravel() for x in (real, paired, imagined))
    _check(y, f, more, method)
    n, extra = len(y), len(more)
    label, more_label, k = _joint_labels(n, extra, start, imagined_start)
    weight = _tuned_weight(y, f, more) if k >= FEWEST else 0.0
    rate = float(np.clip(y.mean() + (weight * (more.mean() - f.mean()) if weight else 0.0), 0.0, 1.0))
    spread = np.std(y) * np.std(f)
    correlation = float(np.corrcoef(y, f)[0, 1]) if spread > 1e-12 else 0.0
    own = effective_episodes(y, label, confidence)
    single = float(y.var()) / (n - 1) if n > 1 else 0.0  # variance of the mean of n episodes from starts of their own
    if weight:
        # One degree of freedom for the mean, one for the fitted weight.
        few = (student_quantile(confidence, k - 1) / student_quantile(confidence, n - 1)) ** 2  # 1 without clusters
        own_part = _variance(y - weight * f, label) * k / (k - 2) * few
        left = own_part + _joint(y - weight * f, label, weight * more, more_label)
        # No weight takes the variance below that of n + N real episodes, so an estimate that says so is noise.
        effective = float(np.clip(n * single / left, own, n + extra)) if left > 0 else own
    else:
        left, effective = single * n / own, own
    if method == "normal":
        half = normal_quantile(confidence) * np.sqrt(left)
        low, high = max(0.0, rate - half), min(1.0, rate + half)
    else:
        low, high = wilson(rate * effective, effective, confidence)
    classical = wilson(float(y.mean()) * own, own, confidence)
    return Estimate(
        rate, float(low), float(high), weight, correlation, effective, n, extra, float(y.mean()), *classical
    )


def _joint_labels(
    n: int, extra: int, start: ArrayLike | None, imagined_start: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Clusters of the real and of the imagined episodes in one numbering, and how many the real ones have."""
    own = np.arange(n) if start is None else np.unique(np.asarray(start).ravel(), return_inverse=True)[1]
    if start is None or imagined_start is None:
        others = int(own.max()) + 1 + np.arange(extra)
    else:
        both = np.concatenate([np.asarray(start).ravel(), np.asarray(imagined_start).ravel()])
        if len(both) != n + extra:
            raise ValueError(f"give a start for each of {n} real and {extra} imagined episodes, got {len(both)} in all")
        joint = np.unique(both, return_inverse=True)[1]
        own, others = joint[:n], joint[n:]
    if len(own) != n:
        raise ValueError(f"give a start for each of {n} real episodes, got {len(own)}")
    return own, others, len(np.unique(own))


def _variance(values: np.ndarray, label: np.ndarray) -> float:
    """Sum over clusters of what each adds to the mean, squared: a plug-in variance of the mean."""
    return float((np.bincount(label, values - values.mean()) ** 2).sum()) / len(values) ** 2


def _joint(values: np.ndarray, label: np.ndarray, more: np.ndarray, more_label: np.ndarray) -> float:
    """What adding ``mean(more)`` adds to the variance of ``mean(values)``: its own, and that of shared starts."""
    size = int(max(label.max(), more_label.max())) + 1
    mine = np.bincount(label, values - values.mean(), size) / len(values)
    theirs = np.bincount(more_label, more - more.mean(), size) / len(more)
    return float((theirs**2 + 2 * mine * theirs).sum())


def _tuned_weight(y: np.ndarray, f: np.ndarray, more: np.ndarray) -> float:
    """Lambda that makes the interval narrowest (PPI++, section 6): cov(Y, F) / ((1 + n / N) var F), within [0, 1]."""
    n, extra = len(y), len(more)
    if n < FEWEST or extra == 0 or y.std() == 0 or f.std() == 0:
        return 0.0
    covariance = float(np.cov(y, f)[0, 1])
    variance = float(np.concatenate([f, more]).var(ddof=1))
    return float(np.clip(covariance / ((1 + n / extra) * variance), 0.0, 1.0))


def _check(y: np.ndarray, f: np.ndarray, more: np.ndarray, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if len(y) == 0:
        raise ValueError("no real episodes: nothing can be said of the real success rate; run some in the twin")
    if len(y) != len(f):
        raise ValueError(
            f"{len(y)} real and {len(f)} paired imagined outcomes: give one imagined outcome for each real episode"
        )
    for name, values in (("real", y), ("paired", f), ("imagined", more)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} outcomes must lie in [0, 1] and be finite, got {values.min()} to {values.max()}")


@dataclass(frozen=True)
class Coverage:
    """How often intervals held the truth in `coverage`, and how wide they were.

    Attributes:
        coverage, width: of prediction-powered intervals; shares of rounds and success rate.
        classical_coverage, classical_width: of Wilson intervals from the real episodes alone.
        rounds: draws.
        num_real, num_imagined: paired real episodes a draw, and imagined ones besides.
    """

    coverage: float
    width: float
    classical_coverage: float
    classical_width: float
    rounds: int
    num_real: int
    num_imagined: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}


def coverage(
    real: ArrayLike,
    imagined: ArrayLike,
    *,
    num_real: int = 25,
    num_imagined: int = 500,
    rounds: int = 1000,
    confidence: float = 0.95,
    method: str = "wilson",
    seed: int = 0,
) -> Coverage:
    """Checks intervals by resampling: a pool of paired episodes is taken for the world, and samples are drawn from it.

    The truth is then known, the mean of the pool's real outcomes, and each round draws with replacement ``num_real``
    paired episodes and ``num_imagined`` others of which only the imagined outcome is looked at.

    Args:
        real, imagined: [M] outcomes of the pool, episode by episode.
        num_real, num_imagined: of each draw.
        rounds: draws.
        confidence, method: see `prediction_powered`.
        seed: of the draws.

    Raises:
        ValueError: an empty pool or lengths that do not match.
    """
    y, f = np.asarray(real, np.float64).ravel(), np.asarray(imagined, np.float64).ravel()
    if len(y) == 0 or len(y) != len(f):
        raise ValueError(f"the pool needs as many real as imagined outcomes and at least one, got {len(y)}, {len(f)}")
    rng, truth = np.random.default_rng(seed), y.mean()
    held, width = np.zeros(2), np.zeros(2)
    for _ in range(rounds):
        own, others = rng.integers(len(y), size=num_real), rng.integers(len(y), size=num_imagined)
        e = prediction_powered(y[own], f[own], f[others], confidence, method)
        for i, (low, high) in enumerate(((e.low, e.high), (e.classical_low, e.classical_high))):
            # A pool of nothing but successes has its truth on the edge; rounding must not push it out.
            held[i] += low - 1e-9 <= truth <= high + 1e-9
            width[i] += high - low
    share, mean = (held / rounds).tolist(), (width / rounds).tolist()
    return Coverage(share[0], mean[0], share[1], mean[1], rounds, num_real, num_imagined)
