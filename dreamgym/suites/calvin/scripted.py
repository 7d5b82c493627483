"""Scripted policies from bad to good: CALVIN's waypoint skills with errors of a chosen size, acting on decoded state.

They need a world model that decodes robot_obs and scene_obs (``obs="state"``), and stand in for trained policies where
a set of different ones is wanted: to measure a dream before any agent was trained in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.suites.calvin.play import draw_style
from dreamgym.suites.calvin.skills import SkillRun
from dreamgym.suites.calvin.skills_engine import POSITION_SCALE, ROTATION_SCALE, Hand, View, Waypoint
from dreamgym.suites.calvin.skills_layout import LAYOUTS

ROBOT, SCENE = 15, 24
MAX_STEPS = 10**6


@dataclass
class _Attempt:
    """One env's skill under way."""

    view: View
    hand: Hand
    run: SkillRun
    gripper: float = 1.0
    acted: bool = False


class ScriptedPolicy:
    """Tries one task by a script.

    Args:
        task: one of DiWA's eight.
        miss_share: share of the episodes in which it reaches for a wrong place.
        noise: standard deviation of Gaussian noise on its actions, in units of the action.
        scene: layout that it knows.
        seed: of its own variations.
    """

    obs = "state"

    def __init__(
        self, task: str, miss_share: float = 0.0, noise: float = 0.0, scene: str = "playtable", seed: int = 0
    ) -> None:
        self.task, self.miss_share, self.noise, self.scene, self.seed = task, miss_share, noise, scene, seed

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> dict[str, Any]:
        """Nothing under way yet."""
        return {"attempts": [None] * num_envs, "rng": np.random.default_rng(self.seed)}

    def act(
        self, obs: Tensor, carry: dict[str, Any], fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Actions [B, 7] for states [B, 39].

        Raises:
            ValueError: the state is not robot_obs and scene_obs.
        """
        if obs.shape[1] != ROBOT + SCENE:
            raise ValueError(
                f"a scripted policy reads robot_obs and scene_obs, {ROBOT + SCENE} numbers, but the state has "
                f"{obs.shape[1]}: use a world model that decodes both"
            )
        attempts, rng = carry["attempts"], carry["rng"]
        state, out = obs.cpu().numpy().astype(np.float64), np.zeros((len(obs), 7), np.float32)
        for i, begins in enumerate(fresh.tolist()):
            seen = {"robot_obs": state[i, :ROBOT], "scene_obs": state[i, ROBOT:]}
            if begins:
                attempts[i] = self._begin(seen, rng)
            out[i] = self._act(attempts[i], seen, rng)
        return torch.from_numpy(out).to(obs.device), carry

    def _begin(self, seen: dict[str, np.ndarray], rng: np.random.Generator) -> _Attempt:
        view, hand = View(LAYOUTS[self.scene]), Hand(rng)
        view.update(seen)
        hand.sync(view)
        style = draw_style(rng, miss=bool(rng.random() < self.miss_share))
        return _Attempt(view, hand, SkillRun(self.task, hand, view, rng, style, MAX_STEPS))

    def _act(self, attempt: _Attempt, seen: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        view, hand, run = attempt.view, attempt.hand, attempt.run
        view.update(seen)
        if attempt.acted:
            run.settle()
        attempt.acted = True
        if run.done:  # it has done what it meant to, and stays there
            action = hand.act(view, Waypoint(hand.reference.copy(), attempt.gripper), run.style)
        else:
            action = run.act()
        attempt.gripper = float(action[6])
        noisy = np.clip(action + np.append(self.noise * rng.normal(size=6), 0.0), -1, 1)
        # The hand keeps a copy of the simulator's target pose, which only knows executed actions.
        hand.target += (noisy[:3] - action[:3]) * POSITION_SCALE
        hand.target_euler += (noisy[3:6] - action[3:6]) * ROTATION_SCALE
        return noisy.astype(np.float32)
