"""Options of ``dreamgym action-expert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamgym.suites.facts import StoreFacts
from dreamgym_agents.action_expert.config import ExpertConfig, TrainConfig


@dataclass(frozen=True)
class ExpertOptions:
    """What an expert learns from, and how long.

    Attributes:
        clips: the clip store (``dreamgym clips``).
        out: folder of the expert; the run stands beside it, as OUT.run.
        actions_per_frame: control actions between the frames of a clip: the world model's.
        updates: of the expert alone.
        batch_size: moments an update.
        lr: learning rate.
        seed: of batches and noise.
        threads: torch threads.
    """

    clips: Path
    out: Path
    actions_per_frame: int = 4
    updates: int = 5000
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    threads: int | None = None

    def config(self, facts: StoreFacts) -> ExpertConfig:
        """The expert's config for a clip store's facts.

        Raises:
            ValueError: the store has no camera.
        """
        cameras = [(k, s.shape) for k, s in facts.sensors.items() if s.kind == "image"]
        if not cameras:
            raise ValueError(f"{self.clips} has no camera, and an action expert sees nothing else")
        camera, shape = cameras[0]
        return ExpertConfig(camera, (shape[0], shape[1], shape[2]), facts.action, self.actions_per_frame)

    @property
    def training(self) -> TrainConfig:
        """How it is trained."""
        return TrainConfig(updates=self.updates, batch_size=self.batch_size, lr=self.lr, seed=self.seed)


@dataclass(frozen=True)
class JointOptions:
    """What an expert and a world model learn together from.

    Attributes:
        clips: the clip store.
        expert: folder of an expert that was trained alone.
        world_model: checkpoint of a world model that is driven by instructions.
        out: folder of the new expert; the run stands beside it, as OUT.run.
        out_world_model: folder of the new checkpoint.
        updates: of both.
        batch_size: clips an update.
        lr, refiner_lr: learning rates of expert and world model.
        seed: of batches and noise.
        threads: torch threads.
    """

    clips: Path
    expert: Path
    world_model: str
    out: Path
    out_world_model: Path
    updates: int = 500
    batch_size: int = 4
    lr: float = 1e-4
    refiner_lr: float = 1e-5
    seed: int = 0
    threads: int | None = None

    @property
    def training(self) -> TrainConfig:
        """How they are trained."""
        settings: dict[str, Any] = {"joint_updates": self.updates, "joint_batch_size": self.batch_size}
        return TrainConfig(lr=self.lr, refiner_lr=self.refiner_lr, seed=self.seed, **settings)
