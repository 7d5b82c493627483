"""Whether a success classifier means what it says: reliability, calibration error and F1 on a policy's own frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Reliability:
    """Counts by bin of the stated probability; reliabilities of several policies add up.

    Attributes:
        count: [bins] int64, frames in the bin.
        probability: [bins], sum of their stated probabilities.
        success: [bins], how many of them the oracle calls done.
        hits, wrong: of the classifier's verdicts at its threshold: true positives; false ones of either kind.
    """

    count: np.ndarray
    probability: np.ndarray
    success: np.ndarray
    hits: int
    wrong: int

    @classmethod
    def of(cls, probability: ArrayLike, label: ArrayLike, threshold: ArrayLike = 0.5, bins: int = 10) -> Reliability:
        """Counts frames.

        Args:
            probability: [n] in [0, 1], what the classifier says.
            label: [n] bool, the oracle's verdict.
            threshold: at or above it the classifier says done; one, or one for each frame.
            bins: of equal width.

        Raises:
            ValueError: lengths that do not match, or probabilities outside [0, 1].
        """
        p, y = np.asarray(probability, np.float64).ravel(), np.asarray(label, bool).ravel()
        if len(p) != len(y):
            raise ValueError(f"{len(p)} probabilities and {len(y)} labels: give one label for each probability")
        if not ((p >= 0) & (p <= 1)).all():
            raise ValueError("probabilities must lie in [0, 1] and be finite")
        index = np.minimum((p * bins).astype(np.int64), bins - 1)
        said = p >= np.asarray(threshold, np.float64)
        return cls(
            np.bincount(index, minlength=bins),
            np.bincount(index, p, bins),
            np.bincount(index, y.astype(np.float64), bins),
            int((said & y).sum()),
            int((said ^ y).sum()),
        )

    @classmethod
    def total(cls, parts: Iterable[Reliability]) -> Reliability:
        """The sum of several.

        Raises:
            ValueError: none, or parts with different bins.
        """
        given = list(parts)
        if not given or len({len(p.count) for p in given}) != 1:
            raise ValueError(
                f"expected one or more reliabilities with the same bins, got {[len(p.count) for p in given]}"
            )
        sums = (sum(getattr(p, k) for p in given) for k in ("count", "probability", "success", "hits", "wrong"))
        return cls(*sums)

    @property
    def ece(self) -> float:
        """Expected calibration error: how far stated probability and share of successes lie apart, over all frames."""
        total = self.count.sum()
        return float(np.abs(self.probability - self.success).sum() / total) if total else float("nan")

    @property
    def f1(self) -> float:
        """F1 over frames; 1 where there was nothing to find and nothing was found."""
        return 1.0 if self.hits + self.wrong == 0 else 2 * self.hits / (2 * self.hits + self.wrong)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        sums = {k: [round(float(x), 6) for x in getattr(self, k)] for k in ("probability", "success")}
        rates = {"ece": round(self.ece, 6) if self.count.sum() else None, "f1": round(self.f1, 6)}
        return {"count": self.count.tolist(), **sums, "hits": self.hits, "wrong": self.wrong, **rates}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reliability:
        """Reads what `to_dict` wrote."""
        probability, success = (np.asarray(data[k], np.float64) for k in ("probability", "success"))
        return cls(np.asarray(data["count"], np.int64), probability, success, int(data["hits"]), int(data["wrong"]))
