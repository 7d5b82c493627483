"""Rewards that are the caller's own: a function of decoded states, or none at all. Neither is saved in a checkpoint.

>>> def forward(decoded, action, next_decoded):  # reward [B], or (reward [B], success [B] bool)
...     return next_decoded["state"][:, 0] - decoded["state"][:, 0] - 0.1 * action.square().sum(-1)
>>> gym.make("Dream-v0", checkpoint="run/checkpoint", reward=forward)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

Decoded: TypeAlias = dict[str, Tensor]
Function: TypeAlias = Callable[[Decoded, Tensor, Decoded], Tensor | tuple[Tensor, Tensor]]
ANY_TASK = ("any",)
"""The one task of a reward that was given no task names."""


class UnsavedReward(RewardModel):
    """A reward model that a checkpoint does not hold: one threshold of 0.5 a task, no weights, no config.

    A twin pays by it, too; whether an episode succeeded is still its simulator's verdict.
    """

    oracle_pays: ClassVar[bool] = False

    def __init__(self, tasks: Sequence[str] = ANY_TASK) -> None:
        super().__init__()
        if not tasks:
            raise ValueError("a reward needs the name of one task at least")
        self.tasks = tuple(tasks)
        self.register_buffer("thresholds", torch.full((len(self.tasks),), 0.5), persistent=False)

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """Zeros [B]: a state alone tells nothing here."""
        return torch.zeros(len(task), device=task.device)

    def to_config(self) -> dict[str, Any]:
        """Raises ValueError: there is nothing that a checkpoint could hold."""
        raise ValueError(
            f"a {type(self).__name__} is not saved in a checkpoint: leave it out of rewards={{...}} and pass "
            "reward=... where the environment is made; a reward to be saved is a RewardModel of its own kind"
        )


class NoReward(UnsavedReward):
    """Pays 0 and never succeeds: for envs whose caller computes the rewards.

    Args:
        tasks: task names of the start bank, where there is one.
    """

    kind: ClassVar[str] = "none"

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """Nothing to remember."""
        return {}


class FunctionReward(UnsavedReward):
    """Pays what a function of the decoded states before and after a frame and of the action between them returns.

    The memory holds what was decoded last, so that each state is decoded once.

    Args:
        function: ``(decoded, action, next_decoded) -> reward``, or ``-> (reward, success)``. ``decoded`` maps each key
            to a tensor as `WorldModel.decode` gives it: vectors float32 [B, d], images float32 [B, C, H, W] in [0, 1].
            ``action`` is prepared: [B, A], or [B, a, A] where a frame spans a > 1 actions. Reward: a number per env,
            [B]; success, whether the task is achieved: bool [B]; it ends no episode. Without it no env ever succeeds.
        keys: what to decode; every decodable key but images where not given.
        tasks: task names of the start bank, where there is one.
    """

    kind: ClassVar[str] = "function"

    def __init__(self, function: Function, keys: Sequence[str] | None = None, tasks: Sequence[str] = ANY_TASK) -> None:
        super().__init__(tasks)
        if not callable(function):
            raise ValueError(f"a reward is a function (decoded, action, next_decoded), got {function!r}")
        self.function = function
        self.keys = None if keys is None else tuple(keys)
        self._checked = False

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """What the state decodes to."""
        return self._decode(model, state)

    def step(
        self, model: WorldModel, memory: Memory, state: State, action: Tensor, next_state: State, task: Tensor
    ) -> tuple[Tensor, Tensor, Memory]:
        """The function's reward [B], 1 where it says success (else 0) [B], and what the next state decodes to.

        Raises:
            ValueError: the function returned something else than it should (looked at on the first step).
        """
        after = self._decode(model, next_state)
        try:
            result = self.function(dict(memory), action, dict(after))
        except KeyError as error:
            if error.args and error.args[0] in after:
                raise
            raise ValueError(
                f"the reward function asks for {error}, but is given {list(after)}; this model decodes "
                f"{list(model.spec.decodable)}: name what it reads with FunctionReward(function, keys=[...])"
            ) from error
        if not self._checked:
            self._check(result, len(task))
            self._checked = True
        reward, success = result if isinstance(result, tuple) else (result, torch.zeros_like(task))
        return reward.to(torch.float32), success.to(torch.float32), after

    def _decode(self, model: WorldModel, state: State) -> Decoded:
        spec = model.spec
        keys = tuple(k for k in spec.decodable if k not in spec.cameras) if self.keys is None else self.keys
        if not keys:
            raise ValueError(
                f"this {spec.family} model decodes no vectors ({list(spec.decodable) or 'nothing at all'}): name what "
                "the reward function reads, FunctionReward(function, keys=[...])"
            )
        return model.decode(state, keys)

    def _check(self, result: Any, num_envs: int) -> None:
        parts = result if isinstance(result, tuple) else (result,)
        fits = len(parts) in (1, 2) and all(isinstance(p, Tensor) and p.shape == (num_envs,) for p in parts)
        if fits and (len(parts) == 1 or parts[1].dtype == torch.bool):
            return
        came = ", ".join(f"{p.dtype} {list(p.shape)}" if isinstance(p, Tensor) else type(p).__name__ for p in parts)
        name = getattr(self.function, "__name__", repr(self.function))
        raise ValueError(
            f"the reward function {name} returns a tensor [{num_envs}] (a number per env), or a tuple of that and a "
            f"bool tensor [{num_envs}] (success); got {came}"
        )
