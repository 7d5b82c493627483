"""Small policies for a point on a square, and demonstrations for them."""

from dataclasses import replace

import torch
from dreamgym_agents.common.encoded import EncodedChunks
from dreamgym_agents.diffusion_ppo import (
    DiffusionConfig,
    DiffusionPolicy,
    GaussianConfig,
    GaussianPolicy,
    PolicyConfig,
    TuneConfig,
)

from dreamgym.data import EpisodeStore
from dreamgym.testing.point_mass import ACTION

SIZES = {**PolicyConfig.sizes(3, ACTION), "hidden": (48, 48)}
TINY_TUNE = TuneConfig(
    total_steps=4 * 8 * 16,
    tuned_steps=3,
    num_updates=2,
    batch_size=48,
    actor_lr=1e-3,
    critic_hidden=(16,),
    critic_warmup=1,
    eval_every=2,
    eval_episodes=8,
)


def make_policy(kind="diffusion", seed=0, **changes):
    torch.manual_seed(seed)
    if kind == "gaussian":
        return GaussianPolicy(replace(GaussianConfig(**SIZES), **changes))
    return DiffusionPolicy(replace(DiffusionConfig(**SIZES, steps=6), **changes))


def wanderers(num=512, seed=0):
    """Demonstrations that go anywhere, each chunk in one direction: a policy that hardly ever reaches a goal."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(num, 2, generator=generator) * 1.6 - 0.8
    way = 0.4 * torch.randn(num, 1, 3, generator=generator) + 0.4 * torch.randn(num, 4, 3, generator=generator)
    way[..., 2] = -1.0
    return EncodedChunks(torch.cat([place, torch.zeros(num, 1)], 1), way.clamp(-1, 1), episodes=num // 8)


def write_store(path, lengths=(9, 12, 7), task="reach_right"):
    """A store of demonstrations of the point mass: every second one a failure, the last of them held out."""
    keys = {"robot_obs": ((3,), "float32"), "rgb_static": ((16, 16, 3), "uint8"), "action": ((3,), "float32")}
    store = EpisodeStore.create(path, keys)
    generator = torch.Generator().manual_seed(0)
    for number, length in enumerate(lengths):
        for success in (True, False):
            episode = {
                "robot_obs": torch.rand(length, 3, generator=generator).numpy(),
                "rgb_static": torch.zeros(length, 16, 16, 3, dtype=torch.uint8).numpy(),
                "action": (torch.rand(length, 3, generator=generator) * 2 - 1).numpy(),
            }
            split = "val" if number == len(lengths) - 1 else "train"
            store.append([(episode, {"task": task, "success": success, "split": split, "episode_index": number})])
    return EpisodeStore.open(path)
