"""How an MLP world model is trained (WARPD, section 4): vector sensors, short windows, many of them openings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.suites.facts import StoreFacts
from dreamgym.world_models.families.mlp.config import PAPER, TINY, TINY_SINGLE, MLPConfig
from dreamgym.world_models.families.mlp.model import MLPWorldModel
from dreamgym.world_models.recipe import Example, Preset, Recipe, Windows

SENSOR = "state"

OPENINGS = 0.4
"""Share of windows that begin where an episode does: every dream does, and of windows drawn anywhere hardly one."""

TINY_FIT: Mapping[str, Any] = {
    "steps": 3000, "lr": 2e-3, "weight_decay": 1e-4, "warmup": 50, "ema": 0.995, "cooldown": 0.2, "precision": "fp32",
}  # fmt: skip
TINY_WINDOWS = Windows(batch_size=32, length=14, openings=OPENINGS, balance="episode")


class MLPRecipe(Recipe):
    """One stage on the windows of a vector sensor, or of several that are joined.

    "tiny_single" is "tiny" as WARPD trains a policy with it: one member, one step ahead.

    WARPD's learning rate is 1e-4 in its section 4 and 3e-4 in its Table 9; "paper" takes the text's, for it speaks of
    all experiments.
    """

    config_class = MLPConfig
    presets: ClassVar[Mapping[str, Preset]] = {
        "paper": Preset(
            model=PAPER,
            fit={"steps": 3000, "lr": 1e-4, "weight_decay": 0.0, "warmup": 1, "cooldown": 0.2, "precision": "fp32"},
            windows=Windows(batch_size=32, length=33, openings=OPENINGS, balance="episode"),
        ),
        "tiny": Preset(model=TINY, fit=TINY_FIT, windows=TINY_WINDOWS),
        "tiny_single": Preset(model=TINY_SINGLE, fit=TINY_FIT, windows=TINY_WINDOWS),
    }

    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> MLPConfig:
        """The sensor that is named, or that called "state"; else all vectors, joined. Of a single one also what the
        suite knows of its entries.

        Raises:
            ValueError: no such sensor, or no vector at all.
        """
        sizes = {k: s.shape[0] for k, s in facts.sensors.items() if s.kind == "vector"}
        joined = () if "sensor" in changes or SENSOR in sizes or len(sizes) < 2 else tuple(sizes.items())
        joined = tuple((name, size) for name, size in changes.get("joined", joined))
        sensor = changes.get("sensor", next(iter(sizes)) if len(sizes) == 1 else SENSOR)
        read = [name for name, _ in joined] or [sensor]
        if unknown := [name for name in read if name not in sizes]:
            told = f"it has no {unknown[0]!r}" if sizes else "there is none"
            raise ValueError(f"an MLP reads vector sensors; of this store's, {list(sizes)}, {told}: --set sensor=NAME")
        hints = {} if joined else facts.hints.get(sensor, {})
        given = {
            "obs_dim": sum(sizes[name] for name in read),
            "action": facts.action,
            "frame_rate": facts.frame_rate,
            "sensor": sensor,
            "still": tuple(hints.get("position", ())),
            "body": tuple(hints.get("body", ())),
            "joined": joined,
        }
        return MLPConfig(**{**self.preset(preset).model, **given, **changes})

    def keys(self, config: MLPConfig) -> tuple[str, ...]:
        """The sensors that the observation is made of."""
        return tuple(config.parts)

    def suits(self, facts: StoreFacts) -> bool:
        """Stores of vectors alone."""
        return all(sensor.kind == "vector" for sensor in facts.sensors.values())

    def prepare(self, model: MLPWorldModel, episodes: EpisodeView) -> None:
        """Standardises the observation and its changes by the training episodes."""
        model.fit_statistics(*statistics(episodes, tuple(model.config.parts)))

    def example(self) -> Example:
        """A point that goes where the action pushes it."""
        rng, episodes = np.random.default_rng(0), []
        for i in range(6):
            action = rng.uniform(-1, 1, (24, 2)).astype(np.float32)
            place = np.cumsum(np.concatenate([rng.normal(0, 1, (1, 2)), 0.3 * action[:-1]]), 0).astype(np.float32)
            episodes.append(({"state": place, "action": action}, {"split": "val" if i == 5 else "train"}))
        return Example(
            keys={"state": ((2,), "float32"), "action": ((2,), "float32")},
            info={"action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "frame_rate": 10.0},
            episodes=episodes,
            changes={"hidden": (16,), "ensemble": 2, "unroll": 2},
            settings={"batch_size": 4, "length": 6, "warmup": 2},
        )


def statistics(view: EpisodeView, sensors: Sequence[str] = (SENSOR,)) -> tuple[Tensor, Tensor]:
    """Observations [N, O] and one-step changes [M, O] of all episodes."""
    episodes = (view.episode(i, list(sensors)) for i in range(len(view)))
    rows = [torch.from_numpy(np.concatenate([episode[name] for name in sensors], -1)) for episode in episodes]
    return torch.cat(rows), torch.cat([r.diff(dim=0) for r in rows])


RECIPE = MLPRecipe()
