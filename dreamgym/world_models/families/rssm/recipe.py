"""How an RSSM is trained: DiWA's sizes and sizes for two CPU cores, on cameras, proprioception and vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.suites.facts import StoreFacts
from dreamgym.world_models.examples import moving_dot
from dreamgym.world_models.families.rssm.config import TINY, RSSMConfig
from dreamgym.world_models.families.rssm.model import RSSM
from dreamgym.world_models.recipe import Example, Preset, Recipe, Windows


class RSSMRecipe(Recipe):
    """One stage; the variant ("vision", "hybrid", "state") says which sensors are read and which are drawn."""

    config_class = RSSMConfig
    presets: ClassVar[Mapping[str, Preset]] = {
        "paper": Preset(windows=Windows(batch_size=50, length=50)),  # Table S.2 to the letter
        "tiny": Preset(
            model=TINY,
            fit={"lr": 8e-4, "weight_decay": 1e-2, "warmup": 300, "ema": 0.999},
            windows=Windows(batch_size=16, length=32),
        ),
    }

    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> RSSMConfig:
        """Every sensor of the store; without cameras the variant is "state"."""
        images = {k: s.shape for k, s in facts.sensors.items() if s.kind == "image"}
        known = [] if facts.suite is None else [k for k in facts.suite.layouts if k in facts.layouts]
        vectors = {k: facts.layouts[k] for k in dict.fromkeys([*known, *facts.layouts])}
        felt = None if facts.suite is None else facts.suite.proprioception
        given = {
            "variant": "vision" if images else "state",
            "images": images,
            "vectors": vectors,
            "proprioception": (felt,) if felt in vectors else tuple(vectors),
            "action": facts.action,
            "frame_rate": facts.frame_rate,
        }
        return RSSMConfig(**{**self.preset(preset).model, **given, **changes})

    def keys(self, config: RSSMConfig) -> tuple[str, ...]:
        """What is read and what is drawn."""
        return tuple(dict.fromkeys([*config.inputs, *config.targets]))

    def suits(self, facts: StoreFacts) -> bool:
        """Stores with cameras."""
        return any(sensor.kind == "image" for sensor in facts.sensors.values())

    def prepare(self, model: RSSM, episodes: EpisodeView) -> None:
        """Standardises vector sensors by the training episodes."""
        keys = self.keys(model.config)
        model.fit_statistics(gather(episodes, [k for k in model.config.vectors if k in keys]))

    def example(self) -> Example:
        """A camera that shows a dot, and where it is; actions move it."""
        keys = {"rgb": ((16, 16, 3), "uint8"), "place": ((2,), "float32"), "action": ((2,), "float32")}
        rng = np.random.default_rng(0)
        sizes = {
            "variant": "hybrid", "deter": 16, "stoch": 4, "classes": 4, "units": 16, "embed": 16, "vector_units": 16,
            "ensemble_units": 4, "encoder_depth": 2, "decoder_depth": 2,
        }  # fmt: skip
        return Example(
            keys=keys,
            info={"action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]}, "frame_rate": 10.0},
            episodes=[(moving_dot(rng), {"split": "val" if i == 3 else "train"}) for i in range(4)],
            changes=sizes,
            settings={"batch_size": 2, "length": 5, "warmup": 2, "precision": "fp32"},
        )


def gather(view: EpisodeView, keys: list[str], limit: int = 200_000) -> dict[str, Tensor]:
    """Rows of vector keys over episodes, [N, d] each, at most about ``limit`` rows evenly spread."""
    stride = max(1, view.num_steps // limit)
    rows: dict[str, list[np.ndarray]] = {k: [] for k in keys}
    if keys:
        for i in range(len(view)):
            for name, values in view.episode(i, keys).items():
                rows[name].append(np.array(values[::stride]))
    return {k: torch.from_numpy(np.concatenate(v)) for k, v in rows.items()}


RECIPE = RSSMRecipe()
