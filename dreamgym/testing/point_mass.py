"""A point on a square: the smallest world that has everything, with dynamics that can be computed by hand.

The point moves by ``gain * action[:2]`` and stops at the walls; the third entry of the action is a two-valued switch
that turns a lamp on or off. `PointMassEnv` is the real simulator, `PointMassModel` a world model of it (exact, or
slightly wrong, noisy or broken on request), `PointMassReward` three tasks. `point_mass_checkpoint` saves it all as a
real checkpoint. Tests, documentation and users' own experiments run on it in milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from dreamgym.envs.core.actions import action_space
from dreamgym.envs.core.starts import StartBank
from dreamgym.fields import convert, from_json
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.rewards.registry import register_reward
from dreamgym.suites import Suite, register_suite
from dreamgym.testing.points import GAIN, LAYOUTS, MEASURES, SENSORS, SIZE, TASKS, PointModel, draw, point_starts
from dreamgym.training.checkpoint import save
from dreamgym.types import ActionSpec, State, WorldModelSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.registry import register_family

SIMULATOR = {"id": "point_mass", "kwargs": {}}
ACTION = ActionSpec(low=(-1.0, -1.0, -1.0), high=(1.0, 1.0, 1.0), binary=(2,), hold=(0.0, 0.0, -1.0))


@dataclass(frozen=True)
class PointMassConfig:
    """Configures a `PointMassModel`.

    Attributes:
        noise: standard deviation of what imagination adds to the position each step.
        history: observations that ``start`` reads.
        vector: decode ``robot_obs`` too (a "state head").
        uncertainty_limit: the calibrated limit to write in the spec.
        breaks_above: imagination emits NaN where x exceeds this: for testing what a broken model does. None: never.
    """

    noise: float = 0.0
    history: int = 2
    vector: bool = True
    uncertainty_limit: float | None = 1.2
    breaks_above: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def tiny(cls) -> PointMassConfig:
        """The default: there is no smaller one."""
        return cls()


class PointMassModel(PointModel):
    """A world model of `PointMassEnv`; its one parameter, the gain, can be trained."""

    family: ClassVar[str] = "point_mass"

    def __init__(self, config: PointMassConfig | None = None) -> None:
        super().__init__()
        self.config: PointMassConfig = config or PointMassConfig()
        self.spec = WorldModelSpec(
            family=self.family,
            observations=dict(SENSORS),
            action=ACTION,
            feature_shape=(3,),
            decodable=("rgb_static", "robot_obs") if self.config.vector else ("rgb_static",),
            history=self.config.history,
            frame_rate=10.0,
            uncertainty_unit="distance from the centre",
            uncertainty_limit=self.config.uncertainty_limit,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PointMassModel:
        """A new model from the JSON form of its config."""
        return cls(from_json(PointMassConfig, config))

    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        step = action[:, 0] if action.dim() == 3 else action
        position = state["position"] + self.gain * step[:, :2]
        if self.config.noise > 0:
            noise = torch.randn(position.shape, generator=generator, device=position.device)
            position = position + self.config.noise * noise
        position, lamp = position.clamp(-1, 1), (step[:, 2] > 0).float()
        if self.config.breaks_above is not None:
            broken = position[:, :1] > self.config.breaks_above
            position = torch.where(broken, torch.full_like(position, torch.nan), position)
        return {"position": position, "lamp": lamp}

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        position, action = batch["robot_obs"][..., :2].float(), batch["action"]
        predicted = (position[:, :-1] + self.gain * action[:, :-1, :2]).clamp(-1, 1)
        loss = (predicted - position[:, 1:]).square().mean()
        return {"loss": loss, "gain": self.gain.detach()}


class PointMassReward(RewardModel):
    """Reaching x >= 0.5, reaching y >= 0.5, and lighting the lamp; memory holds the position at the start."""

    kind: ClassVar[str] = "point_mass"
    sharpness = 20.0

    def __init__(self, tasks: Sequence[str] = TASKS) -> None:
        super().__init__()
        unknown = [t for t in tasks if t not in TASKS]
        if unknown:
            raise ValueError(f"unknown tasks {unknown}; the point mass knows {list(TASKS)}")
        self.tasks = tuple(tasks)
        self.register_buffer("thresholds", torch.full((len(self.tasks),), 0.5))

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        return {"start": model.features(state).clone()}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        margin = model.features(state) - 0.5
        order = torch.tensor([TASKS.index(t) for t in self.tasks], device=task.device)
        return torch.sigmoid(self.sharpness * margin.gather(1, order[task].unsqueeze(1)).squeeze(1))

    def to_config(self) -> dict[str, Any]:
        return {"tasks": list(self.tasks)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PointMassReward:
        """From what `to_config` gave."""
        return cls(convert(config["tasks"], tuple[str, ...], "tasks"))


class PointMassEnv(gym.Env[Any, np.ndarray]):
    """The real simulator that `PointMassModel` models, with snapshots and a task oracle, as the twin needs them."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}
    tasks = TASKS

    def __init__(self, task: str | None = None, horizon: int | None = None, render_mode: str | None = None) -> None:
        self.task, self.horizon, self.render_mode = task, horizon, render_mode
        self.observation_space = spaces.Dict(
            {
                "rgb_static": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "robot_obs": spaces.Box(-1, 1, (3,), np.float32),
            }
        )
        self.action_space = action_space(ACTION)
        self._position, self._lamp, self._steps, self._closed = np.zeros(2), 0.0, 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self._check_open()
        super().reset(seed=seed)
        options = options or {}
        self.task = options.get("task", self.task)
        self._position, self._lamp, self._steps = self.np_random.uniform(-0.4, 0.4, 2), 0.0, 0
        if options.get("snapshot") is not None:
            self.restore(options["snapshot"])
        return self.observe(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self._check_open()
        self.move(action)
        self._steps += 1
        info = self._info()
        truncated = self.horizon is not None and self._steps >= self.horizon
        return self.observe(), float(info["is_success"]), info["is_success"], truncated, info

    def move(self, action: np.ndarray) -> None:
        """One control action."""
        action = ACTION.prepare(action)
        self._position = np.clip(self._position + GAIN * action[:2], -1, 1)
        self._lamp = float(action[2] > 0)

    def _check_open(self) -> None:
        if self._closed:
            raise gym.error.ClosedEnvironmentError("this env was closed; make a new one")

    def _info(self) -> dict[str, Any]:
        done = (self._position[0] >= 0.5, self._position[1] >= 0.5, self._lamp > 0.5)
        tasks = tuple(t for t, d in zip(TASKS, done, strict=True) if d)
        return {"is_success": self.task in tasks, "tasks": tasks}

    def observe(self) -> dict[str, np.ndarray]:
        """What the sensors show now."""
        vector = np.array([*self._position, self._lamp], np.float32)
        return {"rgb_static": self.render(), "robot_obs": vector}

    def render(self) -> np.ndarray:
        """The camera, [16, 16, 3] uint8."""
        position, lamp = torch.tensor(self._position, dtype=torch.float32)[None], torch.tensor([self._lamp])
        image = (draw(position, lamp)[0] * 255).round().to(torch.uint8)
        return image.permute(1, 2, 0).numpy().copy()

    def close(self) -> None:
        """Refuses further steps and resets."""
        self._closed = True

    def snapshot(self) -> np.ndarray:
        """Everything that decides how the simulation goes on, [3] float64."""
        return np.array([*self._position, self._lamp])

    def restore(self, snapshot: np.ndarray) -> None:
        """Goes back to a snapshot."""
        self._position, self._lamp = np.array(snapshot[:2], np.float64), float(snapshot[2])


def point_mass_starts(num: int = 64, seed: int = 0) -> StartBank:
    """A bank of starts near the middle, lamp off: half "train", half "val", tasks in turn."""
    return point_starts(num, seed, splits=2)


def point_mass_checkpoint(path: str | os.PathLike[str], config: PointMassConfig | None = None) -> Path:
    """Saves model, reward, starts and simulator as a checkpoint folder; returns it."""
    starts = point_mass_starts()
    return save(
        path,
        PointMassModel(config),
        rewards={"success": PointMassReward()},
        starts=starts.to_tensors(),
        starts_meta={"tasks": list(starts.tasks)},
        simulator=SIMULATOR,
    )


SUITE = Suite(
    name="point_mass",
    tasks=TASKS,
    action=ACTION,
    frame_rate=10.0,
    horizon=64,
    simulator="dreamgym.testing.point_mass:PointMassEnv",
    layouts=LAYOUTS,
    measures=MEASURES,
    proprioception="robot_obs",
)

register_suite(SUITE)
register_family("point_mass", PointMassModel)
register_reward(PointMassReward.kind, PointMassReward.from_config)
