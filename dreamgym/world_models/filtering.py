"""A world model along recorded episodes: filtered (it sees every frame) and imagined (it sees none)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from dreamgym.types import InstructionSpec, Observation, State
from dreamgym.world_models.base import WorldModel, to_frames
from dreamgym.world_models.history import begin
from dreamgym.world_models.instructions import as_action


def sensors(model: WorldModel, batch: Mapping[str, Tensor]) -> Observation:
    """The entries of ``batch`` that the model reads; ValueError names one that is missing."""
    missing = [k for k in model.spec.observations if k not in batch]
    if missing:
        raise ValueError(f"this model reads {list(model.spec.observations)}; the data lack {missing}")
    return {k: batch[k] for k in model.spec.observations}


def frames_of(model: WorldModel, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Windows at control rate as the model sees them: its sensors [B, F, ...] and prepared control actions as "action"
    [B, F - 1, a, A].

    Raises:
        ValueError: the data lack a sensor, or have actions of another size.
    """
    control, width = model.spec.control, batch["action"].shape[-1]
    if width != control.dim:
        raise ValueError(
            f"this model is driven by actions of {control.dim} entries, the data hold {width}: of a model of several "
            "robots give data of one that it knows by name (the store's info says which)"
        )
    rows = {**sensors(model, batch), "action": control.prepare(batch["action"])}
    return to_frames(rows, model.spec.actions_per_frame)


def filtered(
    model: WorldModel,
    batch: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
    stop: int | None = None,
    told: Sequence[str] | None = None,
    seen: int = 1,
) -> Iterator[State]:
    """States after each recorded frame ``seen - 1``, ``seen``, ... of ``batch``, up to ``stop``.

    Args:
        model: any family.
        batch: sensors and control actions as "action", [B, T, ...], a row a control step; a frame spans
            ``spec.actions_per_frame`` of them.
        generator: source of randomness.
        stop: frames; None: all of the window.
        told: B sentences, for models that are told something (`dreamgym.world_models.instructions.told`).
        seen: frames from which the model starts, brought to its history with hold steps; every later one is observed.

    Raises:
        ValueError: the data lack a sensor or have actions of another size, or the model must be told something and is
            not.
    """
    spec, frames = model.spec, frames_of(model, batch)
    action, obs = frames["action"], sensors(model, frames)
    instruction = as_action(spec, told, action.device)
    first = {k: v[:, :seen] for k, v in obs.items()}
    state = begin(model, {**first, "action": action[:, : seen - 1].flatten(1, 2)}, generator, told)
    yield state
    for t in range(seen, action.shape[1] + 1 if stop is None else stop):
        given = action[:, t - 1] if instruction is None else instruction
        state = model.observe(state, given, {k: v[:, t] for k, v in obs.items()}, generator)
        yield state


def filter_to(
    model: WorldModel,
    batch: Mapping[str, Tensor],
    frames: int,
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> State:
    """The state after the first ``frames`` recorded frames; see `filtered`."""
    state: State = {}
    for state in filtered(model, batch, generator, frames, told):  # noqa: B007 - the last one is what is wanted
        pass
    return state


def imagined(
    model: WorldModel,
    state: State,
    action: Tensor,
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
    chunk: int | None = None,
) -> Iterator[State]:
    """States after each of F frames, without real observations.

    Args:
        model: any family.
        state: B states.
        action: control actions [B, F * a, A]. A model that is driven by instructions follows what it is told for as
            many frames, clip after clip.
        generator: source of randomness.
        told: see `filtered`.
        chunk: control actions that are predicted together, a multiple of a; None: all of them.
    """
    spec, num = model.spec, action.shape[1] // model.spec.actions_per_frame
    if isinstance(spec.action, InstructionSpec):
        instruction = as_action(spec, told, action.device)
        assert instruction is not None
        for done in range(0, num, spec.action.clip):
            for after in islice(model.unroll(state, instruction, generator), num - done):
                yield after
            state = after
        return
    for part in spec.action.prepare(action).split(chunk or max(1, action.shape[1]), 1):
        if part.shape[1]:
            for after in model.unroll(state, part, generator):
                yield after
            state = after
