"""Picking and merging envs of a batch: dicts of tensors with leading dimension B."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dreamgym.envs.core.steps import Obs
from dreamgym.types import State


def copy_to(state: State, device: torch.device) -> State:
    """A copy on ``device``, also where it is there already."""
    return {k: v.to(device, copy=True) for k, v in state.items()}


def take_rows(value: Any, rows: Tensor | None) -> Any:
    """Rows of a tensor, or of each tensor of a dict; all of them where ``rows`` is None."""
    if rows is None:
        return value
    # index_select takes half as long as indexing.
    if isinstance(value, dict):
        return {k: v.index_select(0, rows) for k, v in value.items()}
    return value.index_select(0, rows)


def put_rows(old: State, rows: Tensor, new: State) -> State:
    """A copy of ``old`` [B, ...] with ``new`` [K, ...] at ``rows`` [K]."""
    return {k: v.index_copy(0, rows, new[k]) for k, v in old.items()}


def write_rows(obs: Obs, rows: Tensor, new: Obs) -> Obs:
    """``obs`` with ``new`` at ``rows``, in place."""
    if isinstance(obs, Tensor):
        assert isinstance(new, Tensor)
        return obs.index_copy_(0, rows, new)
    assert isinstance(new, dict)
    return {k: v.index_copy_(0, rows, new[k]) for k, v in obs.items()}
