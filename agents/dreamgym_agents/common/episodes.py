"""Checks of single trajectories, and of what their actions are counted from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

ArrayLike = Any


def as_rows(i: int, x: ArrayLike) -> Tensor:
    """Trajectory number ``i`` as a float32 tensor of its own; raises ValueError where it is no rows of numbers."""
    if isinstance(x, Tensor):
        return x.detach().float().cpu()
    try:
        return torch.from_numpy(np.array(x, np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f"trajectory {i}: expected rows of numbers, all of one width ({error})") from None


def check_episode(i: int, obs: Tensor, action: Tensor, dims: tuple[int | None, ...]) -> None:
    """Raises ValueError where trajectory ``i`` is not obs [T, O] and action [T, A] of ``dims`` entries, all finite."""
    if obs.dim() != 2 or action.dim() != 2 or len(obs) != len(action) or not len(obs):
        raise ValueError(
            f"trajectory {i} has obs {tuple(obs.shape)} and action {tuple(action.shape)}: expected [T, O] and [T, A] "
            "with one action for each observation; drop the observation after the last action"
        )
    if (obs.shape[1], action.shape[1]) != dims:
        raise ValueError(
            f"trajectory {i} has {obs.shape[1]} + {action.shape[1]} entries, the first {dims}: one robot each"
        )
    if not (obs.isfinite().all() and action.isfinite().all()):
        raise ValueError(f"trajectory {i} holds NaN or infinity: leave it out or mend it")


def check_origin(entries: Sequence[int], obs_dim: int, action_dim: int) -> None:
    """Raises ValueError where these cannot be the entries of an observation that an action is counted from."""
    if len(entries) not in (0, action_dim) or any(not 0 <= e < obs_dim for e in entries):
        raise ValueError(
            f"actions are counted from one entry of the observation each: expected {action_dim} below {obs_dim}, or "
            f"none, got {tuple(entries)}"
        )
