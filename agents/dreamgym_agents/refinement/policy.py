"""`GuidedPolicy`: a diffusion policy of chunks that can be shown what a chunk would lead to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.nn.decoupled import sample
from dreamgym_agents.common.chunks import action_at, are_due, renewed
from dreamgym_agents.refinement.config import GuidedConfig
from dreamgym_agents.refinement.network import GuidedNetwork

Carry = dict[str, Tensor]
"""The frames seen "history" [B, l, `GuidedConfig.seen_dim`], the chunk under way "chunk" [B, T, A], the place of the
next action in it "next" int64 [B], and each env's "task" int64 [B]."""


class GuidedPolicy(nn.Module):
    """LaDi-WM's policy: decides on a chunk from the last frames' features and the instruction; in `improve` also from
    what was imagined of an earlier chunk.

    It is asked once a frame, and carries its chunk out by itself; satisfies `dreamgym.types.Policy`.

    Args:
        config: sizes.
        task: what it does where nobody tells it.
    """

    def __init__(self, config: GuidedConfig, task: str | None = None) -> None:
        super().__init__()
        self.config = config
        self.obs = "dict" if config.proprioception else "features"
        self.task = self.index([config.tasks[0] if task is None else task])[0]
        self.network = GuidedNetwork(config)
        self.register_buffer("instructions", torch.zeros(len(config.tasks), config.instruction_dim))
        self.register_buffer("mean", torch.zeros(config.seen_dim))
        self.register_buffer("std", torch.ones(config.seen_dim))
        low, high = torch.tensor(config.action.low), torch.tensor(config.action.high)
        self.register_buffer("centre", (low + high) / 2, persistent=False)
        self.register_buffer("reach", (high - low) / 2, persistent=False)

    instructions: Tensor
    mean: Tensor
    std: Tensor
    centre: Tensor
    reach: Tensor

    def index(self, tasks: Sequence[str]) -> list[int]:
        """Numbers of tasks.

        Raises:
            ValueError: one that it was never shown.
        """
        if unknown := sorted(set(tasks) - set(self.config.tasks)):
            raise ValueError(f"the policy never saw the task {unknown[0]!r}; it knows {list(self.config.tasks)}")
        return [self.config.tasks.index(task) for task in tasks]

    @property
    def chunk(self) -> int | None:
        """Control actions that `act` returns, those of one frame; None where a frame spans one."""
        per_frame = self.config.actions_per_frame
        return None if per_frame == 1 else per_frame

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Carry:
        """Nothing seen, nothing under way."""
        config = self.config
        count = torch.full((num_envs,), config.execute, device=self.mean.device)
        return {
            "history": self.mean.new_zeros(num_envs, config.history, config.seen_dim),
            "chunk": self.centre.expand(num_envs, config.chunk, config.action.dim),
            "next": count,
            "task": torch.full_like(count, self.task),
        }

    def begin(self, carry: Carry, fresh: Tensor, tasks: Sequence[str]) -> Carry:
        """Told the tasks of the envs.

        Raises:
            ValueError: one that it was never shown.
        """
        told = torch.tensor(self.index(tasks), device=fresh.device)
        return {**carry, "task": torch.where(fresh, told, carry["task"])}

    def act(
        self, obs: Any, carry: Carry, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Carry]:
        """The next frame's actions, [B, A] or [B, a, A]; a new chunk where one is due, with nothing imagined."""
        return self.improve(obs, carry, fresh, None, generator)

    @torch.no_grad()
    def improve(
        self, obs: Any, carry: Carry, fresh: Tensor, imagined: Tensor | None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Carry]:
        """`act`, from the same carry, by who has seen what an earlier decision would lead to.

        Args:
            obs: features [B, Z], or a dict with "features" and, where it is read, "proprioception".
            carry: what `start` or the last call gave, not what the earlier decision gave.
            fresh: [B] bool, envs that were just reset.
            imagined: features [B, F, Z] of the frames ahead, F up to k; None: nothing was imagined.
            generator: source of noise, drawn for all envs alike.

        Raises:
            ValueError: features of another width, no proprioception where it is read, or more imagined frames than a
                chunk has.
        """
        config, seen = self.config, self._seen(obs)
        if imagined is not None and (imagined.shape[1] > config.frames or imagined.shape[2] != config.feature_dim):
            raise ValueError(
                f"imagined: expected features [B, up to {config.frames}, {config.feature_dim}], got "
                f"{tuple(imagined.shape)}: a chunk leads through {config.frames} frames"
            )
        newest = seen.unsqueeze(1)
        history = torch.where(
            fresh.view(-1, 1, 1), newest.expand_as(carry["history"]), torch.cat([carry["history"][:, 1:], newest], 1)
        )
        due = are_due(fresh, carry["next"], config.execute)
        decided = self.decide(history, carry["task"], imagined, generator) if bool(due.any()) else carry["chunk"]
        place = torch.where(due, 0, carry["next"])
        chunk = renewed(carry["chunk"], due, lambda rows: decided[rows])
        per_frame = config.actions_per_frame
        frames = chunk if per_frame == 1 else chunk.unflatten(1, (-1, per_frame))
        after = {"history": history, "chunk": chunk, "next": place + per_frame, "task": carry["task"]}
        return action_at(frames, place // per_frame), after

    # -- what training shares --

    def scaled(self, features: Tensor) -> Tensor:
        """Standardised features [..., Z], with proprioception after them or without."""
        size = features.shape[-1]
        return (features - self.mean[:size]) / self.std[:size]

    def scale_action(self, action: Tensor) -> Tensor:
        """Actions to [-1, 1]."""
        return (action - self.centre) / self.reach

    def decide(
        self, history: Tensor, task: Tensor, imagined: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        """Chunks [B, T, A] within the bounds, from the frames seen [B, l, ...], tasks [B] and imagined features."""
        config = self.config
        noise = torch.randn((len(history), config.chunk, config.action.dim), generator=generator, device=history.device)
        seen, told = self.scaled(history), self.instructions[task]
        ahead = None if imagined is None else self.scaled(imagined)
        shown = torch.ones(len(history), dtype=torch.bool, device=history.device)
        (chunk,) = sample(
            lambda z, n: [self.network(z[0], n, seen, told, ahead, shown)], [noise], config.denoising_steps, generator
        )
        return config.action.prepare(chunk.clamp(-1, 1) * self.reach + self.centre)

    def _seen(self, obs: Any) -> Tensor:
        features = obs.get("features") if isinstance(obs, dict) else obs
        found = None if features is None else torch.as_tensor(features).flatten(1)
        if found is None or found.shape[1] != self.config.feature_dim:
            got = "none" if found is None else f"[{len(found)}, {found.shape[1]}]"
            raise ValueError(
                f"this policy reads features [B, {self.config.feature_dim}], got {got}: use the world model that it "
                "was trained on, and obs='features'"
            )
        if not (entries := list(self.config.proprioception)):
            return found
        body = obs.get("proprioception") if isinstance(obs, dict) else None
        if body is None or body.shape[1] <= max(entries):
            got = "none" if body is None else f"{body.shape[1]} entries"
            raise ValueError(
                f"this policy reads the entries {entries} of the proprioception, got {got}: show it obs='dict' of a "
                "dream that decodes it"
            )
        return torch.cat([found, body[:, entries].to(found)], 1)
