"""`refine`: a chunk is imagined, looked at and improved before it is executed (LaDi-WM, Algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.types import InstructionSpec, Policy
from dreamgym_agents.planning import Objective, Success, imagine

MOST_TIMES = 1000
"""Rounds that a file may ask for: each is as long as a decision."""


def check_times(times: Any) -> int:
    """The number of refinements; ValueError where it is none."""
    if not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= MOST_TIMES:
        raise ValueError(f"times must be at least 0 and at most {MOST_TIMES}, got {times!r}")
    return times


def refine(policy: Policy, world_model: Any = None, times: int = 2, objective: Objective | None = None) -> Refined:
    """A policy that imagines its chunks before it executes them.

    - A policy with a method ``improve(obs, carry, fresh, imagined, generator)`` (`GuidedPolicy` has) is shown the
      imagined features [B, F, Z] and decides anew, ``times`` times.
    - Any other chunk policy is asked for another chunk ``times`` times, and what the dream values higher is kept. A
      policy that answers alike every time is left as it is.

    Args:
        policy: its ``act`` returns a chunk [B, chunk, A], or it carries its chunk out itself, with "chunk" [B, T, A]
            and "next" [B] in its carry, as the diffusion policies do.
        world_model: a core, or an env with one, whose envs stand where the policy acts; None: what `bind` is given, as
            by `dreamgym evaluate`.
        times: rounds of imagining and deciding anew; 0 leaves the policy as it is.
        objective: what a policy's chunks are valued by, where it cannot look for itself; None: success of the task.

    Raises:
        ValueError: times below 0, or a world model that has no core.
    """
    refined = Refined(policy, times, objective)
    if world_model is not None:
        found = getattr(world_model, "unwrapped", world_model)
        core = getattr(found, "core", found)
        if not isinstance(core, DreamCore):
            raise ValueError(
                f"world_model: expected a DreamCore, or an env made of one, got {type(world_model).__name__}"
            )
        refined.bind(core)
    return refined


class Refined:
    """See `refine`. Satisfies `dreamgym.types.Policy`; what a policy under it offers beyond that it offers, too.

    Attributes:
        policy: what is refined.
        times: rounds.
    """

    def __init__(self, policy: Policy, times: int = 2, objective: Objective | None = None) -> None:
        if times < 0:
            raise ValueError(f"times must be at least 0, got {times}")
        self.policy, self.times, self.objective = policy, times, objective or Success()
        self._core: DreamCore | None = None

    @property
    def obs(self) -> str:
        """What the policy wants to be shown."""
        return str(getattr(self.policy, "obs", "features"))

    @property
    def chunk(self) -> int | None:
        """Control actions a decision of the policy."""
        found: int | None = getattr(self.policy, "chunk", None)
        return found

    def bind(self, core: DreamCore) -> None:
        """Takes the core to imagine in; before each `act` it stands where the envs stand.

        Raises:
            ValueError: a model that is driven by instructions.
        """
        if isinstance(core.spec.action, InstructionSpec):
            raise ValueError("chunks of actions do not drive this model, instructions do: nothing to refine")
        self._core = core
        inner = getattr(self.policy, "bind", None)
        if callable(inner):
            inner(core)

    def start(self, num_envs: int, generator: torch.Generator | None) -> Any:
        """The policy's."""
        return self.policy.start(num_envs, generator)

    def begin(self, carry: Any, fresh: Tensor, tasks: list[str]) -> Any:
        """The policy's, where it wants to be told."""
        inner = getattr(self.policy, "begin", None)
        return inner(carry, fresh, tasks) if callable(inner) else carry

    @torch.no_grad()
    def act(self, obs: Any, carry: Any, fresh: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Any]:
        """The refined actions, as the policy's `act` returns them.

        Raises:
            ValueError: it was not bound to a core.
        """
        action, after = self.policy.act(obs, carry, fresh, generator)
        if not self.times:
            return action, after
        core = self._core
        if core is None:
            raise ValueError("a refined policy imagines in a core: give refine() a world model, or call bind(core)")
        improve = getattr(self.policy, "improve", None)
        for _ in range(self.times):
            due = _decided(action, after, core)
            if not bool(due.any()):
                break  # all carry on with what was decided before
            plan = _plan(action, after, core)
            if improve is not None:
                action, after = improve(obs, carry, fresh, _ahead(core, plan, generator), generator)
            else:
                other = self.policy.act(obs, carry, fresh, generator)
                take = due & self._better(core, plan, _plan(*other, core), generator)
                action, after = _where(take, other[0], action), _where(take, other[1], after)
        return action, after

    def _better(self, core: DreamCore, held: Tensor, other: Tensor, generator: torch.Generator | None) -> Tensor:
        """[B] bool: where the dream values ``other`` higher than ``held``, plans [B, F * a, A]."""
        values = imagine(core, torch.stack([held, other], 1), self.objective, generator)
        return values[:, 1] > values[:, 0]


def _plan(action: Tensor, carry: Any, core: DreamCore) -> Tensor:
    """The control actions ahead [B, F * a, A] of a decision, prepared: the chunk under way, or what was returned."""
    chunk = carry["chunk"] if _carries(carry) else action
    chunk = chunk.unsqueeze(1) if chunk.dim() == 2 else chunk
    prepared: Tensor = core.spec.prepare(chunk)
    return prepared


def _decided(action: Tensor, carry: Any, core: DreamCore) -> Tensor:
    """[B] bool: envs whose chunk was decided just now: its first frame is what was returned."""
    if not _carries(carry):
        return torch.ones(len(action), dtype=torch.bool, device=action.device)
    first: Tensor = carry["next"] <= core.spec.actions_per_frame
    return first


def _carries(carry: Any) -> bool:
    return isinstance(carry, dict) and "chunk" in carry and "next" in carry


def _ahead(core: DreamCore, plan: Tensor, generator: torch.Generator | None) -> Tensor:
    """Features [B, F, Z] of the frames that a plan leads through, from where the core stands; it is not moved."""
    frames = core.model.unroll(core.state, plan, generator)
    return torch.stack([core.model.features(state).flatten(1) for state in frames], 1)


def _where(mask: Tensor, new: Any, old: Any) -> Any:
    """Per env: ``new`` where the mask is true, through dicts, tuples and lists of tensors [B, ...]."""
    if isinstance(old, Tensor):
        return torch.where(mask.view(-1, *([1] * (old.dim() - 1))), new, old)
    if isinstance(old, dict):
        return {k: _where(mask, new[k], v) for k, v in old.items()}
    if isinstance(old, (tuple, list)):
        return type(old)(_where(mask, n, o) for n, o in zip(new, old, strict=True))
    return old
