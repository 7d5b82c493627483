"""A toy that two robots share, with five control actions a frame.

The cart's action is a velocity and a switch, (x, y, lamp). The crane's has other entries and bounds, (right, left, up,
lamp). Both move the same point, a fifth of the point mass's step each control action.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.actions import action_space
from dreamgym.fields import from_json
from dreamgym.suites import register_suite
from dreamgym.testing.point_mass import SUITE, PointMassEnv, PointMassReward
from dreamgym.testing.points import (
    GAIN,
    SENSORS,
    PointConfig,
    PointModel,
    PointRecipe,
    save_toy,
)
from dreamgym.types import ActionSpec, State, WorldModelSpec
from dreamgym.world_models.registry import register_family

ACTIONS_PER_FRAME = 5
ROBOTS = {
    "cart": ActionSpec((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), binary=(2,), hold=(0.0, 0.0, -1.0)),
    "crane": ActionSpec((0.0, 0.0, -1.0, -1.0), (1.0, 1.0, 1.0, 1.0), binary=(3,), hold=(0.5, 0.5, 0.0, -1.0)),
}


def velocity(robot: str, action: Any) -> tuple[Any, Any]:
    """Velocity [..., 2] and lamp switch [...] of a robot's control actions [..., A]; tensors or arrays."""
    if robot == "cart":
        return action[..., :2], action[..., 2]
    stack = torch.stack if isinstance(action, Tensor) else np.stack
    return stack([action[..., 0] - action[..., 1], action[..., 2]], -1), action[..., 3]


class TwoRobotsModel(PointModel):
    """Exact dynamics of `TwoRobotsEnv` for either robot."""

    family: ClassVar[str] = "two_robots"
    recipe: ClassVar[PointRecipe] = PointRecipe(3, "two_robots")

    def __init__(self, config: PointConfig | None = None) -> None:
        super().__init__()
        self.config: PointConfig = config or PointConfig(history=2)
        self.spec = WorldModelSpec(
            family=self.family,
            observations=dict(SENSORS),
            action=ROBOTS["cart"],
            feature_shape=(3,),
            decodable=("rgb_static", "robot_obs"),
            history=self.config.history,
            frame_rate=20.0,
            actions_per_frame=ACTIONS_PER_FRAME,
            uncertainty_unit="distance from the centre",
            uncertainty_limit=1.2,
            embodiments=dict(ROBOTS),
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TwoRobotsModel:
        """A new model from the JSON form of its config."""
        return cls(from_json(PointConfig, config))

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        moved, switch = velocity(self.spec.embodiment or "cart", action)
        position = state["position"]
        for step in moved.unbind(1):
            position = (position + self.gain / ACTIONS_PER_FRAME * step).clamp(-1, 1)
        if self.config.noise > 0:
            noise = torch.randn(position.shape, generator=generator, device=position.device)
            position = (position + self.config.noise * noise).clamp(-1, 1)
        return {"position": position, "lamp": (switch[:, -1] > 0).float()}


class TwoRobotsEnv(PointMassEnv):
    """The simulator: `PointMassEnv` moved by one of the two robots.

    Args:
        robot: "cart" or "crane".
        kwargs: as for `PointMassEnv`.
    """

    def __init__(self, robot: str = "cart", **kwargs: Any) -> None:
        if robot not in ROBOTS:
            raise ValueError(f"unknown robot {robot!r}; known: {list(ROBOTS)}")
        super().__init__(**kwargs)
        self.robot, self.action_space = robot, action_space(ROBOTS[robot])

    def move(self, action: np.ndarray) -> None:
        """One control action."""
        moved, switch = velocity(self.robot, ROBOTS[self.robot].prepare(action))
        self._position = np.clip(self._position + GAIN / ACTIONS_PER_FRAME * moved, -1, 1)
        self._lamp = float(switch > 0)


def two_robots_checkpoint(path: str | os.PathLike[str], config: PointConfig | None = None) -> Path:
    """Saves model, reward, starts and simulator as a checkpoint folder; returns it."""
    return save_toy(path, TwoRobotsModel(config), PointMassReward(), "two_robots")


register_suite(
    replace(
        SUITE,
        name="two_robots",
        action=ROBOTS["cart"],
        frame_rate=20.0,
        horizon=100,
        simulator="dreamgym.testing.two_robots:TwoRobotsEnv",
        robots=ROBOTS,
    )
)
register_family("two_robots", TwoRobotsModel)
