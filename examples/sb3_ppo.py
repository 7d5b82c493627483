"""Stable-Baselines3's PPO from nothing in the dream of a Metaworld task, then scored in the simulator.

Run it: ``python examples/sb3_ppo.py`` (button_press, two minutes on one core), or with another task:
``python examples/sb3_ppo.py window_open 600000``. It needs the extras sb3 and metaworld.
"""

import sys

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

import dreamgym


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
def score(model: PPO, task: str, episodes: int, split: str = "test") -> dict[str, float]:
    """Success rates from held-out starts, in the dream and in the simulator."""
    worlds = {"dream": ("Dream-Metaworld-v0", {}), "twin": ("Real-Metaworld-v0", {"world_model": "metaworld"})}
    rates = {}
    for name, (id, options) in worlds.items():
        env = dreamgym.sb3_env(id, num_envs=min(episodes, 10), task=task, split=split, validate=False, **options)
        rates[name], _ = evaluate_policy(model, env, n_eval_episodes=episodes, warn=False)  # 1 paid for a success
        env.close()
    return rates


# [end]
if __name__ == "__main__":
    task, steps = sys.argv[1] if sys.argv[1:] else "button_press", int(sys.argv[2]) if sys.argv[2:] else 300_000
    rates = score(train(task, steps), task, episodes=50)
    print(f"{task}: success in the dream {rates['dream']:.2f}, in the simulator {rates['twin']:.2f}")
