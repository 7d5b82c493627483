"""Demonstrations as a world model sees them: features, and the chunk of actions that followed each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.data.store import EpisodeView
from dreamgym.rewards.encode import encode, episode_batches, load_episodes
from dreamgym.types import InstructionSpec
from dreamgym.world_models.base import WorldModel
from dreamgym_agents.common.chunks import cut_chunks


@dataclass(frozen=True)
class EncodedChunks:
    """Every chunk of some demonstrations.

    Attributes:
        features: [N, Z] float32, filtered: they have seen the episode up to the chunk's first frame.
        chunk: [N, T, A] float32, the recorded actions from that frame on, prepared.
        episodes: how many demonstrations they are of.
    """

    features: Tensor
    chunk: Tensor
    episodes: int

    def __len__(self) -> int:
        return len(self.features)


@torch.no_grad()
def encode_chunks(
    model: WorldModel,
    view: EpisodeView,
    chunk: int = 4,
    *,
    passes: int = 1,
    batch_size: int = 32,
    generator: torch.Generator | None = None,
) -> EncodedChunks:
    """Filters whole episodes and cuts a chunk at every frame that has ``chunk`` actions left.

    Args:
        model: the frozen world model; the store must hold what it reads.
        view: demonstrations of one task.
        chunk: T, control actions; a multiple of the model's actions per frame, since a decision is made at a frame.
        passes: times each episode is filtered; the stochastic latents are drawn anew.
        batch_size: episodes filtered together.
        generator: source of those draws.

    Raises:
        ValueError: the data lack a sensor, no episode is as long as a chunk, a chunk that ends inside a frame, or a
            model that is driven by instructions.
    """
    if isinstance(model.spec.action, InstructionSpec):
        raise ValueError(f"chunks of actions do not drive a model of family {model.spec.family!r}, instructions do")
    per_frame = model.spec.actions_per_frame
    if chunk < 1 or chunk % per_frame:
        raise ValueError(f"a chunk must be a positive multiple of the {per_frame} actions of a frame, got {chunk}")
    device = next(model.parameters()).device
    keys = [*model.spec.observations, "action"]
    features, chunks = [], []
    batches: Iterable[list[int]] = [i for _ in range(passes) for i in episode_batches(view, batch_size)]
    for indices in progress_bar(batches, desc="encode demonstrations"):
        data, lengths = load_episodes(view, indices, keys)
        steps = data["action"].shape[1]
        frames = (steps - 1) // per_frame + 1
        seen = encode(model, {k: v.to(device) for k, v in data.items()}, frames, generator).posterior
        if steps < chunk:
            continue
        action = cut_chunks(model.spec.prepare(data["action"].to(device)), chunk)[:, ::per_frame]
        whole = torch.arange(action.shape[1]) * per_frame + chunk <= lengths.unsqueeze(1)
        features.append(seen[:, : action.shape[1]][whole.to(device)])
        chunks.append(action[whole.to(device)])
    if not features:
        raise ValueError(f"no demonstration in {view.path} has the {chunk} steps of a chunk")
    return EncodedChunks(torch.cat(features).float(), torch.cat(chunks), len(view))
