"""What the episodes of one policy in one world came to: arrays over episodes, and their JSON form."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Episodes:
    """N episodes of one policy in one world; every field is an array [N].

    Attributes:
        row: int64, the row of the start bank that the episode began from.
        task: int64, index into the evaluation's tasks.
        success: bool; in a dream by the reward model's threshold, in a twin by the simulator's oracle.
        length: int64, control steps to the success (inside a chunk too, frame by frame), or to the end.
        returns: float64, success probabilities (DiWA's reward) summed over those steps.
        probability: float64, the highest of them, the frames that followed a success included.
        found: bool, whether the reward model called the task done at any of these frames; in a dream, ``success``.
        uncertainty: float64, the model's, averaged over the steps.
    """

    row: np.ndarray
    task: np.ndarray
    success: np.ndarray
    length: np.ndarray
    returns: np.ndarray
    probability: np.ndarray
    found: np.ndarray
    uncertainty: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def rate(self) -> float:
        """Share of successes."""
        return float(self.success.mean())

    def select(self, index: Any) -> Episodes:
        """Those at ``index`` (a slice, a mask or numbers)."""
        return Episodes(*(getattr(self, f.name)[index] for f in fields(self)))

    def fit(self, num_tasks: int) -> bool:
        """Whether every field has one value an episode, one at least, and every task is one of ``num_tasks``."""
        sizes = {np.shape(getattr(self, f.name)) for f in fields(self)}
        whole = len(sizes) == 1 and len(self.row.shape) == 1 and len(self.row) > 0
        return whole and bool(((self.task >= 0) & (self.task < num_tasks)).all())

    def to_dict(self) -> dict[str, list[Any]]:
        """JSON-ready form, a list a field; `from_dict` reads it back."""
        out: dict[str, list[Any]] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if values.dtype == bool:
                values = values.astype(np.int64)
            out[field.name] = [float(f"{v:.5g}") if isinstance(v, float) else v for v in values.tolist()]
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Episodes:
        """Reads what `to_dict` wrote."""
        kinds = {"row": np.int64, "task": np.int64, "length": np.int64, "success": bool, "found": bool}
        return cls(*(np.asarray(data[f.name], kinds.get(f.name, np.float64)) for f in fields(cls)))
