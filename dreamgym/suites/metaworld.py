"""Metaworld's ten tasks of WARPD (Table 4) as a suite, with the scripted experts that Metaworld ships."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.suites.base import Act, Measure, Sensors, Suite
from dreamgym.suites.scripted import RandomWalk, demonstrations
from dreamgym.types import ActionSpec

TASKS = (
    "window_open",
    "door_open",
    "drawer_open",
    "dial_turn",
    "faucet_close",
    "button_press",
    "door_unlock",
    "handle_press",
    "plate_slide",
    "reach",
)
HAND, HAND_BEFORE = slice(0, 3), slice(18, 21)  # of the state: the hand, and the hand in the frame before
OBJECT, GOAL = slice(4, 7), slice(36, 39)  # of the state: what is to be moved, and where to
HAND_IS_MOVED = ("reach",)  # tasks whose object only stands there
NOISE = 0.4  # standard deviation of what a noisy expert adds to each entry of an action


class Expert:
    """Metaworld's scripted expert of a task, with noise on its actions if wanted.

    Args:
        task: one of `TASKS`.
        noise: standard deviation of what is added to each entry of an action, before clipping.

    Raises:
        ImportError: Metaworld is not installed.
    """

    def __init__(self, task: str, noise: float = 0.0) -> None:
        try:
            policies = importlib.import_module("metaworld.policies")
        except ImportError as error:
            raise ImportError('Metaworld is missing: pip install "dreamgym[metaworld]"') from error
        self._policy = getattr(policies, f"Sawyer{task.title().replace('_', '')}V3Policy")()
        self.noise = noise

    def act(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An action (4,) in [-1, 1] for ``state`` (39,)."""
        action = np.asarray(self._policy.get_action(state.astype(np.float64)), np.float64)
        if self.noise > 0:
            action = action + self.noise * rng.standard_normal(4)
        clipped: np.ndarray = np.clip(action, -1.0, 1.0).astype(np.float32)
        return clipped


def expert(env: Any, rng: np.random.Generator, noise: float = 0.0) -> Act:
    """Metaworld's expert of the task of the episode that ``env`` has just begun."""
    hand = Expert(env.episode_task, noise)
    return lambda obs: hand.act(obs["state"], rng)


class Stray:
    """The expert, interrupted by random walks: it reaches the goal from many sides, and leaves it again."""

    def __init__(self, env: Any, rng: np.random.Generator) -> None:
        self.wander, self.expert, self.rng = RandomWalk(env, rng), Expert(env.episode_task), rng
        self._off, self._left = True, int(rng.integers(5, 40))

    def __call__(self, obs: Sensors) -> np.ndarray:
        """An action (4,)."""
        if self._left == 0:
            self._off = not self._off
            self._left = int(self.rng.integers(5, 30) if self._off else self.rng.integers(40, 90))
        self._left -= 1
        return self.wander(obs) if self._off else self.expert.act(obs["state"], self.rng)


class Clumsy:
    """The expert with an error in the hand's position that it acts on: it misses by centimetres, as cloned policies do.

    A world model or a reward that is trained on hits alone predicts a hit where the hand misses.
    """

    SPREAD = 0.02  # metres in each direction, times 0 to 2 by turns

    def __init__(self, env: Any, rng: np.random.Generator) -> None:
        self.expert, self.rng, self._left = Expert(env.episode_task, NOISE / 2), rng, 0
        self._error = np.zeros(3)

    def __call__(self, obs: Sensors) -> np.ndarray:
        """An action (4,)."""
        if self._left == 0:
            self._error = self.SPREAD * self.rng.uniform(0.0, 2.0) * self.rng.standard_normal(3)
            self._left = int(self.rng.integers(30, 100))
        self._left -= 1
        seen = obs["state"].copy()
        for part in (HAND, HAND_BEFORE):
            seen[part] += self._error
        return self.expert.act(seen, self.rng)


class DistanceShaping:
    """Distances in place of Metaworld's own dense rewards, which read more than the state.

    0.3 (1 - tanh(5 d)) for the hand's distance d (m) to the object, and 0.7 times the share of the object's way to its
    goal that is done since the episode began (-1 where it is twice as far). Where the hand itself is what is to be at
    the goal, it counts as the object, and its distance to the goal as d.

    Args:
        tasks: some of `TASKS`.
        device: of the tensors.
    """

    keys: tuple[str, ...] = ("state",)

    def __init__(self, tasks: Sequence[str], device: torch.device | str) -> None:
        self.hand_is_moved = torch.tensor([task in HAND_IS_MOVED for task in tasks], device=device)

    def reward(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """See `Shaping.reward`."""
        hand_is_moved = self.hand_is_moved[task].unsqueeze(1)
        away = self._distance(start["state"], hand_is_moved).clamp(min=1e-3)
        state = now["state"]
        left = self._distance(state, hand_is_moved)
        aim = torch.where(hand_is_moved, state[:, GOAL], state[:, OBJECT])
        near = 1 - torch.tanh(5 * (state[:, HAND] - aim).norm(dim=1))
        return 0.3 * near + 0.7 * (1 - left / away).clamp(-1, 1)

    @staticmethod
    def _distance(state: Tensor, hand_is_moved: Tensor) -> Tensor:
        """Metres [B] between what is moved and its goal."""
        moved = torch.where(hand_is_moved, state[:, HAND], state[:, OBJECT])
        return (moved - state[:, GOAL]).norm(dim=1)


SUITE = Suite(
    name="metaworld",
    tasks=TASKS,
    action=ActionSpec((-1.0,) * 4, (1.0,) * 4, hold=(0.0, 0.0, 0.0, -1.0)),
    frame_rate=80.0,
    horizon=150,  # the experts need 91 steps at most
    simulator="dreamgym.sims.metaworld:MetaworldEnv",
    extra="metaworld",
    module="metaworld",
    licence="Meta-World MIT, MuJoCo Apache-2.0",
    layouts={"state": (("linear", 39),)},
    measures=(
        Measure("hand", "state", (0, 1, 2), "cm", scale=100.0, moved=0.03),
        Measure("first object", "state", (4, 5, 6), "cm", scale=100.0, moved=0.01),
    ),
    shaping=DistanceShaping,
    operators={
        "expert": expert,
        "noisy": partial(expert, noise=NOISE),
        "stray": Stray,
        "clumsy": Clumsy,
        "random": RandomWalk,
    },
    collectors={"demonstrations": partial(demonstrations, max_steps=200)},
    draws=("state",),
    cameras={"rgb_static": "static"},
    axes=("x", "y", "z", "gripper"),
    settings={"cameras": tuple[str, ...], "image_size": int, "camera_name": str},
)
