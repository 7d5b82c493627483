"""Demonstrations as a world model sees them: features, and the chunk of actions that followed each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamgym.data.state_demonstrations import ROAMING
from dreamgym.data.store import EpisodeView
from dreamgym.rewards.encode import encode, episode_batches, load_episodes
from dreamgym.world_models.base import WorldModel


@dataclass(frozen=True)
class Demonstrations:
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


def demonstrations_of(view: EpisodeView, task: str, num: int, split: str = "train") -> EpisodeView:
    """The first ``num`` successful demonstrations of ``task`` in ``split``, by their number in the collection.

    Those who roam (`dreamgym.data.state_demonstrations`) come to success by chance: they do not demonstrate.

    Raises:
        ValueError: there is none.
    """
    chosen = view.select(lambda meta: meta.get("operator") not in ROAMING, task=task, split=split, success=True)
    if not len(chosen):
        have = sorted({str(m.get("task")) for m in view.metas})
        raise ValueError(f"no successful {split} demonstration of {task!r} in {view.path}; it holds tasks {have}")
    numbers = sorted(m["episode_index"] for m in chosen.metas if "episode_index" in m)[:num]
    if len(numbers) < min(num, len(chosen)):
        return chosen  # a store that was not collected by `collect` has no numbers
    wanted = set(numbers)
    return chosen.select(lambda meta: meta.get("episode_index") in wanted)


@torch.no_grad()
def encode_demonstrations(
    model: WorldModel,
    view: EpisodeView,
    chunk: int = 4,
    *,
    passes: int = 1,
    batch_size: int = 32,
    generator: torch.Generator | None = None,
) -> Demonstrations:
    """Filters whole episodes and cuts a chunk at every frame that has ``chunk`` actions left.

    Args:
        model: the frozen world model; the store must hold what it reads.
        view: demonstrations of one task.
        chunk: T.
        passes: times each episode is filtered; the stochastic latents are drawn anew.
        batch_size: episodes filtered together.
        generator: source of those draws.

    Raises:
        ValueError: the data lack a sensor, or no episode is as long as a chunk.
    """
    from tqdm.auto import tqdm

    device = next(model.parameters()).device
    keys = [*model.spec.observations, "action"]
    features, chunks = [], []
    batches: Iterable[list[int]] = [i for _ in range(passes) for i in episode_batches(view, batch_size)]
    for indices in tqdm(batches, desc="encode demonstrations", leave=False):
        data, lengths = load_episodes(view, indices, keys)
        steps = data["action"].shape[1]
        seen = encode(model, {k: v.to(device) for k, v in data.items()}, steps, generator).posterior
        if steps < chunk:
            continue
        action = model.spec.prepare(data["action"].to(device)).unfold(1, chunk, 1).transpose(2, 3)  # [B, T', chunk, A]
        whole = torch.arange(action.shape[1]) + chunk <= lengths.unsqueeze(1)
        features.append(seen[:, : action.shape[1]][whole.to(device)])
        chunks.append(action[whole.to(device)])
    if not features:
        raise ValueError(f"no demonstration in {view.path} has the {chunk} steps of a chunk")
    return Demonstrations(torch.cat(features).float(), torch.cat(chunks), len(view))
