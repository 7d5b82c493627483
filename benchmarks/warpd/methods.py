"""The methods of the WARPD experiments by name, and their training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import torch
from dreamgym_agents.warpd import (
    WARPD,
    Agent,
    Demonstrations,
    DiffusionPolicy,
    LatentDiffusionPolicy,
    MLPPolicy,
    PlanningPolicy,
    RandomPolicy,
    WARPDConfig,
    WorldModelDynamics,
    train,
)
from rollouts import PolicyOf

from dreamgym.data import EpisodeStore, EpisodeView, Meta
from dreamgym.data.state_demonstrations import ROAMING
from dreamgym.types import ActionSpec
from dreamgym.world_models.mlp import MLPConfig, MLPWorldModel

METHODS = ("warpd", "warpd_no_world_model", "diffusion_policy", "latent_diffusion_policy", "mlp", "random")
WARPD_STATE = "warpd_state"  # WARPD that is told the task and the first state, where the paper tells the task alone
PRESETS = ("paper", "tiny")


def read_demonstrations(store: Path, tasks: tuple[str, ...] | None = None) -> Demonstrations:
    """The training split of a store that `dreamgym.data.state_demonstrations` made, roaming left out."""
    return Demonstrations.from_store(select(store, "train", tasks), "state", tasks)


def select(store: Path, split: str, tasks: tuple[str, ...] | None = None) -> EpisodeView:
    """The demonstrations of a split, of some tasks or all."""

    def wanted(meta: Meta) -> bool:
        return meta["operator"] not in ROAMING and (tasks is None or meta["task"] in tasks)

    return EpisodeStore.open(store).select(split=split, where=wanted)


def configure(suite: str, preset: str, demos: Demonstrations, **changes: object) -> WARPDConfig:
    """The paper's sizes, or those that two cores train; ``changes`` override either."""
    if preset == "paper":
        return WARPDConfig.paper(suite, demos.obs_dim, demos.action_dim, tasks=demos.tasks, **changes)
    paper = WARPDConfig.paper(suite, demos.obs_dim, demos.action_dim, tasks=demos.tasks, **changes)
    tiny = WARPDConfig.tiny(demos.obs_dim, demos.action_dim, paper.length, tasks=demos.tasks)
    tiny = replace(tiny, horizon=paper.horizon, condition=paper.condition)
    tiny = replace(tiny, vae=replace(tiny.vae, kl_weight=paper.vae.kl_weight))
    return replace(tiny, **{k: v for k, v in changes.items() if k not in ("length", "horizon")})


def make_agent(method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, preset: str) -> Agent:
    """A new agent of that name; entries of the observation that never change are left out."""
    if method in ("warpd", WARPD_STATE):
        make = MLPConfig.paper if preset == "paper" else MLPConfig.tiny
        world = WorldModelDynamics(MLPWorldModel(make(demos.obs_dim, action, ensemble=1, unroll=1)))
        return WARPD.for_demonstrations(config, demos, constant="ignore", dynamics=world)
    if method == "warpd_no_world_model":
        return WARPD.for_demonstrations(config.without_world_model(), demos, constant="ignore")
    kinds: dict[str, type[Agent]] = {a.kind: a for a in (DiffusionPolicy, LatentDiffusionPolicy, MLPPolicy)}
    return kinds[method].for_demonstrations(config, demos, constant="ignore")


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
