"""How sure a success rate is: Wilson intervals, and prediction-powered inference from imagined and few real episodes.

Prediction-powered inference (Angelopoulos et al., "Prediction-powered inference", Science 2023; with the power tuning
of "PPI++", 2023) estimates the real success rate as::

    theta = mean(Y) + lambda * (mean(F over imagined episodes) - mean(F over the real episodes' own starts))

where Y is what an episode came to in the simulator and F what the dream said of an episode from the same start. The
second term is what the dream would add, less what it is seen to be wrong by; ``lambda`` in [0, 1] trusts it as far as
it is correlated with reality. A dream that lies costs nothing but the gain: the estimate stays unbiased.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

METHODS = ("wilson", "normal")
FEWEST = 5
"""Paired episodes below which no covariance is worth estimating, and the classical interval is given."""


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
    z, rate = _z(confidence), successes / episodes
    middle = (rate + z * z / (2 * episodes)) / (1 + z * z / episodes)
    half = z / (1 + z * z / episodes) * np.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    # At 0 and at n the ends are exact; rounding must not say otherwise.
    low = 0.0 if successes <= 0 else max(0.0, float(middle - half))
    high = 1.0 if successes >= episodes else min(1.0, float(middle + half))
    return low, high


def difference(
    before: tuple[float, float], after: tuple[float, float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """The gain in success rate with Newcombe's interval (1998, method 10), which is made of two Wilson intervals.

    Args:
        before, after: (successes, episodes). The episodes are taken for independent; paired starts make the interval,
            if anything, too wide.
        confidence: in (0, 1).

    Returns:
        The difference after - before, and the ends of its interval.
    """
    (low_0, high_0), (low_1, high_1) = (wilson(*x, confidence) for x in (before, after))
    p, q = before[0] / before[1], after[0] / after[1]
    low = q - p - float(np.hypot(q - low_1, high_0 - p))
    return q - p, low, q - p + float(np.hypot(high_1 - q, p - low_0))


def paired_difference(before: ArrayLike, after: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """The gain in success rate over paired episodes, with the adjusted Wald interval of Bonett and Price (2012).

    Only the pairs that came out differently say anything, so where both succeed from the same starts the interval is
    much narrower than `difference` makes it.

    Args:
        before, after: [n] outcomes (0 or 1) of the episodes from the same starts.
        confidence: in (0, 1).

    Returns:
        The difference after - before, and the ends of its interval, within -1..1.

    Raises:
        ValueError: no episodes, or not as many of one as of the other.
    """
    old, new = (np.asarray(x, bool).ravel() for x in (before, after))
    if len(old) != len(new) or not len(old):
        raise ValueError(f"give as many outcomes of one as of the other, one at least; got {len(old)}, {len(new)}")
    z, n = _z(confidence), len(old)
    won, lost = ((k.sum() + 1) / (n + 2) for k in (new & ~old, old & ~new))
    middle, half = won - lost, z * np.sqrt((won + lost - (won - lost) ** 2) / (n + 2))
    ends = float(np.clip(middle - half, -1, 1)), float(np.clip(middle + half, -1, 1))
    return float(new.mean() - old.mean()), *ends


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


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
    real: ArrayLike, paired: ArrayLike, imagined: ArrayLike, confidence: float = 0.95, method: str = "wilson"
) -> Estimate:
    """The real success rate from few real and many imagined episodes.

    The normal interval of the papers covers too rarely at the few episodes that robots allow, and is empty where all
    of them end alike. "wilson" puts the same variance into Wilson's form: it asks how many plain episodes would be as
    sure (`Estimate.effective_episodes`) and gives their interval. Below `FEWEST` paired episodes lambda is 0.

    Args:
        real: [n] outcomes in the simulator, 0 or 1.
        paired: [n] what the dream said of an episode from the same start, in [0, 1] (an outcome, or the mean of many).
        imagined: [N] the same for further episodes whose starts were drawn alike, never run in the simulator.
        confidence: of the interval.
        method: "wilson" or "normal".

    Raises:
        ValueError: no episodes, lengths that do not match, values outside [0, 1], an unknown method.
    """
    y, f, more = (np.asarray(x, np.float64).ravel() for x in (real, paired, imagined))
    _check(y, f, more, method)
    n, extra = len(y), len(more)
    weight = _tuned_weight(y, f, more)
    gain = weight * (more.mean() - f.mean()) if weight else 0.0
    rate = float(np.clip(y.mean() + gain, 0.0, 1.0))
    classical = wilson(y.sum(), n, confidence)
    spread = np.std(y) * np.std(f)
    correlation = float(np.corrcoef(y, f)[0, 1]) if spread > 1e-12 else 0.0
    # One degree of freedom for the mean, one for the fitted weight.
    left = float((y - weight * f).var()) * n / (n - 2) / n + weight**2 * more.var() / extra if weight else 0.0
    own = float(y.var()) * n / (n - 1) / n if n > 1 else 0.0
    # No weight takes the variance below that of n + N real episodes, so an estimate that says so is noise.
    effective = float(np.clip(n * own / left, n, n + extra)) if left > 0 else float(n)
    if method == "normal":
        half = _z(confidence) * np.sqrt(left if weight else own)
        low, high = max(0.0, rate - half), min(1.0, rate + half)
    else:
        low, high = wilson(rate * effective, effective, confidence)
    return Estimate(
        rate, float(low), float(high), weight, correlation, effective, n, extra, float(y.mean()), *classical
    )


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
