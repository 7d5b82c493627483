"""A PPO loop of TorchRL's own parts on a dream: Collector, GAE, ClipPPOLoss.

Run it: ``python examples/torchrl_ppo.py`` (on a tiny built-in world, a minute), or on a dream of yours:
``python examples/torchrl_ppo.py playtable open_drawer``.
"""

import sys
import tempfile
from pathlib import Path

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import EnvBase
from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import dreamgym
from dreamgym.testing import point_mass_checkpoint


# [networks]
def mlp(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs)
    )


def actor_and_critic(env: EnvBase) -> tuple[ProbabilisticActor, ValueOperator]:
    """A Gaussian squashed into the bounds of the action, and a value."""
    features, size = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]
    network = nn.Sequential(mlp(features, 2 * size), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": env.action_spec.space.low[0], "high": env.action_spec.space.high[0]},
        return_log_prob=True,
    )
    return actor, ValueOperator(mlp(features, 1), in_keys=["observation"])


# [loop]
def train(
    checkpoint: str, task: str, iterations: int, num_envs: int = 64, horizon: int = 16, seed: int = 0
) -> list[float]:
    """Trains; returns the mean reward a step of each iteration."""
    torch.manual_seed(seed)
    env = dreamgym.torchrl_env(
        "Dream-v0", num_envs=num_envs, checkpoint=checkpoint, task=task, horizon=horizon, reward="probability"
    )
    env.set_seed(seed)
    actor, critic = actor_and_critic(env)
    loss = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=1e-4)
    advantage = GAE(gamma=0.98, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    frames = num_envs * horizon
    rewards = []
    for batch in Collector(env, actor, frames_per_batch=frames, total_frames=frames * iterations):
        rewards.append(batch["next", "reward"].mean().item())
        for _ in range(4):
            with torch.no_grad():
                advantage(batch)
            for rows in torch.randperm(frames).split(frames // 4):
                terms = loss(batch.reshape(-1)[rows])
                total = terms["loss_objective"] + terms["loss_critic"] + terms["loss_entropy"]
                optimizer.zero_grad()
                total.backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
                optimizer.step()
    env.close()
    return rewards


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        if sys.argv[1:]:
            checkpoint, task = sys.argv[1:3]
            rewards = train(checkpoint, task, iterations=100, horizon=64)
        else:
            checkpoint, task = str(point_mass_checkpoint(Path(scratch) / "point")), "reach_right"
            rewards = train(checkpoint, task, iterations=20)
        print(f"{task}: reward a step {rewards[0]:.3f} at first, {rewards[-1]:.3f} at last")
