"""Stable-Baselines3's PPO from nothing in the dream of a Metaworld task, then scored in the simulator.

Run it: ``python examples/sb3_ppo.py`` (button_press), or another task with a number of imagined steps:
``python examples/sb3_ppo.py window_open 600000``. It needs the extras sb3 and metaworld.
"""

import sys

import torch
from stable_baselines3 import PPO

import dreamgym
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.libraries.sb3 import SB3Policy


# [train]
def train(task: str, steps: int, num_envs: int = 64, seed: int = 0) -> PPO:
    """PPO on the dense reward of Metaworld's suite, in dreams alone."""
    torch.set_num_threads(1)
    env = dreamgym.sb3_env(
        "Dream-Metaworld-v0", num_envs=num_envs, task=task, reward="shaped", validate=False, episode_stats=True
    )
    model = PPO(
        "MlpPolicy", env, n_steps=75, batch_size=600, n_epochs=6, learning_rate=1e-3, gamma=0.98, seed=seed,
        policy_kwargs={"net_arch": [128, 128]},
    )  # fmt: skip
    return model.learn(steps)


# [score]
def score(model: PPO, task: str, episodes: int) -> dict[str, float]:
    """Success rates from held-out starts, in the dream and in the simulator."""
    world = dreamgym.load("metaworld")
    policy = SB3Policy(model, world.spec)
    result = evaluate(policy, world, task, EvaluationConfig(episodes=episodes, split="test"))
    return {"dream": result.dream.rate, "simulator": result.twin.rate}


# [end]
if __name__ == "__main__":
    task, steps = sys.argv[1] if sys.argv[1:] else "button_press", int(sys.argv[2]) if sys.argv[2:] else 300_000
    print(task, score(train(task, steps), task, episodes=50))
