"""Small episodes whose every row says which episode and row it is, and factories that misbehave on purpose."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamgym.data import episode_rng

KEYS = {"action": ((7,), "float32"), "rgb_static": ((4, 6, 3), "uint8"), "robot_obs": ((15,), "float32")}


def make_episode(number: int, length: int) -> dict[str, np.ndarray]:
    """robot_obs[t] = (number, t, 0, ...) and action[t] = number + (t + 1) / 1024: what leads to row t + 1."""
    rows = np.arange(length)
    robot_obs = np.zeros((length, 15), np.float32)
    robot_obs[:, 0], robot_obs[:, 1] = number, rows
    action = np.repeat((number + (rows + 1) / 1024).astype(np.float32)[:, None], 7, axis=1)
    images = np.zeros((length, 4, 6, 3), np.uint8)
    images[..., 0], images[..., 1], images[..., 2] = number % 256, (rows % 256)[:, None, None], np.arange(6)
    return {"action": action, "rgb_static": images, "robot_obs": robot_obs}


@dataclass(frozen=True)
class Factory:
    """Episodes of `length` rows plus up to `spread`, each after `pause_s`; the named indices go wrong."""

    length: int = 10
    spread: int = 0
    pause_s: float = 0.0
    raises_once: tuple[int, ...] = ()
    raises_always: tuple[int, ...] = ()
    dies_once: tuple[int, ...] = ()
    started: str = ""  # a folder in which each started episode leaves a file

    def __call__(self, worker_seed: int) -> Generator:
        return Generator(self, worker_seed)


class Generator:
    def __init__(self, config: Factory, seed: int) -> None:
        self.config, self.seed = config, seed

    def episode(self, episode_index: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        config, first_try = self.config, self.seed < 1_000
        if config.started:
            (Path(config.started) / f"{episode_index}").touch()
        time.sleep(config.pause_s)
        if episode_index in config.raises_always or (first_try and episode_index in config.raises_once):
            raise RuntimeError(f"the gripper of episode {episode_index} fell off")
        if first_try and episode_index in config.dies_once:
            os.kill(os.getpid(), signal.SIGKILL)
        rng = episode_rng(self.seed, episode_index)
        episode = make_episode(episode_index, config.length + int(rng.integers(config.spread + 1)))
        episode["action"][:] = rng.random(7)
        return episode, {"task": f"task{episode_index % 3}", "skills": []}
