"""The contract of learned and decoded rewards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

Memory = dict[str, Tensor]
"""What a reward compares with, leading dimension B (the decoded scene at the start of an episode); may be empty."""


class RewardModel(nn.Module, ABC):
    """Scores transitions of one world model for a fixed tuple of tasks; a task may differ per env.

    The world model is handed to every call rather than owned, so that a checkpoint holds it once. ``task`` is int64
    [B]: indices into ``tasks``.

    Attributes:
        tasks: names of the tasks this model scores.
        thresholds: float32 [num_tasks], the calibrated success threshold on the probability of each task.
        oracle_pays: whether a twin pays the verdict of its simulator's oracle in place of this model's reward.
        wants_goal: whether episodes have goals that callers show: `start_towards` is then asked in place of `start`,
            and what it remembers holds the goal's features as "goal".
    """

    kind: ClassVar[str]
    oracle_pays: ClassVar[bool] = True
    wants_goal: ClassVar[bool] = False
    tasks: tuple[str, ...]
    thresholds: Tensor

    @abstractmethod
    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """Memory for envs that begin at ``state``."""

    def start_towards(self, model: WorldModel, state: State, task: Tensor, goal: Tensor) -> Memory:
        """Memory for envs that begin at ``state`` on the way to goals with the features ``goal`` [B, ...]."""
        raise NotImplementedError(f"a reward that wants goals defines start_towards; {type(self).__name__} does not")

    @abstractmethod
    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B] in [0, 1]: the probability that the task of each env stands achieved in ``state`` (DiWA III.C)."""

    def log_probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], at most 0 and finite: the logarithm of `probability`.

        The default takes it of what `probability` gives, from the smallest normal number upwards (-87.3 in float32, and
        without a gradient there). A model that has a logit should override this with its log-sigmoid, which underflows
        nowhere.
        """
        probability = self.probability(model, memory, state, task)
        return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()

    def step(
        self, model: WorldModel, memory: Memory, state: State, action: Tensor, next_state: State, task: Tensor
    ) -> tuple[Tensor, Tensor, Memory]:
        """One transition's reward [B], success probability [B] and next memory.

        The default is DiWA III.C, R(z_t, a_t) = C(z_{t+1}): the reward is the probability after the step.
        """
        probability = self.probability(model, memory, next_state, task)
        return probability, probability, memory

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """JSON-ready constructor arguments; weights travel separately."""

    def succeeded(self, probability: Tensor, task: Tensor) -> Tensor:
        """[B] bool: the probability has reached the calibrated threshold of its task."""
        return probability >= self.thresholds[task]
