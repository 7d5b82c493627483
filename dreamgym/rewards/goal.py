"""Closeness to a goal that the caller shows: rewards of LAC-WM (section 6.2) and LaDi-WM's dreams, for any model.

>>> env = gym.make_vec("Dream-PlayTable-v0", num_envs=4, reward_model="goal", reward="log_probability")
>>> env.reset(options={"goal": frames})  # real frames of each env's goal, as option "history" takes them
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from dreamgym.rewards.base import Memory
from dreamgym.rewards.function import ANY_TASK, UnsavedReward
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

NEAREST = 1e-6
"""Start distances below it count as it: an episode that begins at its goal."""


class GoalReward(UnsavedReward):
    """How near the features have come to a goal's, measured by how far they were when the episode began.

    With d the Euclidean distance of the present features to the goal's and d0 that of the start, the "probability" is
    exp(-d / d0): 1 at the goal, 1/e at the start, and its logarithm -d / d0 is the dense reward
    (``reward="log_probability"``). It is a closeness and not calibrated: what share of d0 is near enough is ``within``.
    A twin pays by the features of its filtered state; whether an episode succeeded is its simulator's verdict.

    Args:
        tasks: task names of the start bank, where there is one.
        within: the share of d0 from which an episode has succeeded, above 0 and below 1.

    Raises:
        ValueError: ``within`` out of its range.
    """

    kind: ClassVar[str] = "goal"
    wants_goal: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str] = ANY_TASK, within: float = 0.1) -> None:
        super().__init__(tasks)
        if not 0 < within < 1:
            raise ValueError(f"within is a share of the distance at the start, above 0 and below 1; got {within}")
        self.thresholds.fill_(math.exp(-within))

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """Raises ValueError: without a goal there is nothing to come near to; see `start_towards`."""
        raise ValueError("no env has a goal yet: reset with options={'goal': frames} before states are placed")

    def start_towards(self, model: WorldModel, state: State, task: Tensor, goal: Tensor) -> Memory:
        """The goal's features and the distance to them."""
        goal = goal.flatten(1)
        return {"goal": goal, "begun_at": _distance(model, state, goal).clamp(min=NEAREST)}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], exp(-d / d0)."""
        return self.log_probability(model, memory, state, task).exp()

    def log_probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], -d / d0."""
        return -_distance(model, state, memory["goal"]) / memory["begun_at"]


def _distance(model: WorldModel, state: State, goal: Tensor) -> Tensor:
    """[B], between features and a goal's, [B, Z]."""
    distance: Tensor = (model.features(state).flatten(1) - goal).norm(dim=1)
    return distance
