"""Features of recorded episodes as a frozen world model sees them: filtered (posterior) and imagined (prior)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.types import Observation, State
from dreamgym.world_models.base import WorldModel, to_frames


def sensors(model: WorldModel, batch: Mapping[str, Tensor]) -> Observation:
    """The entries of ``batch`` that the model reads; ValueError names one that is missing."""
    missing = [k for k in model.spec.observations if k not in batch]
    if missing:
        raise ValueError(f"this model reads {list(model.spec.observations)}; the data lack {missing}")
    return {k: batch[k] for k in model.spec.observations}


def start_at(model: WorldModel, obs: Observation, generator: torch.Generator | None = None) -> State:
    """State after the first of the frames ``obs`` [B, T, ...] alone: its history is padded with hold steps."""
    length = model.spec.history
    history = {k: v[:, :1].expand(-1, length, *v.shape[2:]) for k, v in obs.items()}
    first = next(iter(obs.values()))
    hold = torch.tensor(model.spec.control.hold, device=first.device)
    history["action"] = hold.expand(first.shape[0], (length - 1) * model.spec.actions_per_frame, -1)
    return model.start(history, generator)


def filtered(
    model: WorldModel, batch: Mapping[str, Tensor], generator: torch.Generator | None = None, stop: int | None = None
) -> Iterator[State]:
    """States after each recorded frame 0, 1, ... of ``batch``, up to ``stop``.

    Args:
        model: any family that is driven by actions.
        batch: sensors and "action" as [B, T, ...], a row a control step; a frame spans ``spec.actions_per_frame`` of
            them.
        generator: source of randomness.
        stop: frames; None: all of the window.
    """
    frames = to_frames({**sensors(model, batch), "action": model.spec.prepare(batch["action"])}, per_frame(model))
    action, obs = frames["action"], sensors(model, frames)
    state = start_at(model, obs, generator)
    yield state
    for t in range(1, action.shape[1] + 1 if stop is None else stop):
        state = model.observe(state, action[:, t - 1], {k: v[:, t] for k, v in obs.items()}, generator)
        yield state


def filter_to(
    model: WorldModel, batch: Mapping[str, Tensor], frames: int, generator: torch.Generator | None = None
) -> State:
    """The state after the first ``frames`` recorded frames."""
    state: State = {}
    for state in filtered(model, batch, generator, frames):  # noqa: B007 - the last one is what is wanted
        pass
    return state


def imagined(
    model: WorldModel, state: State, action: Tensor, generator: torch.Generator | None = None
) -> Iterator[State]:
    """States after each frame of the actions [B, F * a, A], without real observations."""
    if action.shape[1]:
        yield from model.unroll(state, model.spec.prepare(action), generator)


def per_frame(model: WorldModel) -> int:
    """Control actions a frame."""
    return model.spec.actions_per_frame


@dataclass(frozen=True)
class Encoded:
    """Features along recorded windows of F frames.

    Attributes:
        posterior: [B, F, Z], filtered: row t has seen frames 0 to t.
        prior: [B, F - context, Z], imagined along the recorded actions from the state at frame context - 1: row i
            stands beside recorded frame context + i.
        context: frames seen before imagining.
    """

    posterior: Tensor
    prior: Tensor
    context: int


@torch.no_grad()
def encode(
    model: WorldModel, batch: Mapping[str, Tensor], context: int, generator: torch.Generator | None = None
) -> Encoded:
    """Filters windows [B, T, ...] and imagines them from frame ``context`` on."""
    a = per_frame(model)
    length = (batch["action"].shape[1] - 1) // a + 1
    if not 1 <= context <= length:
        raise ValueError(f"context must lie in [1, {length}] for windows of {length} frames, got {context}")
    posterior, begin = [], None
    for t, state in enumerate(filtered(model, batch, generator)):
        posterior.append(model.features(state).flatten(1))
        begin = state if t == context - 1 else begin
    assert begin is not None
    ahead = batch["action"][:, (context - 1) * a : (length - 1) * a]
    prior = [model.features(s).flatten(1) for s in imagined(model, begin, ahead, generator)]
    empty = posterior[0].new_zeros(posterior[0].shape[0], 0, posterior[0].shape[1])
    return Encoded(torch.stack(posterior, 1), torch.stack(prior, 1) if prior else empty, context)


def load_episodes(view: EpisodeView, indices: Sequence[int], keys: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
    """Whole episodes as one batch, padded to the longest by repeating the last row.

    Returns:
        Each key as [B, T, ...] in torch layout (images C H W), and the true lengths, int64 [B].
    """
    episodes = [view.episode(int(i), keys) for i in indices]
    lengths = [len(next(iter(e.values()))) for e in episodes]
    longest = max(lengths)
    out = {}
    for key in keys:
        rows = [
            np.concatenate([e[key], np.repeat(e[key][-1:], longest - n, 0)])
            for e, n in zip(episodes, lengths, strict=True)
        ]
        tensor = torch.from_numpy(np.stack(rows))
        out[key] = tensor.movedim(-1, 2) if tensor.dtype == torch.uint8 and tensor.dim() == 5 else tensor
    return out, torch.tensor(lengths)


def episode_batches(view: EpisodeView, size: int) -> Iterator[list[int]]:
    """Indices of all episodes in batches of ``size``, episodes of like length together."""
    order = np.argsort(view.lengths, kind="stable")
    for i in range(0, len(order), size):
        yield order[i : i + size].tolist()
