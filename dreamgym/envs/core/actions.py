"""Actions on their way into a dream or a simulator: shape, type and value checked in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dreamgym.envs.core.begin import WHOLE, as_tensor
from dreamgym.types import ActionSpec, InstructionSpec, WorldModelSpec

_SLACK = 1e-3
"""Overshoot of a bound that validation forgives, as a share of the range: float rounding makes it."""


def action_space(
    spec: ActionSpec | InstructionSpec, chunk: int | None = None, normalized: bool = False
) -> spaces.Space:
    """Box (A,), Box (chunk, A), or Discrete over sentences; ``normalized``: with bounds of -1 and 1."""
    if isinstance(spec, InstructionSpec):
        return spaces.Discrete(len(spec.sentences))
    low, high = np.array(spec.low, np.float32), np.array(spec.high, np.float32)
    if normalized:
        low, high = np.full_like(low, -1.0), np.full_like(high, 1.0)
    if chunk is not None:
        low, high = np.tile(low, (chunk, 1)), np.tile(high, (chunk, 1))
    return spaces.Box(low, high, dtype=np.float32)


def check_chunk(chunk: int | None, spec: WorldModelSpec) -> int | None:
    """The control actions that a step takes; None: one action, or one instruction.

    Raises:
        ValueError: not a positive multiple of the model's actions per frame, or a chunk of instructions.
    """
    actions_per_frame = spec.actions_per_frame
    if isinstance(spec.action, InstructionSpec):
        if chunk is not None:
            raise ValueError(
                f"chunk={chunk}: a step of this model is one instruction, a clip of {spec.action.clip} frames"
            )
        return None
    if chunk is None:
        return actions_per_frame if actions_per_frame > 1 else None
    if chunk < 1 or chunk % actions_per_frame:
        raise ValueError(
            f"chunk={chunk}: this model predicts a frame every {actions_per_frame} actions, so a chunk must be a "
            f"positive multiple of {actions_per_frame}"
        )
    return chunk


class ActionReader:
    """Turns what a caller passes to ``step`` into executable actions.

    A wrong shape or dtype always raises. NaN and values outside the bounds raise when ``validate`` is set; without it
    values are clipped in silence (a NaN then stops the env it reaches, as a model failure), because looking at values
    would make an accelerator wait.

    Args:
        spec: of the action.
        num_envs, chunk: B, and the control actions of a step; see `check_chunk`.
        device: of what is returned.
        validate: raise on values.
        normalized: callers give values between -1 and 1, which are scaled to the bounds.

    Raises:
        ValueError: instructions, which have no bounds, are to be ``normalized``.
    """

    def __init__(
        self,
        spec: ActionSpec | InstructionSpec,
        num_envs: int,
        chunk: int | None,
        device: torch.device,
        validate: bool,
        normalized: bool = False,
    ) -> None:
        self.spec, self.device, self.validate, self.normalized = spec, device, validate, normalized
        self.shape: tuple[int, ...] = (num_envs,)
        if isinstance(spec, InstructionSpec):
            if normalized:
                raise ValueError("normalize_actions: this model takes instructions, which are not scaled: leave it out")
            return
        self.shape = (num_envs, spec.dim) if chunk is None else (num_envs, chunk, spec.dim)
        self._prepare = spec.prepare_on(device)
        low, high = torch.tensor(spec.low, device=device), torch.tensor(spec.high, device=device)
        self._middle, self._reach = (low + high) / 2, (high - low) / 2
        if normalized:
            low, high = -torch.ones_like(low), torch.ones_like(high)
        slack = (high - low) * _SLACK
        self._low, self._high = low - slack, high + slack

    def __call__(self, action: Any) -> Tensor:
        """[B, A] or [B, chunk, A], float32, prepared; instructions as int64 [B].

        Raises:
            ValueError: wrong shape or dtype; with ``validate`` also NaN or out of range.
        """
        if isinstance(self.spec, InstructionSpec):
            return self._instructions(action, self.spec)
        if not isinstance(action, Tensor):
            action = np.asarray(action)
            if action.dtype.kind != "f":
                raise ValueError(f"actions must be floats, got dtype {action.dtype}; pass action.astype('float32')")
            with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there, and refused as that
                action = torch.from_numpy(np.ascontiguousarray(action, np.float32))
        elif not action.is_floating_point():
            raise ValueError(f"actions must be floats, got dtype {action.dtype}; pass action.float()")
        if action.shape != self.shape:
            raise ValueError(f"actions have shape {tuple(action.shape)}, expected {self.shape} {self._axes()}")
        if action.device != self.device:
            action = action.to(self.device)
        if self.validate:
            self._check_values(action, self.spec)
        return self._prepare(action * self._reach + self._middle if self.normalized else action)

    def _instructions(self, action: Any, spec: InstructionSpec) -> Tensor:
        index = as_tensor(action, "instructions", self.device)
        if index.dtype not in WHOLE or tuple(index.shape) != self.shape:
            raise ValueError(
                f"instructions are whole numbers of shape {self.shape}, got {index.dtype} {tuple(index.shape)}"
            )
        highest = len(spec.sentences) - 1
        if self.validate and not bool(((index >= 0) & (index <= highest)).all()):
            raise ValueError(
                f"instructions lie in 0..{highest} ({list(spec.sentences)[:4]}, ...), got {index.tolist()[:16]}"
            )
        return spec.prepare(index.clamp(0, highest))

    def _axes(self) -> str:
        return "(num_envs, A)" if len(self.shape) == 2 else "(num_envs, chunk, A)"

    def _check_values(self, action: Tensor, spec: ActionSpec) -> None:
        # One comparison finds both faults: NaN is never inside.
        if bool(((action >= self._low) & (action <= self._high)).all()):
            return
        flat = action.detach().reshape(action.shape[0], -1)
        if not bool(flat.isfinite().all()):
            rows = (~flat.isfinite().all(1)).nonzero().flatten().tolist()
            raise ValueError(f"actions of env(s) {rows[:8]} are not finite; look for a diverged policy")
        low, high = ([-1.0], [1.0]) if self.normalized else (list(spec.low), list(spec.high))
        raise ValueError(
            f"actions run from {float(flat.min()):.4g} to {float(flat.max()):.4g}, outside low={low}, high={high}; "
            "clip them, or make the env with validate=False, which clips in silence"
        )
