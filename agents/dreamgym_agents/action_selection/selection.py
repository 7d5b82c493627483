"""`ActionSelection`: ranks what a policy would do by what the world model says it comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.types import InstructionSpec, Policy, State, WorldModelSpec
from dreamgym_agents.planning.objectives import Frame, GoalDistance, Objective, Success


@dataclass(frozen=True)
class SelectionConfig:
    """Configures an `ActionSelection`.

    Attributes:
        method: "rank" (the world model chooses), "mean" (the average of all proposals) or "random" (the first
            proposal): the paper's VLA-mean and VLA-random, which imagine nothing that counts.
        candidates: N, proposals for each env.
        frames: p in frames, how long a proposal is; all of it is carried out.
        keep: k, best proposals whose actions are averaged.
    """

    method: Literal["rank", "mean", "random"] = "rank"
    candidates: int = 16
    frames: int = 6
    keep: int = 3

    def __post_init__(self) -> None:
        if self.method not in ("rank", "mean", "random"):
            raise ValueError(f"method: expected 'rank', 'mean' or 'random', got {self.method!r}")
        if not 1 <= self.keep <= self.candidates or self.frames < 1:
            raise ValueError(
                f"1 <= keep <= candidates and frames >= 1, got {self.keep}, {self.candidates} and {self.frames}"
            )


def subgoals(features: Tensor, every: int) -> Tensor:
    """Every ``every``-th frame of a demonstration, and its last: [G, Z] of features [T, Z].

    Raises:
        ValueError: fewer than two frames.
    """
    if every < 1 or len(features) < 2:
        raise ValueError(f"every >= 1 and at least 2 frames, got {every} and {len(features)}")
    index = torch.arange(every, len(features) + every - 1, every).clamp(max=len(features) - 1)
    return features[index]


def chosen(config: SelectionConfig, plans: Tensor, values: Tensor) -> Tensor:
    """What is carried out, [B, p, A], of proposals [B, N, p, A] with values [B, N]."""
    if config.method == "mean":
        return plans.mean(1)
    if config.method == "random":
        return plans[:, 0]
    best = values.topk(config.keep, 1).indices
    return plans[torch.arange(len(plans), device=plans.device)[:, None], best].mean(1)


class ActionSelection:
    """A policy made of another one, with the world model as its judge.

    Proposals are made in the dream: the policy acts on the features of imagined frames, with other noise for each of
    the N copies of an env. So any policy on features will do, whether it decides on single actions or on chunks.

    Args:
        spec: of the world model.
        policy: proposes; shown features.
        config: how many, how long, how many of them count.
        goals: features of subgoals, [G, Z] for all envs or [B, G, Z]; decision i of an episode is to reach number i
            (the last one from then on). None: proposals are ranked by the success that they come to.
        changes: fields of the config.

    Attributes:
        chunk: control actions a decision.

    Raises:
        ValueError: a model that is driven by instructions, or a policy that is not shown features.
    """

    obs = "features"

    def __init__(
        self,
        spec: WorldModelSpec,
        policy: Policy,
        config: SelectionConfig | None = None,
        goals: Tensor | None = None,
        **changes: Any,
    ) -> None:
        if isinstance(spec.action, InstructionSpec):
            raise ValueError("action selection chooses actions, and this model is driven by instructions")
        if (shown := getattr(policy, "obs", "features")) != "features":
            raise ValueError(
                f"a policy proposes in the dream, where it is shown features; {type(policy).__name__} wants {shown!r}"
            )
        self.config = replace(config or SelectionConfig(), **changes)
        self.spec, self.policy, self.goals = spec, policy, goals
        self.chunk = self.config.frames * spec.actions_per_frame
        self._core: DreamCore | None = None

    def bind(self, core: DreamCore) -> None:
        """Takes the core to imagine in."""
        self._core = core

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Tensor:
        """Decisions made, int64 [B]."""
        return torch.zeros(num_envs, dtype=torch.int64)

    def act(
        self, obs: Any, carry: Tensor, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The actions of the chosen proposals, [B, p, A], and the decisions made.

        Raises:
            ValueError: it was not bound to a core.
        """
        if self._core is None:
            raise ValueError("action selection imagines in a core: call bind(core) first, as dreamgym evaluate does")
        decision = torch.where(fresh, 0, carry.to(fresh.device))
        plans, values = self._proposed(self._core, self._objective(decision), generator)
        return self.spec.prepare(chosen(self.config, plans, values)), decision + 1

    def _objective(self, decision: Tensor) -> Objective:
        if self.goals is None:
            return Success()
        goals = self.goals.to(decision.device)
        goals = goals.expand(len(decision), *goals.shape) if goals.dim() == 2 else goals
        return GoalDistance(goals[torch.arange(len(decision)), decision.clamp(max=goals.shape[1] - 1)])

    @torch.no_grad()
    def _proposed(
        self, core: DreamCore, objective: Objective, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Proposals [B, N, p, A], and the value of each [B, N]: of its last frame, or the best on the way."""
        num, model, a = self.config.candidates, core.model, self.spec.actions_per_frame
        env = torch.arange(core.num_envs, device=core.device).repeat_interleave(num)
        state, memory = ({k: v[env] for k, v in part.items()} for part in (core.state, core.memory))
        task = core.counters["task"][env]
        carry = self.policy.start(len(env), generator)
        fresh = torch.ones(len(env), dtype=torch.bool, device=core.device)
        if hasattr(self.policy, "begin"):
            carry = self.policy.begin(carry, fresh, [core.tasks[i] for i in task.tolist()])
        done: list[Tensor] = []
        values: list[Tensor] = []
        while len(done) < self.config.frames:
            action, carry = self.policy.act(model.features(state), carry, fresh, generator)
            fresh = torch.zeros_like(fresh)
            decided = self.spec.prepare(action.unsqueeze(1) if action.dim() == 2 else action)
            for frame in decided.split(a, 1)[: self.config.frames - len(done)]:
                taken = frame[:, 0] if a == 1 else frame
                following = _next(model, state, taken, generator)
                values.append(objective(Frame(model, core.reward, following, memory, task, env)))
                _, _, memory = core.reward.step(model, memory, state, taken, following, task)
                state = following
                done.append(frame)
        value = values[-1] if objective.at_end else torch.stack(values, 1).amax(1)
        shape = (core.num_envs, num)
        value = torch.where(torch.isfinite(value), value, -torch.inf)
        return torch.cat(done, 1).unflatten(0, shape), value.view(shape)


def _next(model: Any, state: State, action: Tensor, generator: torch.Generator | None) -> State:
    following: State = model.imagine(state, action, generator)
    return following
