"""What a planner wants: a value for each imagined frame, the higher the better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.types import Observation, State
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.history import begin


@dataclass(frozen=True)
class Frame:
    """One imagined frame of R = B * N sequences.

    Attributes:
        model: what imagined it.
        reward: the reward model of the core.
        state: the frame, [R, ...].
        memory: what the reward model remembers, [R, ...].
        task: int64 [R], indices into the reward's tasks.
        env: int64 [R], the env of each sequence.
    """

    model: WorldModel
    reward: RewardModel
    state: State
    memory: Memory
    task: Tensor
    env: Tensor


class Objective(Protocol):
    """Scores frames.

    Attributes:
        at_end: whether the last frame alone counts; else the mean over frames of the best value so far, which prefers
            sequences that arrive early and does not mind what they do afterwards.
    """

    at_end: bool

    def __call__(self, frame: Frame) -> Tensor:
        """[R] float32."""
        ...


class Success:
    """The logarithm of the reward model's success probability, which tells far from farther."""

    at_end = False

    def __call__(self, frame: Frame) -> Tensor:
        return frame.reward.log_probability(frame.model, frame.memory, frame.state, frame.task)


class GoalDistance:
    """Minus the distance of the last frame's features to a goal's (LAC-WM, section 6.2).

    Args:
        goal: features [Z...], the same for all envs, or [B, Z...]; `features_of` gives those of observations.
    """

    at_end = True

    def __init__(self, goal: Tensor) -> None:
        self.goal = goal

    def __call__(self, frame: Frame) -> Tensor:
        features = frame.model.features(frame.state).flatten(1)
        return -(features - goal_rows(self.goal, frame)).norm(dim=1)


def goal_rows(goal: Tensor, frame: Frame) -> Tensor:
    """[R, Z] or [1, Z]: the goal of each sequence.

    Raises:
        ValueError: features of another shape than the model's.
    """
    shape = frame.model.spec.feature_shape
    if tuple(goal.shape[goal.dim() - len(shape) :]) != shape or goal.dim() - len(shape) not in (0, 1):
        raise ValueError(f"a goal is features {list(shape)} or [B, ...] of them, got {list(goal.shape)}")
    if goal.dim() == len(shape):
        return goal.flatten().unsqueeze(0)
    return goal.flatten(1)[frame.env]


class DecodedDistance:
    """Minus the distance of entries of a decoded vector to where they are wanted.

    Args:
        key: a vector that the model decodes.
        entries: which entries of it.
        target: where they are wanted, in the sensor's units.

    Raises:
        ValueError: not as many numbers as entries.
    """

    at_end = False

    def __init__(self, key: str, entries: Sequence[int], target: Sequence[float]) -> None:
        if len(entries) != len(target) or not entries:
            raise ValueError(f"as many targets as entries, got {len(target)} for {len(entries)}")
        self.key, self.entries, self.target = key, list(entries), torch.tensor(target, dtype=torch.float32)

    def __call__(self, frame: Frame) -> Tensor:
        decoded = frame.model.decode(frame.state, [self.key])[self.key]
        return -(decoded[:, self.entries] - self.target.to(decoded.device)).norm(dim=1)


@torch.no_grad()
def features_of(
    model: WorldModel,
    history: Observation,
    generator: torch.Generator | None = None,
    told: Sequence[str] | None = None,
) -> Tensor:
    """Features, ``[B, *feature_shape]``, of observed goals.

    Args:
        model: whose features.
        history: sensors [B, h, ...] and "action" between them, as `dreamgym.world_models.history.begin` takes them.
        generator: of the filter's randomness.
        told: B sentences, for a model that is told what to do.
    """
    return model.features(begin(model, history, generator, told))
