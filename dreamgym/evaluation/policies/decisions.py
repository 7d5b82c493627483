"""A policy's decisions: how many actions each holds, and whether what came back is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.types import ActionSpec, InstructionSpec, Policy, WorldModelSpec


def actions_a_decision(policy: Policy, spec: WorldModelSpec) -> int | None:
    """Control actions that each ``act`` returns; None: one action [B, A], or one instruction [B].

    Raises:
        ValueError: a ``chunk`` that is no multiple of the model's actions per frame, or none where a frame spans
            several actions.
    """
    chunk, per_frame = getattr(policy, "chunk", None), spec.actions_per_frame
    if isinstance(spec.action, InstructionSpec):
        if chunk is not None:
            raise ValueError(
                f"the policy has chunk={chunk}, but this model is driven by instructions: act must return one "
                "instruction an env, int64 [B]; take the attribute chunk away"
            )
        return None
    if chunk is None:
        if per_frame > 1:
            raise ValueError(
                f"this model predicts a frame every {per_frame} actions, and the policy decides on one: give it an "
                f"attribute chunk = {per_frame} (or a multiple) and let act return [B, chunk, A]"
            )
        return None
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1 or chunk % per_frame:
        raise ValueError(
            f"a policy's chunk must be a positive multiple of the model's actions per frame, {per_frame}; got {chunk!r}"
        )
    return chunk


def check_decision(action: Any, running: np.ndarray, chunk: int | None, spec: ActionSpec | InstructionSpec) -> Tensor:
    """The decision as a tensor.

    Args:
        action: what ``act`` returned.
        running: [B] bool, envs whose episode is under way; what is decided for others does not matter.
        chunk: see `actions_a_decision`.
        spec: of the action.

    Raises:
        ValueError: another shape than [B, A] or [B, chunk, A], or NaN or infinity.
    """
    action = torch.as_tensor(action)
    if isinstance(spec, ActionSpec):
        axes = "[B, A]" if chunk is None else "[B, chunk, A]"
        want = (len(running), *(() if chunk is None else (chunk,)), spec.dim)
        if tuple(action.shape) != want:
            raise ValueError(f"expected actions {axes} = {want} from the policy's act, got {tuple(action.shape)}")
    bad = ~torch.isfinite(action).reshape(len(action), -1).all(1).cpu().numpy() & running
    if bad.any():
        raise ValueError(
            f"expected finite actions, but the policy returned NaN or infinity in {int(bad.sum())} of {len(bad)} envs: "
            "look for a division by zero, or weights that training has blown up"
        )
    return action
