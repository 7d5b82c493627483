"""Running policies in simulators, many episodes at once: so that generation and inference are batched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.types import Policy

PolicyOf = Callable[[list[str] | None], Policy]
"""From the task of each env, or None where there is but one, to the policy that acts in them."""


@dataclass(frozen=True)
class Episode:
    """One episode to run.

    Attributes:
        seed: of the simulator's reset.
        task: what to do; None where there is but one.
        perturbation: strength of the adversary; 0 for none.
        adversary: which one.
    """

    seed: int
    task: str | None = None
    perturbation: float = 0.0
    adversary: int = 0


class Simulators:
    """Simulators that are made when first needed and kept: making one may take longer than an episode in it.

    Args:
        make: makes one for a task.
        most: at once.
    """

    def __init__(self, make: Callable[[str | None], gym.Env], most: int) -> None:
        self.make, self.most = make, most
        self._kept: dict[str | None, list[gym.Env]] = {}

    def of(self, episodes: Sequence[Episode]) -> list[gym.Env]:
        """One for each episode, with its adversary; they are free again at the next call."""
        taken: Counter[str | None] = Counter()
        out = []
        for episode in episodes:
            kept = self._kept.setdefault(episode.task, [])
            if taken[episode.task] == len(kept):
                kept.append(self.make(episode.task))
            simulator = kept[taken[episode.task]]
            taken[episode.task] += 1
            out.append(perturbed(simulator, episode.perturbation, PROBABILITY, episode.adversary))
        return out

    def close(self) -> None:
        for simulator in (s for kept in self._kept.values() for s in kept):
            simulator.close()


@torch.no_grad()
def evaluate(
    policy_of: PolicyOf, episodes: Sequence[Episode], simulators: Simulators, seed: int, measure: str = "is_success"
) -> np.ndarray:
    """The largest value of an entry of info over each episode: whether it succeeded, or how far it came.

    Args:
        policy_of: makes what acts.
        episodes: run ``simulators.most`` at a time, so that the policy acts in batches.
        simulators: where.
        seed: of the policy's own draws. What one episode draws depends on those that run beside it.
        measure: the entry.

    Returns:
        [episodes], float64.
    """
    generator = torch.Generator().manual_seed(seed)
    found = [
        _run(policy_of, episodes[i : i + simulators.most], simulators, generator, measure)
        for i in range(0, len(episodes), simulators.most)
    ]
    return np.concatenate(found)


def _run(
    policy_of: PolicyOf, episodes: Sequence[Episode], simulators: Simulators, generator: torch.Generator, measure: str
) -> np.ndarray:
    envs, best = simulators.of(episodes), np.zeros(len(episodes))
    tasks = None if episodes[0].task is None else [str(e.task) for e in episodes]
    policy = policy_of(tasks)
    # Rows of the policy's batch, and which of them are still under way.
    rows, live = np.arange(len(episodes)), np.ones(len(episodes), bool)
    states = np.stack([env.reset(seed=e.seed)[0]["state"] for env, e in zip(envs, episodes, strict=True)])
    carry, fresh = policy.start(len(rows), generator), torch.ones(len(rows), dtype=torch.bool)
    while live.any():
        if 2 * live.sum() < len(rows):  # the ended ones cost as much as the others: leave them out
            carry, states, rows, live = _rows(carry, live), states[live], rows[live], live[live]
            fresh = fresh[: len(rows)]
        action, carry = policy.act(torch.from_numpy(states), carry, fresh, generator)
        fresh, actions = torch.zeros(len(rows), dtype=torch.bool), action.double().numpy()
        for i in live.nonzero()[0]:
            obs, _, terminated, truncated, info = envs[rows[i]].step(actions[i])
            states[i] = obs["state"]
            best[rows[i]] = max(best[rows[i]], float(info[measure]))
            live[i] = not (terminated or truncated)
    return best


def _rows(carry: Any, live: np.ndarray) -> Any:
    """The carry of some envs: what the policies here carry is nothing, or tensors by name, a row an env."""
    if carry is None:
        return None
    chosen: Tensor = torch.from_numpy(live)
    return {name: value[chosen] for name, value in carry.items()}
