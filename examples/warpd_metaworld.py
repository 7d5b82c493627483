"""WARPD, small, on one Metaworld task: demonstrations, a VAE with its world model, latent diffusion, the simulator.

Run it: ``python examples/warpd_metaworld.py`` (under five minutes on two cores; extras: metaworld, agents).
``docs/warpd.md`` goes through it.
"""

import argparse
import tempfile
from pathlib import Path

import gymnasium as gym
import torch
from dreamgym_agents.warpd import (
    WARPD,
    Agent,
    Demonstrations,
    MLPPolicy,
    PlanningPolicy,
    TrainConfig,
    WARPDConfig,
    WorldModelDynamics,
    train,
)

import dreamgym  # noqa: F401 - registers the ids
from dreamgym.data import EpisodeStore
from dreamgym.suites.collection import collect_suite
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

TASK = "drawer_open"
STEPS = 100  # the scripted expert needs 40 to 60


# [demonstrations]
def demonstrate(folder: Path, episodes: int) -> Demonstrations:
    """The suite's scripted expert, with and without noise on its actions; every episode goes on to ``STEPS``."""
    collect_suite("metaworld", folder, num_episodes=episodes, seed=0, tasks=(TASK,), max_steps=STEPS, whole=True)
    return Demonstrations.from_store(EpisodeStore.open(folder), "state")


# [train]
def learn(demos: Demonstrations, folder: Path, epochs: int) -> WARPD:
    """The VAE and the world model together, then the diffusion over latents, given the first state."""
    config = WARPDConfig.tiny(
        demos.obs_dim, demos.action_dim, length=STEPS, tasks=demos.tasks, condition="state",
        train=TrainConfig(vae_epochs=epochs, diffusion_epochs=2 * epochs, vae_lr=1e-3, lr=1e-3, grad_clip=100.0),
    )  # fmt: skip
    arm = ActionSpec(low=(-1.0,) * 4, high=(1.0,) * 4)
    torch.manual_seed(config.train.seed)  # of the world model; the agent seeds itself
    world = WorldModelDynamics(MLPWorldModel(MLPConfig.tiny(demos.obs_dim, arm, ensemble=1, unroll=1)))
    # Metaworld pads its observation with zeros: entries that never change are left out.
    agent = WARPD.for_demonstrations(config, demos, constant="ignore", dynamics=world)
    return train(agent, demos, folder)


# [baseline]
def clone(demos: Demonstrations, config: WARPDConfig, folder: Path) -> MLPPolicy:
    """One perceptron of the generated policies' size, cloned from the same demonstrations."""
    return train(MLPPolicy.for_demonstrations(config, demos, constant="ignore"), demos, folder)


# [use]
def succeed(agent: Agent, episodes: int) -> float:
    """The share of episodes in the simulator, begun where no demonstration did, in which the task was done."""
    env, policy = gym.make("Real-Metaworld-v0", task=TASK, horizon=STEPS), PlanningPolicy(agent, TASK)
    generator, done = torch.Generator().manual_seed(0), 0
    for episode in range(episodes):
        obs, _ = env.reset(seed=10_000 + episode)
        carry, fresh, over = policy.start(1, generator), torch.tensor([True]), False
        while not over:
            action, carry = policy.act(obs["state"][None], carry, fresh, generator)
            obs, _, terminated, truncated, info = env.step(action[0].numpy().clip(-1, 1))
            fresh, over = torch.tensor([False]), terminated or truncated
        done += bool(info["is_success"])
    env.close()
    return done / episodes


def main(demonstrations: int = 60, epochs: int = 200, episodes: int = 30, folder: Path | None = None) -> float:
    """Everything; returns WARPD's success."""
    with tempfile.TemporaryDirectory() as scratch:
        root = folder or Path(scratch)
        demos = demonstrate(root / "demonstrations", demonstrations)
        warpd = learn(demos, root / "warpd", epochs)
        success = succeed(warpd, episodes)
        print(f"WARPD: {success:.0%} of {episodes} episodes of {TASK} in the simulator, one generation an episode")
        mlp = clone(demos, warpd.config, root / "mlp")
        print(f"one perceptron of the same size, cloned: {succeed(mlp, episodes):.0%}")
    return success


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demonstrations", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=None, help="keep data and run here; go on where they stopped")
    main(**vars(parser.parse_args()))
