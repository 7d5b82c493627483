"""How a model begins: real frames brought to the length that it starts from, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dreamgym.types import State, WorldModelSpec
from dreamgym.world_models.base import WorldModel


def begin(
    model: WorldModel,
    frames: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> State:
    """The state after the last of some real frames.

    Args:
        model: any family.
        frames: as `pad_history` takes them.
        generator: source of randomness.
        told: B sentences (`dreamgym.world_models.instructions.told`); None for a model that is told nothing.

    Raises:
        ValueError: what `pad_history` refuses, or a model that must be told what to do, and is not.
    """
    spec = model.spec
    if spec.instructions and told is None:
        raise ValueError(f"this model is told what to do: say it of each episode (told=..., {list(spec.instructions)})")
    return model.start(pad_history(frames, spec), generator, list(told) if told and spec.instructions else None)


def pad_history(history: Mapping[str, Tensor], spec: WorldModelSpec) -> dict[str, Tensor]:
    """Brings a history to exactly H = ``spec.history`` frames: the last H, or the first one repeated with hold steps
    before it.

    Args:
        history: sensors [B, h, ...] with h >= 1, and the control actions between them as "action"
            [B, (h - 1) * a, A] (hold steps where absent).
        spec: of the model.

    Returns:
        Sensors [B, H, ...] and prepared "action" [B, (H - 1) * a, A].

    Raises:
        ValueError: a missing sensor or one of the wrong shape.
    """
    missing = [k for k in spec.observations if k not in history]
    if missing:
        raise ValueError(f"the history lacks {missing}; give every sensor of {list(spec.observations)} as [B, h, ...]")
    first = history[next(iter(spec.observations))]
    batch, length = first.shape[:2]
    out: dict[str, Tensor] = {}
    for key, sensor in spec.observations.items():
        value = history[key]
        if tuple(value.shape) != (batch, length, *sensor.shape):
            raise ValueError(
                f"history {key!r} has shape {tuple(value.shape)}, expected {(batch, length, *sensor.shape)} (B, h, "
                "then the sensor's own shape; torch images are C H W, numpy images H W C)"
            )
        value = value.to(torch.uint8 if sensor.kind == "image" else torch.float32)
        short = spec.history - length
        out[key] = (
            torch.cat([value[:, :1].expand(-1, short, *sensor.shape), value], 1) if short > 0 else value[:, -short:]
        )
    action, a = history.get("action"), spec.actions_per_frame
    if action is None:
        action = hold_actions(spec, batch, length - 1, first.device)
    want = (batch, (length - 1) * a, spec.control.dim)
    if tuple(action.shape) != want:
        raise ValueError(f"history 'action' has shape {tuple(action.shape)}, expected {want}")
    action = spec.control.prepare(action)
    if spec.history > length:
        action = torch.cat([hold_actions(spec, batch, spec.history - length, first.device), action], 1)
    out["action"] = action[:, action.shape[1] - (spec.history - 1) * a :]
    return out


def hold_actions(spec: WorldModelSpec, batch: int, frames: int, device: torch.device | str) -> Tensor:
    """[B, frames * a, A]: control actions that keep the robot where it is for so many frames."""
    hold = torch.tensor(spec.control.hold, device=device)
    return hold.expand(batch, frames * spec.actions_per_frame, -1)


def blank_history(spec: WorldModelSpec, batch: int, device: torch.device | str) -> dict[str, Tensor]:
    """A blank history [B, H, ...] of the right shapes: the probe with which a model's state layout is learned."""
    history = {}
    for key, sensor in spec.observations.items():
        dtype = torch.uint8 if sensor.kind == "image" else torch.float32
        history[key] = torch.zeros((batch, spec.history, *sensor.shape), dtype=dtype, device=device)
    history["action"] = hold_actions(spec, batch, spec.history - 1, device)
    return history


def blank_state(model: WorldModel, device: torch.device | str) -> State:
    """The state after a blank history, leading dimension 1."""
    told = model.spec.instructions[:1] or None
    return begin(model, blank_history(model.spec, 1, device), torch.Generator(device).manual_seed(0), told)
