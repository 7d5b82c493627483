"""What WARPD and its baselines share: a plan drawn from the present, followed until the horizon."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.scale import Scaling
from dreamgym_agents.common.stages import EpochStage
from dreamgym_agents.warpd.config import WARPDConfig

Task = str | int | Sequence[str] | Tensor
"""A task's name or index of ``config.tasks``, one name for each env, or indices [B]."""


class Agent(nn.Module, ABC):
    """A policy that plans now and then, and how it is trained.

    Attributes:
        kind: the name under which it is saved.
        history: observations that a plan is drawn from.
        horizon: steps between plans.
    """

    kind: ClassVar[str]
    history: int = 1

    def __init__(self, config: WARPDConfig, scaling: Scaling | None = None) -> None:
        super().__init__()
        self.config = config
        self.horizon = config.horizon
        self.scaling = scaling or Scaling.identity(config.obs_dim, config.action_dim)

    @classmethod
    def for_demonstrations(
        cls,
        config: WARPDConfig,
        demonstrations: Demonstrations,
        constant: str = "raise",
        finest: Tensor | None = None,
        **kwargs: Any,
    ) -> Self:
        """A new agent, seeded by ``config.train.seed``, scaled to the demonstrations.

        Args:
            config: see there.
            demonstrations: what it will learn from.
            constant: what to do with entries that never change, see `Scale.of`.
            finest: [O], the least by which observed entries are scaled, for who acts in a dream: what hardly changes
                in the demonstrations (a gripper that stays open) would have its errors there magnified.
            kwargs: for the constructor.

        Raises:
            ValueError: demonstrations of other sizes or tasks than the config's, too short, or with constant entries.
        """
        _check(config, demonstrations)
        obs, action = demonstrations.scales(constant)
        if finest is not None and finest.shape != (config.obs_dim,):
            raise ValueError(
                f"finest: expected a deviation for each of {config.obs_dim} observed entries, got "
                f"{tuple(finest.shape)}: is this dream one of the same suite?"
            )
        if finest is not None:
            obs = obs.no_finer_than(finest)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            return cls(config, Scaling(obs, action), **kwargs)

    def check(self, demonstrations: Demonstrations) -> None:
        """Raises ValueError where it cannot learn from these: other sizes, tasks or counting of actions, too short."""
        _check(self.config, demonstrations)

    # -- acting --

    @property
    def max_horizon(self) -> int:
        """The most steps a plan can be followed: no limit for closed-loop ones."""
        return 2**31 - 1

    @abstractmethod
    def plan(self, history: Tensor, task: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draws what to follow.

        Args:
            history: raw observations [B, history, O], the newest last.
            task: indices [B].
            generator: of the draw, or None for torch's own.

        Returns:
            [B, ...].
        """

    @abstractmethod
    def follow(self, plan: Tensor, obs: Tensor, step: Tensor) -> Tensor:
        """Actions [B, A] of plans [B, ...] on raw observations [B, O], ``step`` [B] steps after they were drawn.

        Raw ones, or counted from ``config.action_origin`` as they were learned; see `placed`.
        """

    # -- training --

    @abstractmethod
    def stages(self) -> list[EpochStage]:
        """The stages of training, in order."""

    # -- shared --

    def task_index(self, task: Task, num: int) -> Tensor:
        """Indices [num] of a task, or of one for each env.

        Raises:
            ValueError: a task that was not trained, or as many as there are not envs.
        """
        if isinstance(task, int | np.integer):
            task = torch.full((num,), int(task))
        if isinstance(task, Tensor):
            index = task.long()
            if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < len(self.config.tasks):
                raise ValueError(f"task indices must lie in [0, {len(self.config.tasks)}), got {index.tolist()}")
        else:
            names = [task] * num if isinstance(task, str) else list(task)
            unknown = sorted(set(names) - set(self.config.tasks))
            if unknown:
                raise ValueError(
                    f"tasks {unknown} were never seen: this agent was trained on {list(self.config.tasks)}; "
                    "add demonstrations of them and train again"
                )
            index = torch.tensor([self.config.tasks.index(name) for name in names])
        if index.shape != (num,):
            raise ValueError(f"{num} envs need one task or {num}, got {tuple(index.shape)}")
        return index

    def condition(self, history: Tensor, task: Tensor, on: str) -> Tensor:
        """What a denoiser is told, [B, N]: scaled observations, the task as one-hot, or both.

        Args:
            history: raw [B, H, O].
            task: indices [B].
            on: "state", "task" or "state+task".
        """
        parts = []
        if "state" in on:
            parts.append(self.scaling.observe(history).flatten(1))
        if "task" in on:
            known = torch.arange(len(self.config.tasks), device=task.device)
            parts.append((task.unsqueeze(-1) == known).to(self.scaling.obs_mean))  # one_hot would read the values
        return torch.cat(parts, 1)

    def condition_dim(self, on: str) -> int:
        """N of `condition`."""
        state = self.history * self.config.obs_dim if "state" in on else 0
        return state + (len(self.config.tasks) if "task" in on else 0)

    @property
    def baseline_condition(self) -> str:
        """What baselines are told: "all baseline models receive the task identifier as part of the state input"."""
        return "state+task" if len(self.config.tasks) > 1 else "state"


def _check(config: WARPDConfig, demonstrations: Demonstrations) -> None:
    sizes, known = (demonstrations.obs_dim, demonstrations.action_dim), (config.obs_dim, config.action_dim)
    if sizes != known:
        raise ValueError(
            f"demonstrations of {sizes} entries of observation and action, an agent of {known}: make an agent for them"
        )
    if demonstrations.tasks != config.tasks:
        raise ValueError(
            f"demonstrations of tasks {list(demonstrations.tasks)}, an agent of {list(config.tasks)}: make them one"
        )
    if demonstrations.origin != config.action_origin:
        raise ValueError(
            f"demonstrations whose actions are counted from the entries {demonstrations.origin} of the observation, an "
            f"agent whose are from {config.action_origin}: give both the same (`counted_from`, action_origin)"
        )
    demonstrations.check_length(config.length)
