"""The methods of the WARPD experiments by name, and their training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from dreamgym_agents.warpd import Demonstrations, PlanningPolicy, RandomPolicy, WARPDConfig, recipes, train
from rollouts import PolicyOf

from dreamgym.types import ActionSpec, Policy

LONG = "diffusion_policy_long"  # DP on four windows of each trajectory an epoch: four times the updates
METHODS = (*recipes.METHODS, LONG, "random")
DISC = slice(0, 2)  # of PushT's state
WARPD_STATE = "warpd_state"  # WARPD that is told the task and the first state, where the paper tells the task alone


def make_agent(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str
) -> recipes.Agent:
    """`recipes.make_agent`, which knows `WARPD_STATE` and `LONG` too."""
    known = {WARPD_STATE: "warpd", LONG: "diffusion_policy"}
    return recipes.make_agent(known.get(method, method), config, demos, action, preset)


def action_spec(env: gym.Env) -> ActionSpec:
    """The bounds of a simulator's actions."""
    space = env.action_space
    assert isinstance(space, gym.spaces.Box)
    return ActionSpec(tuple(space.low.tolist()), tuple(space.high.tolist()))


def trained(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str, run: Path
) -> PolicyOf:
    """Trains in ``run``, or goes on there; what comes makes the policy of a task, or of each env's."""
    if method == "random":
        return lambda task: RandomPolicy(torch.tensor(action.low), torch.tensor(action.high))
    agent = train(make_agent(method, config, demos, action, preset), demos, run)
    return lambda task: PlanningPolicy(agent, task)


class FromDisc:
    """A policy whose actions count from the disc, as one whose actions are positions.

    Args:
        policy: what acts.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Any:
        """The policy's own carry."""
        return self.policy.start(num_envs, generator)

    def act(
        self, obs: torch.Tensor, carry: Any, fresh: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Actions [B, 2] for states [B, 6]."""
        action, carry = self.policy.act(obs, carry, fresh, generator)
        return action + obs[:, DISC], carry


def from_disc(demos: Demonstrations) -> Demonstrations:
    """The same demonstrations, actions counted from the disc."""
    return replace(demos, action=demos.action - demos.obs[:, DISC])
