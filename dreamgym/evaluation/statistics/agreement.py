"""Real against imagined success over a set of policies: does the dream rank and score them as reality does?

Pearson and Spearman correlation, the mean maximum rank violation (MMRV) and what each would come to in a perfect dream
at the same numbers of episodes; the exploitation gap. Pure numpy; `dreamgym.evaluation.statistics.calibration` looks
inside the episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dreamgym.evaluation.statistics.inference import wilson


def _pair(real: ArrayLike, imagined: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y, f = np.asarray(real, np.float64).ravel(), np.asarray(imagined, np.float64).ravel()
    if len(y) != len(f) or len(y) < 2:
        raise ValueError(
            f"expected one real and one imagined value of each of 2 policies or more, got {len(y)}, {len(f)}"
        )
    if not (np.isfinite(y).all() and np.isfinite(f).all()):
        raise ValueError("real and imagined values must be finite; leave out policies that were not evaluated in both")
    return y, f


def pearson(real: ArrayLike, imagined: ArrayLike) -> float:
    """Pearson's r of two lists of one length; nan where either does not vary."""
    y, f = _pair(real, imagined)
    y, f = y - y.mean(), f - f.mean()
    norm = float(np.sqrt((y**2).sum() * (f**2).sum()))
    return float((y * f).sum() / norm) if norm > 1e-12 else float("nan")


def ranks(values: ArrayLike) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of theirs."""
    _, inverse, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    shared: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return shared


def spearman(real: ArrayLike, imagined: ArrayLike) -> float:
    """Spearman's rank correlation; nan where either does not vary."""
    y, f = _pair(real, imagined)
    return pearson(ranks(y), ranks(f))


def mmrv(real: ArrayLike, imagined: ArrayLike) -> float:
    """Mean maximum rank violation, as SimplerEnv (Li et al., CoRL 2024) defines it.

    For policies i = 1..N with real success R_i and simulated (here: imagined) success S_i::

        violation(i, j) = |R_i - R_j| * [(S_i < S_j) != (R_i < R_j)]
        MMRV            = 1/N * sum_i max_j violation(i, j)

    so a pair that the dream puts in the wrong order costs what choosing wrongly between the two would lose in reality.
    0 is a perfect order; the unit is that of the success rates. SimplerEnv takes it among the policies of one task and
    averages over tasks; over policies of several tasks at once it is a harder measure (see `study.ranks_to_dict`).
    """
    y, f = _pair(real, imagined)
    wrong = (f[:, None] < f) != (y[:, None] < y)
    return float((np.abs(y[:, None] - y) * wrong).max(1).mean())


@dataclass(frozen=True)
class Floor:
    """What the measures come to when the dream is exactly reality and only the counting of episodes is noisy.

    Attributes:
        mmrv: mean over draws: the noise floor.
        mmrv_95: 95% of draws lie below.
        pearson: mean over draws: the ceiling that noise leaves.
        spearman: the same.
    """

    mmrv: float
    mmrv_95: float
    pearson: float
    spearman: float


def noise_floor(
    rates: ArrayLike, real_episodes: ArrayLike, imagined_episodes: ArrayLike, *, rounds: int = 2000, seed: int = 0
) -> Floor:
    """Resamples a perfect dream: both counts are binomial draws from the same ``rates``.

    Args:
        rates: [N] success rates that are taken for the truth. Measured ones spread a little wider than the truth, which
            makes the floor, if anything, a little low.
        real_episodes, imagined_episodes: of each policy, or one number for all.
        rounds: draws.
        seed: of the draws.

    Raises:
        ValueError: rates outside [0, 1], or fewer than two.
    """
    p = np.asarray(rates, np.float64).ravel()
    if len(p) < 2 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"a noise floor needs success rates in [0, 1] of 2 policies or more, got {p}")
    n, m = (np.broadcast_to(np.asarray(x, np.int64), p.shape) for x in (real_episodes, imagined_episodes))
    rng, found = np.random.default_rng(seed), np.zeros((rounds, 3))
    for i in range(rounds):
        y, f = rng.binomial(n, p) / n, rng.binomial(m, p) / m
        found[i] = mmrv(y, f), pearson(y, f), spearman(y, f)
    mean = np.nanmean(found[:, 1:], 0) if np.isfinite(found[:, 1:]).all(1).any() else np.full(2, np.nan)
    return Floor(float(found[:, 0].mean()), float(np.quantile(found[:, 0], 0.95)), float(mean[0]), float(mean[1]))


