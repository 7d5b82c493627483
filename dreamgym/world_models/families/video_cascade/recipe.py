"""How a video cascade is trained: autoencoder, monolithic backbone, adapters of the preview, refiner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch

from dreamgym.data.clips import CLIP, TASK
from dreamgym.data.store import EpisodeView
from dreamgym.fields import from_json
from dreamgym.suites.facts import StoreFacts
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.video_cascade.config import PAPER, TINY, VideoCascadeConfig, half
from dreamgym.world_models.families.video_cascade.loss import LOSSES
from dreamgym.world_models.families.video_cascade.model import VideoCascade
from dreamgym.world_models.families.video_cascade.sizes import AutoencoderSize, BackboneSize, TextSize
from dreamgym.world_models.recipe import Example, FitConfig, LossFn, ParameterGroup, Preset, Recipe, Stage, Windows

SHARES = {"autoencoder": 0.5, "monolithic": 0.25, "preview": 0.1, "refiner": 0.15}
"""Of the updates, where a run has all stages."""

TRAINS = {
    "autoencoder": ("autoencoder.*",),
    "monolithic": ("backbone.*", "text.*"),
    "preview": ("backbone.*lora_*",),
    "refiner": ("refiner.*",),
}
AUTOENCODER_RATE = 2e-3
AUTOENCODER_BATCH = 2
MEAN_FRAMES = 2000
"""Frames at most that the mean image is taken of."""


class VideoCascadeRecipe(Recipe):
    """Trains on a clip store (``dreamgym clips``, with ``--windows`` where actions drive it); the autoencoder alone on
    any store with the camera.

    The paper names no rate, decay or betas that its text kept; gradients are clipped at 0.1 in its preview stage.
    """

    config_class = VideoCascadeConfig
    presets: ClassVar[Mapping[str, Preset]] = {
        "paper": Preset(
            model=PAPER,
            fit={"steps": 20_000, "lr": 1e-4, "warmup": 100, "grad_clip": 0.1, "weight_decay": 1e-3},
            windows=Windows(batch_size=4, length=193),
        ),
        "tiny": Preset(
            model=TINY,
            fit={
                "steps": 20_000, "lr": 1e-3, "warmup": 50, "cooldown": 0.2, "weight_decay": 1e-3, "betas": (0.9, 0.99),
                "grad_clip": 1.0, "ema": 0.995,
            },
            windows=Windows(batch_size=8, length=65),
        ),
    }  # fmt: skip

    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> VideoCascadeConfig:
        """One camera, and the sentences of the store's tasks, or its actions (``driven_by``).

        Raises:
            ValueError: the store has no camera or no tasks, or the camera is not its.
        """
        images = {k: s.shape for k, s in facts.sensors.items() if s.kind == "image"}
        told = changes.get("driven_by", "sentences") == "sentences"
        if not images or (told and not facts.tasks):
            raise ValueError(
                f"a video cascade learns from clips of tasks that a camera shows, this store has cameras "
                f"{list(images)} and tasks {list(facts.tasks)}: make a clip store of demonstrations with dreamgym clips"
            )
        camera = changes.get("camera", next(iter(images)))
        if camera not in images:
            raise ValueError(f"camera must be one of {list(images)}, got {camera!r}")
        channels, height, width = images[camera]
        image = (channels, height, width)
        sizes = {"image": image, "low": half(image)} if preset == "tiny" else {}
        given = {
            "camera": camera,
            "tasks": {t: facts.sentences(t) for t in facts.tasks} if told else {},
            "control": facts.action,
            "frame_rate": facts.frame_rate,
        }
        return from_json(VideoCascadeConfig, {**self.preset(preset).model, **sizes, **given, **changes})

    def keys(self, config: VideoCascadeConfig) -> tuple[str, ...]:
        """The camera and what a clip is of."""
        if config.stages == ("autoencoder",):
            return (config.camera,)
        return (config.camera, CLIP) if config.follows_actions else (config.camera, TASK, CLIP)

    def prepare(self, model: VideoCascade, episodes: EpisodeView) -> None:
        """Centres pixels on the mean image of the training frames, unless the autoencoder is pretrained."""
        if model.config.weights is None:
            model.autoencoder.fit_pixels(mean_image(episodes, model.config.camera))

    def stages(self, config: VideoCascadeConfig, fit: FitConfig) -> tuple[Stage, ...]:
        """The config's stages."""
        return tuple(_stage(name, config) for name in config.stages)

    def example(self) -> Example:
        """A dot that goes right or down, as it is told."""
        rng = np.random.default_rng(0)
        keys = {
            "rgb": ((16, 16, 3), "uint8"), "action": ((2,), "float32"), TASK: ((), "int64"), CLIP: ((), "int64"),
        }  # fmt: skip
        size = asdict(BackboneSize(heads=2, head_dim=16, layers=1, time_dim=16, latent_scale=1.0))
        return Example(
            keys=keys,
            info={
                "action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "frame_rate": 10.0,
                "tasks": ["go_right", "go_down"],
            },
            episodes=[(_told_dot(rng, i), {"split": "val" if i == 5 else "train"}) for i in range(6)],
            changes={
                "frames": 5, "actions_per_frame": 2, "steps": 2, "lora_rank": 2, "refiner_steps": 2,
                "autoencoder": asdict(AutoencoderSize((4, 4, 4), 1, 4, 2, stride=2)), "backbone": size, "refiner": size,
                "text": asdict(TextSize(width=16, head_dim=8, hidden=16, layers=1, heads=2, length=4, vocabulary=16)),
            },
            settings={"batch_size": 2, "length": 9, "warmup": 1, "precision": "fp32"},
        )  # fmt: skip


