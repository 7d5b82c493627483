"""Sums of errors over windows, and how well uncertainty points out the worst of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from dreamgym.evaluation.making.measures import as_numpy
from dreamgym.training.openloop import auroc


class Tally:
    """Sums and counts of values, by (name, who): each [frames]."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.total: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(frames))
        self.count: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(frames))

    def add(self, name: str, who: str, frame: int, value: Tensor, keep: Tensor | None = None) -> None:
        """Adds [B] values at ``frame``, those where ``keep`` [B] alone if it is given."""
        value = value if keep is None else value[keep]
        self.total[name, who][frame] += float(value.sum())
        self.count[name, who][frame] += value.numel()

    def mean(self, name: str, who: str) -> np.ndarray:
        """[frames], nan where nothing was counted."""
        count = self.count[name, who]
        return np.where(count > 0, self.total[name, who] / np.maximum(count, 1), np.nan)


class Scored:
    """Uncertainties of predictions beside their true errors, collected."""

    def __init__(self) -> None:
        self.unsure: list[Tensor] = []
        self.wrong: dict[str, list[Tensor]] = defaultdict(list)
        self.size = 0

    def add(self, unsure: Tensor, errors: Mapping[str, Tensor]) -> None:
        """Adds predictions, [B] each."""
        self.unsure.append(unsure)
        self.size += len(unsure)
        for kind, error in errors.items():
            self.wrong[kind].append(error)

    def rate(self, worst_share: float) -> dict[str, float]:
        """See `rate_uncertainty`."""
        errors = {k: as_numpy(torch.cat(v)) for k, v in self.wrong.items()}
        return rate_uncertainty(as_numpy(torch.cat(self.unsure)), errors, worst_share)


def rate_uncertainty(unsure: np.ndarray, errors: Mapping[str, np.ndarray], worst_share: float) -> dict[str, float]:
    """How well uncertainty points out the worst predictions, over all windows and steps.

    Args:
        unsure: uncertainty of each prediction, [n].
        errors: true errors by kind, each [n].
        worst_share: the share of the largest errors that counts as worst.

    Returns:
        auroc_<kind> for each kind, p50 and p99 of the uncertainty. The 99th percentile is what
        `WorldModelSpec.uncertainty_limit` holds.
    """
    out = {f"auroc_{k}": auroc(unsure, e >= np.quantile(e, 1 - worst_share)) for k, e in errors.items()}
    return out | {"p50": float(np.quantile(unsure, 0.5)), "p99": float(np.quantile(unsure, 0.99))}