@dataclass(frozen=True)
class Score:
    """One policy's success in both worlds.

    Attributes:
        name: of the policy.
        real, imagined: success rates.
        real_episodes, imagined_episodes: of how many.
        step: training step at which it was saved; None where there is none.
        task: its task.
        real_effective, imagined_effective: independent episodes that would say as much, where several began from one
            start; None: all did from starts of their own.
    """

    name: str
    real: float
    imagined: float
    real_episodes: int
    imagined_episodes: int
    step: float | None = None
    task: str = ""
    real_effective: float | None = None
    imagined_effective: float | None = None

    def sure_of(self, side: str) -> tuple[float, float]:
        """The success rate in "real" or "imagined" and the independent episodes that it stands on."""
        sure = getattr(self, f"{side}_effective")
        return getattr(self, side), float(getattr(self, f"{side}_episodes") if sure is None else sure)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, with the intervals of both rates."""
        out = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(self).items()}
        for side in ("real", "imagined"):
            rate, number = self.sure_of(side)
            out[f"{side}_interval_95"] = [round(x, 6) for x in wilson(rate * number, number)]
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Reads what `to_dict` wrote."""
        return cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})


@dataclass(frozen=True)
class RankAgreement:
    """The outcome of `rank_agreement`: the measures over a set of policies, and their noise floor.

    Attributes:
        num_policies: how many.
        pearson, spearman, mmrv: see the functions.
        pearson_interval_95: by resampling the policies.
        floor: see `Floor`.
        mean_gap: imagined minus real success, averaged.
    """

    num_policies: int
    pearson: float
    spearman: float
    mmrv: float
    pearson_interval_95: tuple[float, float]
    floor: Floor
    mean_gap: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, flat: the floor as ``mmrv_floor`` and ``mmrv_floor_95``, the ceilings by name."""
        own = {k: getattr(self, k) for k in ("pearson", "spearman", "mmrv", "mean_gap")}
        own |= {"mmrv_floor": self.floor.mmrv, "mmrv_floor_95": self.floor.mmrv_95}
        own |= {"pearson_ceiling": self.floor.pearson, "spearman_ceiling": self.floor.spearman}
        rounded: dict[str, Any] = {k: _rounded(v) for k, v in own.items()}
        interval = [_rounded(x) for x in self.pearson_interval_95]
        return {"num_policies": self.num_policies, **rounded, "pearson_interval_95": interval}


def _rounded(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


FEWEST = 5
"""Policies with different results below which a correlation says nothing: any two lie on a line, and three often do."""


def num_distinct(scores: Sequence[Score]) -> int:
    """How many policies differ from one another in their real or their imagined success."""
    return len({(s.task, s.real, s.imagined) for s in scores})


def rank_agreement(scores: Sequence[Score], *, rounds: int = 2000, seed: int = 0) -> RankAgreement:
    """Every measure over a set of policies; the interval of r is nan below `FEWEST` policies with different results.

    Raises:
        ValueError: fewer than two policies.
    """
    y, f = _pair([s.real for s in scores], [s.imagined for s in scores])
    numbers = [[s.real_episodes for s in scores], [s.imagined_episodes for s in scores]]
    # The truth lies nearer the middle of both counts than either of them.
    pooled = (y * numbers[0] + f * numbers[1]) / np.sum(numbers, 0)
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(y), size=(rounds, len(y)))
    again = [pearson(y[d], f[d]) for d in draws]
    enough = num_distinct(scores) >= FEWEST and np.isfinite(again).any()
    low, high = np.nanquantile(again, [0.025, 0.975]) if enough else (np.nan, np.nan)
    return RankAgreement(
        len(y),
        pearson(y, f),
        spearman(y, f),
        mmrv(y, f),
        (float(low), float(high)),
        noise_floor(pooled, *numbers, rounds=rounds, seed=seed),
        float((f - y).mean()),
    )


def exploitation_gap(scores: Sequence[Score]) -> list[dict[str, float]]:
    """Imagined minus real success against the training step (a policy that exploits its dream drifts upwards).

    Policies without a step are left out; several at one step (seeds, tasks) are averaged. Of several tasks those steps
    are kept at which each has a policy: else the curve would jump where an easy task drops out.

    Returns:
        By rising step: step, gap, real, imagined, and gap_low, gap_high: a 95% normal interval that takes the episodes
        of the two worlds for independent; paired starts make it, if anything, too wide.
    """
    out, tasks = [], {s.task for s in scores if s.step is not None}
    for step in sorted({s.step for s in scores if s.step is not None}):
        own = [s for s in scores if s.step == step]
        if {s.task for s in own} != tasks:
            continue
        real, imagined = (float(np.mean([getattr(s, k) for s in own])) for k in ("real", "imagined"))
        variance = [_variance(*s.sure_of("real")) + _variance(*s.sure_of("imagined")) for s in own]
        half = 1.96 * float(np.sqrt(np.sum(variance))) / len(own)
        gap = imagined - real
        values = {"gap": gap, "gap_low": gap - half, "gap_high": gap + half, "real": real, "imagined": imagined}
        out.append({"step": float(step), **{k: round(v, 6) for k, v in values.items()}})
    return out


def _variance(rate: float, episodes: float) -> float:
    """Of a measured rate; two successes and two failures are added, or it would be nought at 0 and 1."""
    p = (rate * episodes + 2) / (episodes + 4)
    return p * (1 - p) / (episodes + 4)
