"""Options of ``dreamgym action-expert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamgym.cli.bounds import Count, Positive, Seed, Threads
from dreamgym.suites.facts import StoreFacts
from dreamgym_agents.action_expert.config import ExpertConfig, TrainConfig


@dataclass(frozen=True)
class ExpertOptions:
    """What an expert learns from, and how long.

    Attributes:
        store: clip store, of ``dreamgym clips``.
        out: folder of the expert; the run stands beside it, as OUT.run.
        actions_per_frame: control actions between the frames of a clip: the world model's.
        told_task: train a diffusion policy without a world model: it sees the present frame alone and is told the
            task.
        steps: updates in all, those before a resume included.
        batch_size: moments in an update.
        lr: learning rate.
        seed: seed of batches and noise.
        threads: threads of torch; torch's own number where not given.
    """

    store: Path
    out: Path
    actions_per_frame: Count = 4
    told_task: bool = False
    steps: Count = 5000
    batch_size: Count = 64
    lr: Positive = 1e-3
    seed: Seed = 0
    threads: Threads | None = None

    def config(self, facts: StoreFacts) -> ExpertConfig:
        """The expert's config for a clip store's facts.

        Raises:
            ValueError: the store has no camera.
        """
        cameras = [(k, s.shape) for k, s in facts.sensors.items() if s.kind == "image"]
        if not cameras:
            raise ValueError(f"{self.store} has no camera, and an action expert sees nothing else")
        camera, shape = cameras[0]
        told: dict[str, Any] = {"offsets": (0,), "tasks": tuple(facts.tasks)} if self.told_task else {}
        return ExpertConfig(camera, (shape[0], shape[1], shape[2]), facts.action, self.actions_per_frame, **told)

    @property
    def training(self) -> TrainConfig:
        """How it is trained."""
        return TrainConfig(updates=self.steps, batch_size=self.batch_size, lr=self.lr, seed=self.seed)


@dataclass(frozen=True)
class JointOptions:
    """What an expert and a world model learn together from.

    Attributes:
        store: clip store, of ``dreamgym clips``.
        expert: folder of an expert that was trained alone.
        checkpoint: a world model that is driven by instructions: a shipped name, a folder, or hf://organisation/name.
        out: folder of the new expert; the run stands beside it, as OUT.run.
        out_checkpoint: checkpoint folder of the new world model.
        steps: updates of both, those before a resume included.
        batch_size: clips in an update.
        lr: learning rate of the expert.
        refiner_lr: learning rate of the world model.
        seed: seed of batches and noise.
        threads: threads of torch; torch's own number where not given.
    """

    store: Path
    expert: Path
    checkpoint: str
    out: Path
    out_checkpoint: Path
    steps: Count = 500
    batch_size: Count = 4
    lr: Positive = 1e-4
    refiner_lr: Positive = 1e-5
    seed: Seed = 0
    threads: Threads | None = None

    @property
    def training(self) -> TrainConfig:
        """How they are trained."""
        settings: dict[str, Any] = {"joint_updates": self.steps, "joint_batch_size": self.batch_size}
        return TrainConfig(lr=self.lr, refiner_lr=self.refiner_lr, seed=self.seed, **settings)
