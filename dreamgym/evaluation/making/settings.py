"""How much is spent on finishing a checkpoint, and the defaults for a model's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from dreamgym.evaluation.making.fidelity import FidelityConfig
from dreamgym.fields import check_names, check_numbers
from dreamgym.rewards import SuccessConfig
from dreamgym.rewards.fit import SuccessFitConfig
from dreamgym.training.bank import BankConfig
from dreamgym.world_models.base import WorldModel

WEIGHTS = {"int8": torch.int8, "float16": torch.float16, "float32": torch.float32}
SMALL = 128
"""Features up to which a model counts as one of a small state: its rewards are small networks that take larger steps
(one on a few dozen numbers does, beside one on an RSSM's latents), its starts need no more frames than its history, and
its weights are stored in float16."""


@dataclass(frozen=True)
class FinishConfig:
    """How much is spent on finishing; the defaults take about ten minutes on two cores for a tiny RSSM.

    Attributes:
        probe_steps: batches of 16 windows of 32 rows that the probe is trained on.
        rewards: fields of `SuccessFitConfig` that differ from the default for the model's size (see `SMALL`).
        classifier: the same of `SuccessConfig`, its sizes.
        bank: the same of `BankConfig`.
        fidelity: fields of `FidelityConfig`.
        twin_per_task: rollouts a task of scripted operators in the simulator; 0 for none (and no demo sequences).
        demo_sequences: held-out action sequences that ship with the checkpoint.
        weights: the type that parameters are stored in, "int8" (the world model's matrices; the rest as float16),
            "float16" or "float32"; None: by the model's size. What is measured is measured with weights so rounded.
        seed: of everything that does not have its own.
    """

    probe_steps: int = 300
    rewards: Mapping[str, Any] = field(default_factory=dict)
    classifier: Mapping[str, Any] = field(default_factory=dict)
    bank: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    twin_per_task: int = 16
    demo_sequences: int = 8
    weights: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.weights is not None and self.weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {sorted(WEIGHTS)}, got {self.weights!r}")
        if min(self.probe_steps, self.demo_sequences) < 1 or self.twin_per_task < 0:
            raise ValueError(f"probe_steps and demo_sequences >= 1 and twin_per_task >= 0 expected, got {self}")
        for name, kind in SECTIONS.items():
            check_names(kind, getattr(self, name))

    @classmethod
    def quick(cls) -> FinishConfig:
        """A minute or two: to see that everything works, not to ship."""
        return cls(
            probe_steps=40,
            rewards={"epochs": 5, "demo_passes": 1, "play_windows": 32},
            bank={"num_train": 32, "num_val": 8, "num_test": 8},
            fidelity={"windows": 32},
            twin_per_task=2,
        )


SECTIONS: dict[str, type] = {
    "rewards": SuccessFitConfig, "classifier": SuccessConfig, "bank": BankConfig, "fidelity": FidelityConfig,
}  # fmt: skip
"""Fields of `FinishConfig` that hold fields of another config."""


@dataclass(frozen=True)
class Settings:
    """A `FinishConfig` made whole for a model and its tasks."""

    rewards: SuccessFitConfig
    classifier: SuccessConfig
    bank: BankConfig
    fidelity: FidelityConfig
    weights: str

    @classmethod
    def of(cls, config: FinishConfig, model: WorldModel, tasks: tuple[str, ...]) -> Settings:
        size = int(np.prod(model.spec.feature_shape))
        if size <= SMALL:
            rewards = SuccessFitConfig(epochs=45, batch_size=128, learning_rate=1e-3, weight_decay=1e-2, demo_passes=3)
            # At a width of 64 the edge of Metaworld's "reach" blurs: F1 0.85 instead of 0.94.
            classifier = SuccessConfig(tasks, size, (128, 128), (128,))
            bank = BankConfig(context=model.spec.history, offsets=(0,))
        else:
            rewards, classifier, bank = SuccessFitConfig.tiny(), SuccessConfig.tiny(tasks, size), BankConfig()
        return cls(
            replace(rewards, **config.rewards),
            replace(classifier, **config.classifier),
            replace(bank, **config.bank),
            FidelityConfig(**config.fidelity),
            config.weights or ("float16" if size <= SMALL else "int8"),
        )
