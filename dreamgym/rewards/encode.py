"""Features of recorded episodes as a frozen world model sees them: filtered (posterior) and imagined (prior)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filtered, imagined


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
    model: WorldModel,
    batch: Mapping[str, Tensor],
    context: int,
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> Encoded:
    """Filters windows [B, T, ...] and imagines them from frame ``context`` on.

    Args:
        model: any family.
        batch: see `dreamgym.world_models.filtering.filtered`.
        context: frames seen before imagining.
        generator: source of randomness.
        told: B sentences, for models that are told something.

    Raises:
        ValueError: a context outside the window, or what `filtered` refuses.
    """
    a = model.spec.actions_per_frame
    length = (batch["action"].shape[1] - 1) // a + 1
    if not 1 <= context <= length:
        raise ValueError(f"context must lie in [1, {length}] for windows of {length} frames, got {context}")
    posterior, begin = [], None
    for t, state in enumerate(filtered(model, batch, generator, told=told)):
        posterior.append(model.features(state).flatten(1))
        begin = state if t == context - 1 else begin
    assert begin is not None
    ahead = batch["action"][:, (context - 1) * a : (length - 1) * a]
    prior = [model.features(s).flatten(1) for s in imagined(model, begin, ahead, generator, told)]
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
