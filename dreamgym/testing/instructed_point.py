"""A toy that is driven by instructions: a step is a clip of four frames, two control actions a frame.

Its twin carries an instruction out through `ClipFollower`, an executor that reads where the clip goes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from dreamgym.fields import from_json
from dreamgym.suites import register_suite
from dreamgym.testing.point_mass import ACTION, SUITE, PointMassReward
from dreamgym.testing.points import (
    GAIN,
    SENSORS,
    TASKS,
    PointConfig,
    PointModel,
    PointRecipe,
    save_toy,
)
from dreamgym.types import InstructionSpec, State, WorldModelSpec
from dreamgym.world_models.registry import register_family

SENTENCES = ("go right", "go up", "light the lamp")
CLIP, ACTIONS_PER_FRAME = 4, 2
STEP = 0.1
"""Metres that an instruction moves the point each frame."""
INSTRUCTIONS = dict(zip(TASKS, SENTENCES, strict=True))


class InstructedPointModel(PointModel):
    """Moves the point by 0.1 m a frame to the right or up, or lights the lamp, which the other two put out."""

    family: ClassVar[str] = "instructed_point"
    recipe: ClassVar[PointRecipe] = PointRecipe(3, "instructed_point")

    def __init__(self, config: PointConfig | None = None) -> None:
        super().__init__()
        self.config: PointConfig = config or PointConfig()
        self.spec = WorldModelSpec(
            family=self.family,
            observations=dict(SENSORS),
            action=InstructionSpec(SENTENCES, CLIP, ACTION),
            feature_shape=(3,),
            decodable=("rgb_static", "robot_obs"),
            history=self.config.history,
            frame_rate=10.0,
            actions_per_frame=ACTIONS_PER_FRAME,
            uncertainty_unit="distance from the centre",
            uncertainty_limit=1.2,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InstructedPointModel:
        """A new model from the JSON form of its config."""
        return cls(from_json(PointConfig, config))

    def unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        direction = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], device=actions.device)[actions]
        lamp, position, frames = (actions == 2).float(), state["position"], []
        for _ in range(CLIP):
            position = (position + STEP * direction).clamp(-1, 1)
            frames.append({"position": position, "lamp": lamp.clone()})
        return frames

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        return self.unroll(state, action, generator)[0]


class ClipFollower:
    """An executor: goes where the frames of the clip are, one after the other.

    It acts once a frame (``chunk`` of two control actions), from the features at the frame before.
    """

    chunk = ACTIONS_PER_FRAME

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> dict[str, Any]:
        return {"clip": [], "frame": 0}

    def follow(self, carry: dict[str, Any], fresh: Tensor, clip: list[Tensor]) -> dict[str, Any]:
        """Takes the imagined clip: features [B, 3] of each frame."""
        return {"clip": clip, "frame": 0}

    def act(
        self, obs: Tensor, carry: dict[str, Any], fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        goal = carry["clip"][carry["frame"]]
        move = (goal[:, :2] - obs[:, :2]) / (GAIN * ACTIONS_PER_FRAME)
        action = torch.cat([move, 2 * goal[:, 2:] - 1], 1)
        return action.unsqueeze(1).expand(-1, self.chunk, -1), {**carry, "frame": carry["frame"] + 1}


def instructed_point_checkpoint(path: str | os.PathLike[str], config: PointConfig | None = None) -> Path:
    """Saves model, reward, starts and simulator as a checkpoint folder; returns it."""
    return save_toy(path, InstructedPointModel(config), PointMassReward(), "instructed_point")


register_suite(replace(SUITE, name="instructed_point", instructions=INSTRUCTIONS))
register_family("instructed_point", InstructedPointModel)
