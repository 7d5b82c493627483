"""Agents behind the policy protocol: the same object acts in the dream and in the real twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym_agents.common.chunks import are_due, renewed
from dreamgym_agents.common.demonstrations import UNNAMED
from dreamgym_agents.common.scale import Scale
from dreamgym_agents.warpd.agent import Agent, Task
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.vae import PolicyVAE

Carry = dict[str, Tensor]


def read_obs(obs: Any, dim: int, key: str | None = None, scale: Scale | None = None) -> Tensor:
    """An env's observation as raw float32 [B, O].

    Args:
        obs: what the env's face returns: an array or tensor [B, O], or a dict of them.
        dim: O.
        key: which entry of a dict; by default the only one that is [B, O].
        scale: where the env shows standardised observations (the features of an MLP world model): their scale.

    Raises:
        ValueError: nothing of that shape.
    """
    if isinstance(obs, Mapping):
        fitting = [k for k, v in obs.items() if np.ndim(v) == 2 and v.shape[-1] == dim] if key is None else [key]
        if len(fitting) != 1 or fitting[0] not in obs:
            shapes = {k: tuple(np.shape(v)) for k, v in obs.items()}
            single = any(s == (dim,) for s in shapes.values())
            mend = "add a batch axis: obs[None]" if single else "give obs_key"
            raise ValueError(f"expected one observation [B, {dim}] among {shapes}, found {fitting}: {mend}")
        obs = obs[fitting[0]]
    x = torch.as_tensor(obs, dtype=torch.float32)
    if x.dim() != 2 or x.shape[1] != dim:
        single = tuple(x.shape) == (dim,)
        mend = "add a batch axis: obs[None]" if single else "was the policy trained for another env?"
        raise ValueError(f"expected observations [B, {dim}], got {tuple(x.shape)}: {mend}")
    return x if scale is None else x * scale.std.to(x) + scale.mean.to(x)


def placed(action: Tensor, obs: Tensor, config: WARPDConfig) -> Tensor:
    """Raw actions [..., A] of learned ones on raw observations [..., O]: counted from ``config.action_origin``."""
    return action + obs[..., list(config.action_origin)].to(action) if config.action_origin else action


def counted(action: Tensor, obs: Tensor, config: WARPDConfig) -> Tensor:
    """Learned actions [..., A] of raw ones on raw observations [..., O]: what `placed` undoes."""
    return action - obs[..., list(config.action_origin)].to(action) if config.action_origin else action


def shown(obs: str | None, key: str | None, scale: Scale | None) -> str:
    """What `dreamgym evaluate` is to show a policy that reads so: ``obs`` where that is given."""
    return obs or ("features" if scale is not None else "state" if key is None else "dict")


class PlanningPolicy:
    """Draws a plan (weights, or a chunk of actions), follows it for ``horizon`` steps, draws the next.

    The carry holds the plan of every env, the steps since it was drawn, the last observations and the task. An env that
    is fresh draws at once. Only the rows that are due are drawn, from the generator that ``act`` is given.

    Args:
        agent: WARPD or a baseline.
        task: one for all envs or one for each.
        horizon: steps between plans; by default the agent's. A chunk of actions cannot last longer than it is.
        obs_key, obs_scale: see `read_obs`.
        obs: what `dreamgym evaluate` is to show it: "state" (the default: raw observations, also in an MLP dream),
            "features" (the default with ``obs_scale``; those of an agent that learned from features need no scale) or
            "dict" (the default with ``obs_key``).
    """

    def __init__(
        self,
        agent: Agent,
        task: Task | None = None,
        horizon: int | None = None,
        obs_key: str | None = None,
        obs_scale: Scale | None = None,
        obs: str | None = None,
    ) -> None:
        tasks = agent.config.tasks
        if task is None and len(tasks) > 1:
            raise ValueError(
                f"this agent knows {len(tasks)} tasks: say which, one of {list(tasks)}, or one for each env"
            )
        self.agent = agent.eval()
        self.task: Task = tasks[0] if task is None else task
        if not isinstance(self.task, Tensor):  # an unseen task fails here
            agent.task_index(self.task, 1 if isinstance(self.task, str | int | np.integer) else len(self.task))
        self.horizon = agent.horizon if horizon is None else horizon
        if not 1 <= self.horizon <= agent.max_horizon:
            raise ValueError(f"a horizon of {self.horizon}: this agent's plans last 1 to {agent.max_horizon} steps")
        self.obs_key, self.obs_scale = obs_key, obs_scale
        self.obs = shown(obs, obs_key, obs_scale)

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Carry:
        """The carry of fresh envs: no plan yet."""
        device = self.agent.scaling.obs_mean.device
        config = self.agent.config
        return {
            "steps": torch.full((num_envs,), self.horizon, device=device),
            "history": torch.zeros(num_envs, self.agent.history, config.obs_dim, device=device),
            "task": self.agent.task_index(self.task, num_envs).to(device),
        }

    def begin(self, carry: Carry, fresh: Tensor, tasks: Sequence[str]) -> Carry:
        """The carry, told what each env is to do from now on: what evaluation says at every reset, see `Policy`.

        Args:
            carry: as it was.
            fresh: [B] bool, the envs that were reset.
            tasks: a name for each env.

        Raises:
            ValueError: a task that was never seen (an agent whose only task has no name of its own does that one).
        """
        if self.agent.config.tasks == (UNNAMED,):
            return carry
        index = self.agent.task_index(list(tasks), len(tasks)).to(carry["task"].device)
        return {**carry, "task": torch.where(fresh.to(index.device), index, carry["task"])}

    @torch.no_grad()
    def act(
        self, obs: Any, carry: Carry, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Carry]:
        """Raw actions [B, A] and the new carry; the old one is left as it was."""
        steps, device = carry["steps"], carry["steps"].device
        x = read_obs(obs, self.agent.config.obs_dim, self.obs_key, self.obs_scale).to(device)
        fresh = torch.as_tensor(fresh, device=device)
        first = x.unsqueeze(1).expand(-1, self.agent.history, -1)
        shifted = torch.cat([carry["history"][:, 1:], x.unsqueeze(1)], 1)
        history = torch.where(fresh[:, None, None], first, shifted)
        if "plan" not in carry:  # nothing planned yet: every row is due, and its history is what it sees
            history = first.contiguous()
        due, task = are_due(fresh, steps, self.horizon), carry["task"]
        plan = renewed(carry.get("plan"), due, lambda rows: self.agent.plan(history[rows], task[rows], generator))
        steps = torch.where(due, 0, steps)
        action = placed(self.agent.follow(plan, x, steps), x, self.agent.config)
        return action, {"plan": plan, "steps": steps + 1, "history": history, "task": task}


class GeneratedPolicy:
    """B policies that were generated, one an env, to be followed as long as the caller likes.

    Args:
        vae: whose policies they are.
        theta: their weights [B, P].
        obs_key, obs_scale: see `read_obs`.
    """

    def __init__(
        self, vae: PolicyVAE, theta: Tensor, obs_key: str | None = None, obs_scale: Scale | None = None
    ) -> None:
        self.vae, self.theta, self.obs_key, self.obs_scale = vae, theta, obs_key, obs_scale
        self.obs = shown(None, obs_key, obs_scale)

    def __call__(self, obs: Tensor) -> Tensor:
        """Raw actions [B, A], or [B, T, A], on raw observations [B, O], or [B, T, O]; differentiable.

        Raw ones with an ``obs_scale`` too, which is for what `act` is shown.

        Raises:
            ValueError: observations of another shape.
        """
        batch, width = len(self.theta), self.vae.config.obs_dim
        if obs.dim() not in (2, 3) or obs.shape[0] != batch or obs.shape[-1] != width:
            raise ValueError(
                f"expected observations [{batch}, {width}] or [{batch}, T, {width}], a row for each of the {batch} "
                f"policies, got {tuple(obs.shape)}"
            )
        return placed(self.vae.act(self.theta, obs), obs, self.vae.config)

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> None:
        """Nothing to remember.

        Raises:
            ValueError: another number of envs than there are policies.
        """
        if num_envs != len(self.theta):
            raise ValueError(
                f"{len(self.theta)} policies were generated, for as many envs, not {num_envs}: generate again"
            )

    @torch.no_grad()
    def act(
        self, obs: Any, carry: None, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, None]:
        """Raw actions [B, A]."""
        x = read_obs(obs, self.vae.config.obs_dim, self.obs_key, self.obs_scale)
        return self(x.to(self.theta.device)), None


class RandomPolicy:
    """Uniform actions: the paper's lower bound.

    Args:
        low, high: bounds [A].
    """

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self.low, self.high = low, high

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> None:
        """Nothing to remember."""
        return None

    def act(
        self, obs: Any, carry: None, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, None]:
        """Actions [B, A]."""
        where = self.low.device if generator is None else generator.device
        draw = torch.rand((len(fresh), len(self.low)), generator=generator, device=where).to(self.low)
        return self.low + (self.high - self.low) * draw, None
