"""A policy's decisions, cut into the frames that a core takes one at a time.

Frame by frame, a chunk is executed the same way in dream and twin: an episode that ends inside a chunk has its exact
length, and a watcher is shown every frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.types import InstructionSpec, Policy, WorldModelSpec


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


def check_decision(action: Any, playing: np.ndarray, chunk: int | None) -> Tensor:
    """The decision as a tensor.

    Args:
        action: what ``act`` returned.
        playing: [B] bool, envs whose episode is under way; what is decided for others does not matter.
        chunk: see `actions_a_decision`.

    Raises:
        ValueError: another shape than [B, chunk, ...], or NaN or infinity.
    """
    action = torch.as_tensor(action)
    if chunk is not None and (action.dim() != 3 or tuple(action.shape[:2]) != (len(playing), chunk)):
        raise ValueError(
            f"expected actions [B, chunk, A] = ({len(playing)}, {chunk}, A) from a policy with chunk={chunk}, got "
            f"{tuple(action.shape)}"
        )
    bad = ~torch.isfinite(action).reshape(len(action), -1).all(1).cpu().numpy() & playing
    if bad.any():
        raise ValueError(
            f"expected finite actions, but the policy returned NaN or infinity in {int(bad.sum())} of {len(bad)} envs: "
            "look for a division by zero, or weights that training has blown up"
        )
    return action


def frames(action: Tensor, chunk: int | None, actions_per_frame: int) -> Iterator[Tensor]:
    """What a core without ``chunk`` takes a step, frame by frame.

    Args:
        action: [B, chunk, A], or one decision that is a step by itself.
        chunk: see `actions_a_decision`.
        actions_per_frame: a.

    Yields:
        [B, A] where a frame is one action, else [B, a, A].
    """
    if chunk is None:
        yield action
        return
    for frame in action.split(actions_per_frame, 1):
        yield frame[:, 0] if actions_per_frame == 1 else frame
