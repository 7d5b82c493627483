"""The methods of the WARPD experiments by name, and their training."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import torch
from dreamgym_agents.warpd import Demonstrations, PlanningPolicy, RandomPolicy, WARPDConfig, recipes, train
from rollouts import PolicyOf

from dreamgym.types import ActionSpec

METHODS = (*recipes.METHODS, "random")
WARPD_STATE = "warpd_state"  # WARPD that is told the task and the first state, where the paper tells the task alone


def make_agent(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str
) -> recipes.Agent:
    """`recipes.make_agent`, which knows `WARPD_STATE` too."""
    return recipes.make_agent("warpd" if method == WARPD_STATE else method, config, demos, action, preset)


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
