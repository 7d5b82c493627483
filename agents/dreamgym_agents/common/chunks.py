"""Plans and chunks of actions: cut from demonstrations, and under way in many envs at once.

A plan is whatever an agent decides now and then and follows until its horizon: a chunk of actions [T, A], or the
weights of a policy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def cut_chunks(actions: Tensor, length: int) -> Tensor:
    """The ``length`` actions from each step on: [B, S, A] to [B, S - length + 1, length, A]."""
    return actions.unfold(1, length, 1).transpose(2, 3)


def are_due(fresh: Tensor, steps: Tensor, horizon: int) -> Tensor:
    """[B] bool: envs that decide now: they were just reset, or have followed their plan for ``horizon`` steps."""
    return fresh | (steps >= horizon)


def renewed(plan: Tensor | None, due: Tensor, draw: Callable[[Tensor | slice], Tensor]) -> Tensor:
    """The plans of all envs, those of the envs that are due drawn anew; ``plan`` is left as it was.

    Args:
        plan: [B, ...], or None before the first.
        due: [B] bool.
        draw: gives the plans of the rows that it is called with, an index [R] or a slice of all.
    """
    if plan is None:
        return draw(slice(None))
    rows = due.nonzero().flatten()  # waits for an accelerator, once: drawing plans that nobody follows costs far more
    if len(rows) == len(due):
        return draw(slice(None))
    return plan.index_copy(0, rows, draw(rows)) if len(rows) else plan


def action_at(chunk: Tensor, step: Tensor) -> Tensor:
    """[B, ...], action (or frame of actions) number ``step`` [B] of each chunk [B, T, ...]."""
    return chunk[torch.arange(len(chunk), device=chunk.device), step]
