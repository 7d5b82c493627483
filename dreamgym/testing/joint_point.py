"""A toy that predicts all frames of a chunk jointly, in one sampling, as a diffusion world model does."""

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
    SENSORS,
    PointConfig,
    PointModel,
    PointRecipe,
    save_toy,
)
from dreamgym.types import State, WorldModelSpec
from dreamgym.world_models.registry import register_family


class JointPointModel(PointModel):
    """The point mass, whose F frames come from one call of `sample`; each is a view of the window's tensors."""

    family: ClassVar[str] = "joint_point"
    recipe: ClassVar[PointRecipe] = PointRecipe(3, "joint_point")

    def __init__(self, config: PointConfig | None = None) -> None:
        super().__init__()
        self.config: PointConfig = config or PointConfig(history=3)
        self.spec = WorldModelSpec(
            family=self.family,
            observations=dict(SENSORS),
            action=ACTION,
            feature_shape=(3,),
            decodable=("rgb_static", "robot_obs"),
            history=self.config.history,
            frame_rate=10.0,
            uncertainty_unit="distance from the centre",
            uncertainty_limit=1.2,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> JointPointModel:
        """A new model from the JSON form of its config."""
        return cls(from_json(PointConfig, config))

    def sample(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Positions [B, F, 2] and lamps [B, F] of a whole window: the one place where the model is sampled."""
        noise = torch.zeros(*actions.shape[:2], 2, device=actions.device)
        if self.config.noise > 0:
            noise = self.config.noise * torch.randn(noise.shape, generator=generator, device=noise.device)
        position, path = state["position"], []
        for step, error in zip(actions.unbind(1), noise.unbind(1), strict=True):
            position = (position + self.gain * step[:, :2] + error).clamp(-1, 1)
            path.append(position)
        return torch.stack(path, 1), (actions[..., 2] > 0).float()

    def unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        positions, lamps = self.sample(state, actions, generator)
        return [{"position": positions[:, t], "lamp": lamps[:, t]} for t in range(actions.shape[1])]

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        return self.unroll(state, action.unsqueeze(1) if action.dim() == 2 else action, generator)[0]


def joint_point_checkpoint(path: str | os.PathLike[str], config: PointConfig | None = None) -> Path:
    """Saves model, reward, starts and simulator as a checkpoint folder; returns it."""
    return save_toy(path, JointPointModel(config), PointMassReward(), "joint_point")


register_suite(replace(SUITE, name="joint_point"))
register_family("joint_point", JointPointModel)
