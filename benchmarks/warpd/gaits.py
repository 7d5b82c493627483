"""Gaits of HalfCheetah: linear policies found by augmented random search, each rewarded for another way of going.

The paper takes trajectories of three policies from D4RL (A.7.1). Here the policies are trained, in minutes each: ARS V2
(Mania et al. 2018) needs no gradients and no large networks.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
from tqdm import trange

_log = logging.getLogger(__name__)
ENV = "HalfCheetah-v5"
OBS, ACTIONS = 17, 6
CONTROL_COST = 0.1  # the suite's own, of the squared action
TIPPED, TIPPED_COST = 1.2, 4.0  # rad of pitch beyond which it counts as fallen over, and what a step of that costs


@dataclass(frozen=True)
class Gait:
    """What a way of going is rewarded for, a step.

    Attributes:
        speed: m/s beyond which nothing is gained; None for as fast as it can.
        front, back: cost of the front foot, and of the back foot, touching the ground.
    """

    speed: float | None = None
    front: float = 0.0
    back: float = 0.0

    def reward(self, velocity: float, pitch: float, action: np.ndarray, contact: np.ndarray) -> float:
        """Of one step: m/s, rad, action (6,), contact (2,) of the front and the back foot."""
        gain = velocity if self.speed is None else self.speed - abs(velocity - self.speed)
        cost = CONTROL_COST * float(np.square(action).sum()) + TIPPED_COST * (abs(pitch) > TIPPED)
        return gain - cost - self.front * float(contact[0]) - self.back * float(contact[1])


GAITS = {"run": Gait(), "walk": Gait(speed=1.0), "hind": Gait(speed=2.0, front=4.0), "front": Gait(speed=2.0, back=4.0)}
NOISE = "noise"
BEHAVIOURS = (*GAITS, NOISE)
"""The gaits, and uniformly random actions: the paper's "random"."""


@dataclass(frozen=True)
class Search:
    """Augmented random search, V2-t.

    Attributes:
        updates: of the policy.
        directions: tried an update, each in both senses; the ``best`` count.
        step, spread: of an update, and of what is tried.
        steps: of an episode.
        seed: of everything.
    """

    updates: int = 200
    directions: int = 16
    best: int = 8
    step: float = 0.02
    spread: float = 0.03
    steps: int = 400
    seed: int = 0


class Cheetah:
    """The suite's env with the contacts of its feet."""

    def __init__(self) -> None:
        self.env = gym.make(ENV, max_episode_steps=10**9)
        inner = self.env.unwrapped
        self._data = inner.data  # type: ignore[attr-defined]
        names = ("floor", "ffoot", "bfoot")
        self._floor, *self._feet = (inner.model.geom(n).id for n in names)  # type: ignore[attr-defined]

    def reset(self, seed: int) -> np.ndarray:
        """The first observation (17,)."""
        return self.env.reset(seed=seed)[0]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
        """Observation (17,), the suite's reward, velocity (m/s), contact (2,) of the front and the back foot."""
        obs, reward, _, _, info = self.env.step(action)
        pairs = np.asarray(self._data.contact.geom)
        touching = pairs[(pairs == self._floor).any(1)] if len(pairs) else pairs
        contact = np.array([float((touching == foot).any()) for foot in self._feet])
        return obs, float(reward), float(info["x_velocity"]), contact


@dataclass
class Linear:
    """actions = weights @ standardised observation.

    Attributes:
        weights: (6, 17).
        mean, square: (17,), running means of the observation and of its square.
        count: observations seen.
    """

    weights: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    count: float = 0.0

    @classmethod
    def zeros(cls) -> Linear:
        return cls(np.zeros((ACTIONS, OBS)), np.zeros(OBS), np.ones(OBS))

    def scaled(self) -> np.ndarray:
        """Weights on the observation less its mean."""
        return self.weights / np.sqrt(np.maximum(self.square - self.mean**2, 1e-6))

    def act(self, obs: np.ndarray) -> np.ndarray:
        """Action (6,) in [-1, 1] for ``obs`` (17,)."""
        return np.clip(self.scaled() @ (obs - self.mean), -1.0, 1.0)

    def see(self, obs: np.ndarray) -> None:
        """Takes observations [N, 17] into the running means."""
        total = self.count + len(obs)
        self.mean = (self.mean * self.count + obs.sum(0)) / total
        self.square = (self.square * self.count + np.square(obs).sum(0)) / total
        self.count = total


def search(gait: Gait, folder: Path, config: Search, progress: bool = True) -> Linear:
    """Trains a gait in ``folder``, or goes on there: every update is saved, and draws from its own number alone.

    Raises:
        ValueError: the folder holds the search of another gait or config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"gait": asdict(gait), **{k: v for k, v in asdict(config).items() if k != "updates"}}
    path = folder / "search.json"
    if path.exists() and json.loads(path.read_text()) != about:
        raise ValueError(f"{folder} holds another search: remove it, or choose another directory")
    path.write_text(json.dumps(about))
    policy, done = _load(folder)
    cheetah = Cheetah()
    for update in trange(done, config.updates, initial=done, total=config.updates, disable=not progress):
        rng = np.random.default_rng([config.seed, update])
        tried = rng.standard_normal((config.directions, ACTIONS, OBS))
        scores, seen = np.zeros((config.directions, 2)), []
        for i, delta in enumerate(tried):
            for sense in (0, 1):
                moved = policy.weights + config.spread * (1 - 2 * sense) * delta
                trial = Linear(moved, policy.mean, policy.square, policy.count)
                score, obs = _episode(cheetah, trial, gait, config.steps, int(rng.integers(2**31)))
                scores[i, sense] = score
                seen.append(obs)
        best = np.argsort(-scores.max(1))[: config.best]
        change = np.einsum("i,ijk->jk", scores[best, 0] - scores[best, 1], tried[best])
        policy.weights = policy.weights + config.step / (config.best * (scores[best].std() + 1e-8)) * change
        policy.see(np.concatenate(seen))
        _save(folder, policy, update + 1)
        with (folder / "log.jsonl").open("a") as log:
            log.write(json.dumps({"update": update + 1, "mean": scores.mean(), "best": scores.max()}) + "\n")
    return policy


def _episode(cheetah: Cheetah, policy: Linear, gait: Gait, steps: int, seed: int) -> tuple[float, np.ndarray]:
    """The gait's reward, and what was seen [steps, 17]."""
    obs, total, seen = cheetah.reset(seed), 0.0, []
    weights = policy.scaled()
    for _ in range(steps):
        seen.append(obs)
        action = np.clip(weights @ (obs - policy.mean), -1.0, 1.0)
        obs, _, velocity, contact = cheetah.step(action)
        total += gait.reward(velocity, float(obs[1]), action, contact)
    return total, np.array(seen)


def _load(folder: Path) -> tuple[Linear, int]:
    path = folder / "policy.npz"
    if not path.exists():
        return Linear.zeros(), 0
    with np.load(path) as kept:
        policy = Linear(kept["weights"], kept["mean"], kept["square"], float(kept["count"]))
        return policy, int(kept["updates"])


def _save(folder: Path, policy: Linear, updates: int) -> None:
    temporary = folder / "new.npz"
    np.savez(temporary, weights=policy.weights, mean=policy.mean, square=policy.square, count=policy.count,
             updates=updates)  # fmt: skip
    temporary.replace(folder / "policy.npz")
