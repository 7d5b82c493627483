"""WARPD: small closed-loop policies generated as weights from a latent space ("World model Assisted Reactive Policy
Diffusion"), and the baselines it is compared with. ``docs/warpd.md`` goes through it::

    demonstrations ──encode──> z ──decode──> weights of a policy          stage 1: `PolicyVAE`, with a world model
                               ▲
              state, task ─────┘ denoise                                  stage 2: `LatentDiffusion`

Use::

    demos = Demonstrations.from_episodes([(obs, action), ...], task=[...])
    config = WARPDConfig.tiny(demos.obs_dim, demos.action_dim, length=100, tasks=demos.tasks, condition="task")
    agent = WARPD.for_demonstrations(config, demos, dynamics=WorldModelDynamics(world_model))
    train(agent, demos, "runs/warpd")
    policy = PlanningPolicy(agent, task="drawer-open")        # dreamgym.types.Policy: draws anew at its horizon
    policies = agent.generate(obs, task="drawer-open")        # B policies, fixed
"""

from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.scale import Scale
from dreamgym_agents.warpd.agent import Agent
from dreamgym_agents.warpd.baselines import (
    DiffusionBaseline,
    LatentDiffusionPolicy,
    MLPPolicy,
    RelativeDiffusionBaseline,
)
from dreamgym_agents.warpd.config import TrainConfig, WARPDConfig
from dreamgym_agents.warpd.dynamics import Dynamics, WorldModelDynamics
from dreamgym_agents.warpd.policy import GeneratedPolicy, PlanningPolicy, RandomPolicy
from dreamgym_agents.warpd.saving import load, load_agent, save
from dreamgym_agents.warpd.sizes import DenoiserConfig, DenoisingConfig, PolicyShape, VAEConfig
from dreamgym_agents.warpd.training import train
from dreamgym_agents.warpd.vae import PolicyVAE
from dreamgym_agents.warpd.warpd import WARPD

__all__ = [
    "WARPD",
    "WARPDConfig",
    "VAEConfig",
    "DenoisingConfig",
    "DenoiserConfig",
    "TrainConfig",
    "PolicyShape",
    "Demonstrations",
    "Scale",
    "Dynamics",
    "WorldModelDynamics",
    "train",
    "Agent",
    "DiffusionBaseline",
    "RelativeDiffusionBaseline",
    "LatentDiffusionPolicy",
    "MLPPolicy",
    "PlanningPolicy",
    "GeneratedPolicy",
    "RandomPolicy",
    "PolicyVAE",
    "save",
    "load",
    "load_agent",
]
