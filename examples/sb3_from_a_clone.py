"""Stable-Baselines3's PPO on a dream, begun from a policy cloned from demonstrations.

Run it: ``python examples/sb3_from_a_clone.py`` (on a tiny built-in world, a minute), or on a Gaussian policy that
``dreamgym diffusion-ppo clone --kind gaussian`` wrote: ``python examples/sb3_from_a_clone.py
policies/base playtable close_drawer``.
"""

import sys
import tempfile
from pathlib import Path

import torch
from dreamgym_agents.common.encoded import EncodedChunks
from dreamgym_agents.diffusion_ppo import (
    CloneConfig,
    GaussianConfig,
    GaussianPolicy,
    clone,
    load_policy,
)
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

import dreamgym
from dreamgym.testing import point_mass_checkpoint
from dreamgym.testing.point_mass import ACTION


# [transplant]
def from_gaussian(policy: GaussianPolicy, env: VecEnv, **options) -> PPO:
    """An SB3 PPO whose actor has the policy's weights: its mean is the policy's decision.

    The env takes a chunk of actions a step, so SB3's action is a chunk too. The policy works on actions in [-1, 1],
    which is what CALVIN's are; for other bounds, scale the env's actions.
    """
    net, hidden = policy.base, list(policy.config.hidden)
    model = PPO(
        "MlpPolicy", env, policy_kwargs={"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": nn.SiLU}, **options
    )
    actor = model.policy
    own = [layer for layer in actor.mlp_extractor.policy_net if isinstance(layer, nn.Linear)] + [actor.action_net]
    with torch.no_grad():
        for mine, theirs in zip(own, [net.mlp.features, *net.mlp.layers, net.mlp.out], strict=True):
            mine.load_state_dict(theirs.state_dict())
        actor.log_std.copy_(net.log_std)
    actor.action_net = nn.Sequential(actor.action_net, nn.Tanh())  # the mean is squashed; nothing new to train
    return model


# [improve]
def improve(
    policy: GaussianPolicy, checkpoint: str, task: str, steps: int, num_envs: int = 32
) -> tuple[PPO, float, float]:
    """Trains in the dream; returns the model, and its mean imagined return before and after."""
    options = {"checkpoint": checkpoint, "task": task, "reward": "probability", "chunk": policy.config.chunk}
    options |= {"horizon": 16 if checkpoint.endswith("point") else 64, "validate": False}  # SB3 clips by itself
    env, held_out = (
        dreamgym.sb3_env("Dream-v0", num_envs=num_envs, split=split, **options) for split in ("train", "val")
    )
    model = from_gaussian(policy, env, n_steps=16, batch_size=256, learning_rate=1e-3, seed=0)
    before, _ = evaluate_policy(model, held_out, n_eval_episodes=64, warn=False)
    model.learn(steps)
    after, _ = evaluate_policy(model, held_out, n_eval_episodes=64, warn=False)
    return model, float(before), float(after)


# [clone]
def wanderer(folder: Path) -> GaussianPolicy:
    """A policy of the point mass, cloned from demonstrations that wander: it hardly ever arrives anywhere."""
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(512, 2, generator=generator) * 1.6 - 0.8
    chunk = (0.5 * torch.randn(512, 4, 3, generator=generator)).clamp(-1, 1)
    chunk[..., 2] = -1.0
    features = torch.cat([place, torch.zeros(512, 1)], 1)
    torch.manual_seed(0)
    policy = GaussianPolicy(GaussianConfig(3, ACTION.low, ACTION.high, hidden=(32, 32)))
    clone(policy, EncodedChunks(features, chunk, episodes=64), CloneConfig(epochs=40, lr=3e-3), folder / "clone")
    return policy


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        if sys.argv[1:]:
            folder, checkpoint, task = sys.argv[1:4]
            policy, steps = load_policy(folder), 100_000
        else:
            policy, task, steps = wanderer(Path(scratch)), "reach_right", 16_000
            checkpoint = str(point_mass_checkpoint(Path(scratch) / "point"))
        _, before, after = improve(policy, checkpoint, task, steps)
        print(f"{task}: imagined return {before:.2f} before, {after:.2f} after {steps} decisions")