def mean_image(episodes: EpisodeView, camera: str) -> torch.Tensor:
    """[C, H, W] in [0, 1], over frames spread evenly over the episodes."""
    stride = max(1, episodes.num_steps // MEAN_FRAMES)
    rows = [episodes.episode(i, [camera])[camera][i % stride :: stride] for i in range(len(episodes))]
    count = sum(len(r) for r in rows)
    total = sum(r.sum(0, dtype=np.float64) for r in rows)
    return torch.from_numpy(total / max(1, count) / 255).permute(2, 0, 1).float()


def as_loss(stage: str) -> LossFn:
    """The loss of a stage, as the loop calls it."""

    def loss(model: WorldModel, batch: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
        assert isinstance(model, VideoCascade)
        return LOSSES[stage](model, batch, generator)

    return loss


def forget_latents(model: WorldModel) -> None:
    """Before a stage: latents of another autoencoder are no use."""
    assert isinstance(model, VideoCascade)
    model.latents.clear()


def _stage(name: str, config: VideoCascadeConfig) -> Stage:
    windows: dict[str, Any] = {"length": config.rows}
    groups: tuple[ParameterGroup, ...] = ()
    if name == "autoencoder":
        stride = config.autoencoder.stride
        windows = {"length": 2 * stride * config.actions_per_frame + 1, "batch_size": AUTOENCODER_BATCH}
        windows["length"] = min(windows["length"], config.rows)
        groups = (ParameterGroup(("*",), lr=AUTOENCODER_RATE),)
    trains = TRAINS[name]
    if name == "preview" and config.follows_actions and config.weights is not None:
        trains += ("text.*", "backbone.moved.*")  # no pretrained model knows them
    return Stage(
        name, share=SHARES[name], trains=trains, frozen=("*lora_*",) if name == "monolithic" else (),
        groups=groups, loss=as_loss(name), windows=windows, begin=forget_latents, end=forget_latents,
    )  # fmt: skip


def _told_dot(rng: np.random.Generator, number: int, rows: int = 9) -> dict[str, np.ndarray]:
    task = number % 2
    image, start = np.zeros((rows, 16, 16, 3), np.uint8), rng.integers(2, 6, 2)
    for t in range(rows):
        row, column = start + (0, t) if task == 0 else start + (t, 0)
        image[t, row : row + 2, column : column + 2] = 255
    return {
        "rgb": image,
        "action": np.zeros((rows, 2), np.float32),
        TASK: np.full(rows, task),
        CLIP: np.full(rows, number),
    }


RECIPE = VideoCascadeRecipe()
