"""A suite's dense reward on decoded state, beside a reward model that says when the task is done.

Learners that explore by noise (SAC, PPO from scratch) find no success to learn from; this pays them for getting nearer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.rewards.function import UnsavedReward
from dreamgym.suites.base import Shaping, Suite
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

START = "shaped/"
"""What goes before the names of the sensors that the memory holds, beside what ``success`` remembers."""


class ShapedReward(UnsavedReward):
    """Pays what a suite's `Shaping` says of the decoded state; probability and verdict are another reward model's.

    A twin pays by it, too, from what the model decodes of its filtered state.

    Args:
        suite: a suite with ``shaping``; None: it is not known, which is an error.
        success: says when a task is done.

    Raises:
        ValueError: the suite has no dense reward, or none of one of the tasks.
    """

    kind = "shaped"

    def __init__(self, suite: Suite | None, success: RewardModel) -> None:
        super().__init__(success.tasks)
        if suite is None or suite.shaping is None:
            whose = "this checkpoint names no suite" if suite is None else f"the suite {suite.name!r} has none"
            raise ValueError(
                f"reward='shaped' is a dense reward that a suite states, and {whose}: pass reward=function, "
                "'probability' or 'log_probability'"
            )
        if unknown := [task for task in success.tasks if task not in suite.tasks]:
            raise ValueError(
                f"reward='shaped' of the suite {suite.name!r} knows the tasks {list(suite.tasks)}, not {unknown}: pass "
                "reward=function for tasks of your own"
            )
        self.success, self.suite = success, suite
        self.thresholds = success.thresholds
        self._shapings: dict[torch.device, Shaping] = {}

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """What ``success`` remembers, and the decoded sensors at the start."""
        start = self._decoded(model, state)
        return {**self.success.start(model, state, task), **{START + k: v for k, v in start.items()}}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """That of ``success``, [B]."""
        return self.success.probability(model, memory, state, task)

    def log_probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """That of ``success``, [B]."""
        return self.success.log_probability(model, memory, state, task)

    def step(
        self, model: WorldModel, memory: Memory, state: State, action: Tensor, next_state: State, task: Tensor
    ) -> tuple[Tensor, Tensor, Memory]:
        """The dense reward [B], the probability of ``success`` [B], and the next memory."""
        start = {k.removeprefix(START): v for k, v in memory.items() if k.startswith(START)}
        _, probability, own = self.success.step(model, memory, state, action, next_state, task)
        paid = self._on(task.device).reward(start, self._decoded(model, next_state), task)
        return paid.to(torch.float32), probability, {**memory, **own}

    def succeeded(self, probability: Tensor, task: Tensor) -> Tensor:
        """What ``success`` says, [B] bool."""
        return self.success.succeeded(probability, task)

    def _decoded(self, model: WorldModel, state: State) -> dict[str, Tensor]:
        device = next(iter(state.values())).device
        keys = self._on(device).keys
        if missing := [key for key in keys if key not in model.spec.decodable]:
            raise ValueError(
                f"reward='shaped' of {self.suite.name!r} reads {', '.join(missing)}, and this {model.spec.family} "
                f"model decodes {list(model.spec.decodable)}: train one that does, or pass reward=function"
            )
        return model.decode(state, keys)

    def _on(self, device: torch.device) -> Shaping:
        """The shaping with its tensors on a device, made once for each."""
        if device not in self._shapings:
            assert self.suite.shaping is not None
            self._shapings[device] = self.suite.shaping(self.tasks, device)
        return self._shapings[device]
