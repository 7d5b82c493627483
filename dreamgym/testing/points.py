"""What the toy worlds share: a point in a square with a lamp, seen by one camera and one vector sensor.

Their dynamics are exact, so a dream and its simulator agree; whatever differs is the library's fault.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dreamgym.data.store import Episode
from dreamgym.envs.core.starts import StartBank
from dreamgym.rewards.base import RewardModel
from dreamgym.suites import Measure
from dreamgym.training.checkpoint import save
from dreamgym.types import Observation, ObservationSpec, State
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.recipe import Example, Preset, Recipe, Windows

GAIN = 0.1
SIZE = 16
TASKS = ("reach_right", "reach_top", "turn_on_lamp")
SENSORS = {"rgb_static": ObservationSpec("image", (3, SIZE, SIZE)), "robot_obs": ObservationSpec("vector", (3,))}
LAYOUTS = {"robot_obs": (("linear", 3),)}
MEASURES = (
    Measure("position", "robot_obs", (0, 1), "m", moved=0.05),
    Measure("lamp", "robot_obs", (2,), "share right", kind="flag"),
)


def draw(position: Tensor, lamp: Tensor) -> Tensor:
    """The camera: [B, 2] in [-1, 1] and [B] in {0, 1} -> [B, 3, 16, 16] in [0, 1]; a soft red dot, green when lit."""
    axis = torch.linspace(-1, 1, SIZE, device=position.device)
    along_x = torch.exp(-((axis - position[:, :1]) ** 2) / 0.02)
    along_y = torch.exp(-((axis - position[:, 1:2]) ** 2) / 0.02)
    dot = along_y[:, :, None] * along_x[:, None, :]
    lit = lamp[:, None, None]
    return torch.stack([dot * (1 - lit), dot * lit, 0.2 + 0.0 * dot], 1)


class PointModel(WorldModel):
    """A point and a lamp; a subclass says how they move. Its one parameter, the gain, can be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(GAIN))

    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        self._check(history, (self.spec.history,))
        return self.seen(history["robot_obs"][:, -1])

    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        self._check(obs, (), len(action))
        return self.seen(obs["robot_obs"])

    def _check(self, obs: Observation, time: tuple[int, ...], batch: int | None = None) -> None:
        """ValueError unless every sensor of the spec is there, of shape [B, *time, ...]."""
        for key, sensor in self.spec.observations.items():
            if key not in obs:
                raise ValueError(f"{type(self).__name__} reads {list(self.spec.observations)}; {key!r} is missing")
            batch, want = len(obs[key]) if batch is None else batch, (*time, *sensor.shape)
            if tuple(obs[key].shape) != (batch, *want):
                raise ValueError(f"{key!r}: expected {(batch, *want)} = [B, ...], got {tuple(obs[key].shape)}")

    def seen(self, robot_obs: Tensor) -> State:
        """The state that the vector sensor [B, 3] shows: all of it."""
        obs = robot_obs.float()
        return {"position": obs[:, :2].clone(), "lamp": obs[:, 2].clone()}

    def features(self, state: State) -> Tensor:
        return torch.cat([state["position"], state["lamp"].unsqueeze(1)], 1)

    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        self.check_keys(keys)
        out = {}
        if "rgb_static" in keys:
            out["rgb_static"] = draw(state["position"], state["lamp"])
        if "robot_obs" in keys:
            out["robot_obs"] = self.features(state)
        return out

    def uncertainty(self, state: State) -> Tensor:
        return state["position"].square().sum(1).sqrt()

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        loss = (self.gain - GAIN).square() + 0.0 * batch["robot_obs"].float().mean()
        return {"loss": loss, "gain": self.gain.detach()}


@dataclass(frozen=True)
class PointConfig:
    """Configures a toy.

    Attributes:
        history: frames that `start` takes; only the last is read.
        noise: standard deviation of the position's noise, a frame.
    """

    history: int = 1
    noise: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def tiny(cls) -> PointConfig:
        """The default: there is no smaller one."""
        return cls()

    @classmethod
    def paper(cls) -> PointConfig:
        """The same: no paper describes it."""
        return cls()


class PointRecipe(Recipe):
    """Trains a toy on stores of its sensors.

    Args:
        action_dim: entries of the recorded control action.
        suite: name of the toy's suite.
    """

    config_class = PointConfig
    presets = {
        name: Preset({}, {"lr": 1e-2, "warmup": 1, "weight_decay": 0.0}, Windows(4, 12)) for name in ("tiny", "paper")
    }

    def __init__(self, action_dim: int, suite: str) -> None:
        self.action_dim, self.suite = action_dim, suite

    def config(self, facts: Any, preset: str, changes: Any) -> Any:
        return self.config_class(**changes)

    def keys(self, config: Any) -> tuple[str, ...]:
        return tuple(SENSORS)

    def example(self) -> Example:
        """Episodes of random actions whose sensors do not move: enough to train the gain on."""
        rng = np.random.default_rng(0)
        keys = {
            "action": ((self.action_dim,), "float32"),
            "robot_obs": ((3,), "float32"),
            "rgb_static": ((SIZE, SIZE, 3), "uint8"),
        }
        episodes: list[tuple[Episode, dict[str, Any]]] = []
        for i in range(6):
            rows: Episode = {
                "action": rng.uniform(-1, 1, (24, self.action_dim)).astype(np.float32),
                "robot_obs": np.tile(rng.uniform(-0.4, 0.4, (1, 3)), (24, 1)).astype(np.float32),
                "rgb_static": np.zeros((24, SIZE, SIZE, 3), np.uint8),
            }
            episodes.append((rows, {"split": ("train", "train", "val")[i % 3], "task": TASKS[i % 3]}))
        return Example(keys, {"suite": self.suite}, episodes, {}, {"steps": 4})


def point_starts(num: int = 96, seed: int = 0, splits: int = 3) -> StartBank:
    """A bank of starts near the middle, lamp off: tasks in turn, and the first ``splits`` of "train", "val", "test"."""
    # Rounded to fp16, as a saved bank is, so that a snapshot and its state agree to the last digit.
    position = (torch.rand((num, 2), generator=torch.Generator().manual_seed(seed)) * 0.8 - 0.4).half().float()
    index = torch.arange(num)
    snapshot = torch.cat([position, torch.zeros(num, 1)], 1).double()
    states = {"position": position.half(), "lamp": torch.zeros(num, dtype=torch.float16)}
    return StartBank(states, TASKS, index % len(TASKS), (index // len(TASKS)) % splits, snapshot)


def save_toy(path: str | os.PathLike[str], model: WorldModel, reward: RewardModel, suite: str) -> Path:
    """Saves a toy with reward, starts and the simulator of its suite; returns the folder."""
    return save(
        path,
        model,
        rewards={"success": reward},
        starts=point_starts().to_tensors(),
        starts_meta={"tasks": list(TASKS)},
        simulator={"id": suite, "kwargs": {}},
    )
