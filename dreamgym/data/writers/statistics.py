"""Statistics of features as LeRobot keeps them: what its policies normalise by."""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
PICTURES = 100
"""Pictures an episode that statistics of a camera are taken from, at most, spread evenly."""


def of_numbers(values: np.ndarray) -> dict[str, list[Any]]:
    """Entry by entry, over rows [T, ...] (of single numbers [T]): min, max, mean, std, count and quantiles."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    return _as_lists(rows, values.shape[1:] or (1,), len(values))


def of_pictures(values: np.ndarray) -> dict[str, list[Any]]:
    """Channel by channel, over uint8 [T, H, W, C] scaled to [0, 1], shape [C, 1, 1]."""
    chosen = values[np.linspace(0, len(values) - 1, min(len(values), PICTURES)).astype(int)]
    rows = chosen.reshape(-1, values.shape[-1]).astype(np.float64) / 255
    return _as_lists(rows, (values.shape[-1], 1, 1), len(chosen))


def _as_lists(rows: np.ndarray, shape: tuple[int, ...], count: int) -> dict[str, list[Any]]:
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    found |= {f"q{round(100 * q):02d}": np.quantile(rows, q, axis=0) for q in QUANTILES}
    return {name: value.reshape(shape).tolist() for name, value in found.items()} | {"count": [count]}


def merged(parts: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Of all episodes together, from each one's: exact but for quantiles, which are averages weighted by rows."""
    count = np.array([part["count"][0] for part in parts], np.float64)
    values = {name: np.array([part[name] for part in parts]) for name in parts[0] if name != "count"}
    weight = (count / count.sum()).reshape(-1, *[1] * (values["mean"].ndim - 1))
    out = {name: (value * weight).sum(0) for name, value in values.items()}
    spread = values["std"] ** 2 + (values["mean"] - out["mean"]) ** 2
    out |= {"min": values["min"].min(0), "max": values["max"].max(0), "std": np.sqrt((spread * weight).sum(0))}
    return {name: value.tolist() for name, value in out.items()} | {"count": [int(count.sum())]}
