"""The contract of a family's recipe: all that `dreamgym.training.train` must know to train a family on any store.

A family's recipe is the ``RECIPE`` of the module ``recipe`` beside its model, the class's attribute ``recipe``, or what
`register_family` was given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from dreamgym.data.store import Episode, EpisodeStore, EpisodeView
from dreamgym.fields import check_numbers
from dreamgym.world_models.base import Config, WorldModel

if TYPE_CHECKING:
    import torch

    from dreamgym.suites.facts import StoreFacts

PRECISIONS = ("fp32", "bf16")
LOGS = ("tensorboard", "wandb")

LossFn = Callable[[WorldModel, dict[str, Tensor], "torch.Generator"], dict[str, Tensor]]
"""A loss as a function of model, batch and source of randomness; returns what `WorldModel.loss` does."""


@dataclass(frozen=True)
class FitConfig:
    """How to train. Defaults of the optimizer are DiWA's Table S.2.

    Attributes:
        steps: updates in all, those before a resume included.
        lr: peak learning rate, reached after ``warmup`` updates of a stage.
        cooldown: updates at the end of a stage over which the rate falls to zero; below 1, that share of the stage.
        weight_decay: decoupled (AdamW).
        eps: AdamW's epsilon.
        betas: AdamW's moment decays.
        grad_clip: largest gradient norm.
        ema: decay of the weights' moving average, or None for none.
        seed: of weights, batches and the noise in every update.
        precision: "fp32", or "bf16" for autocast (twice as fast on CPUs with AMX, and on GPUs).
        compile: torch.compile the loss.
        threads: torch threads for the run, or None to leave them.
        save_every: seconds between saves of progress. The first one comes after 20 seconds.
        log_every: updates between lines of the log.
        eval_every: updates between evaluations on held-out episodes; 0 for one at the end alone.
        log: "tensorboard", or "wandb" for Weights & Biases beside it.
    """

    steps: int = 15_000
    lr: float = 3e-4
    warmup: int = 500
    cooldown: float = 0
    weight_decay: float = 5e-2
    eps: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    grad_clip: float = 100.0
    ema: float | None = None
    seed: int = 0
    precision: str = "fp32"
    compile: bool = False
    threads: int | None = None
    save_every: float = 180.0
    log_every: int = 20
    eval_every: int = 0
    log: str = "tensorboard"

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")
        if self.log not in LOGS:
            raise ValueError(f"log must be one of {LOGS}, got {self.log!r}")
        for name in ("steps", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema, a decay, must lie in [0, 1), got {self.ema}")
        if self.lr <= 0 or self.grad_clip <= 0:
            raise ValueError(f"lr and grad_clip must be positive, got {self.lr} and {self.grad_clip}")
        for name in ("warmup", "cooldown", "weight_decay", "eps", "save_every", "eval_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    def rate_at(self, step: int, steps: int | None = None) -> float:
        """The learning rate as a share of its peak, at update ``step`` (from 0) of a stage of ``steps`` updates."""
        steps = self.steps if steps is None else steps
        scale = min(1.0, (step + 1) / max(1, self.warmup))
        cooldown = int(self.cooldown * steps) if self.cooldown < 1 else self.cooldown
        if cooldown:
            scale = min(scale, max(0.0, (steps - step) / cooldown))
        return scale


@dataclass(frozen=True)
class Windows:
    """Batches: windows of consecutive rows of episodes; see `dreamgym.data.SequenceSampler`.

    Attributes:
        batch_size: windows B.
        length: rows T of a window, one a control step.
        openings: share of windows that begin where an episode does, beside those that happen to.
        balance: None: every window is as likely as any other; "episode": every episode is; or a meta entry's name.
    """

    batch_size: int = 16
    length: int = 32
    openings: float = 0.0
    balance: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.length < 1 or not 0 <= self.openings <= 1:
            raise ValueError(f"batch_size and length of at least 1 and openings in [0, 1] expected, got {self}")


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with an optimizer's settings of their own; None: the run's.

    Attributes:
        parameters: their names, as patterns ("encoder.*"); the first group that matches has a parameter.
        lr, weight_decay, eps, betas: of AdamW.
        grad_clip: largest norm of this group's gradient.
    """

    parameters: tuple[str, ...]
    lr: float | None = None
    weight_decay: float | None = None
    eps: float | None = None
    betas: tuple[float, float] | None = None
    grad_clip: float | None = None


@dataclass(frozen=True)
class Stage:
    """A part of a training run: what is trained, on which loss, for how long. One stage, all of it, is the default.

    A stage begins with a fresh optimizer and a fresh average, from the averaged weights of the stage before.

    Attributes:
        name: for the log.
        share: of the updates that are left beside stages with a fixed number.
        updates: a fixed number of updates instead. The last stage takes whatever remains.
        trains: names of the parameters to train, as patterns; None: those that require gradients as they are.
        frozen: names of parameters that are held still, as patterns; wins over ``trains``.
        groups: parameters with settings of their own; all others have the run's.
        loss: name of the model's method, or a function.
        ema: decay of the average; None: the run's; 0: none.
        windows: batches of this stage where they differ from the run's: fields of `Windows`.
        begin: changes the model at the stage's start (adapters, unfreezing); called again, on fresh weights, by a
            resumed run before it loads its own, so it may depend on nothing but the model.
        end: changes it back at the stage's end (merges adapters). After the last stage the model has the parameters
            that the family's ``from_config`` gives it.
    """

    name: str = "train"
    share: float = 1.0
    updates: int | None = None
    trains: tuple[str, ...] | None = None
    frozen: tuple[str, ...] = ()
    groups: tuple[ParameterGroup, ...] = ()
    loss: str | LossFn = "loss"
    ema: float | None = None
    windows: Mapping[str, Any] = field(default_factory=dict)
    begin: Callable[[WorldModel], None] | None = None
    end: Callable[[WorldModel], None] | None = None

    def __post_init__(self) -> None:
        if self.share <= 0 or (self.updates is not None and self.updates < 1):
            raise ValueError(f"stage {self.name!r}: share > 0 and updates >= 1, got {self.share} and {self.updates}")


@dataclass(frozen=True)
class Preset:
    """Sizes that go together.

    Attributes:
        model: fields of the family's config.
        fit: fields of `FitConfig`.
        windows: the batches.
    """

    model: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    windows: Windows = field(default_factory=Windows)


@dataclass(frozen=True)
class Example:
    """A store and a model small enough to train in seconds: what the tests of every family run on.

    Attributes:
        keys: of the store, name -> (shape of one row, dtype).
        info: of the store.
        episodes: (rows, meta) each; some with split "val".
        changes: fields of the family's config.
        settings: fields of `FitConfig` and `Windows`.
    """

    keys: Mapping[str, tuple[tuple[int, ...], str]]
    info: Mapping[str, Any]
    episodes: Sequence[tuple[Episode, Mapping[str, Any]]]
    changes: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: str | Path) -> EpisodeStore:
        """Makes the store in the folder ``path``."""
        store = EpisodeStore.create(path, self.keys, self.info)
        store.append([(rows, dict(meta)) for rows, meta in self.episodes])
        return store


class Recipe(ABC):
    """How a family is trained. Subclass it in ``families/NAME/recipe.py`` and name an instance ``RECIPE``.

    Attributes:
        config_class: the family's frozen config dataclass; ``--set`` changes its fields.
        presets: by name, "paper" and "tiny" among them.
    """

    config_class: ClassVar[type]
    presets: ClassVar[Mapping[str, Preset]]

    @abstractmethod
    def config(self, facts: StoreFacts, preset: str, changes: Mapping[str, Any]) -> Config:
        """The model's config for a store: sensors, action and rates from the facts, sizes from the preset.

        Args:
            facts: what the store holds.
            preset: a name among ``presets``.
            changes: fields of the config, which win.

        Raises:
            ValueError: the store lacks what the family reads.
        """

    @abstractmethod
    def keys(self, config: Any) -> tuple[str, ...]:
        """Sensors of a batch, beside "action"."""

    @abstractmethod
    def example(self) -> Example:
        """A tiny store and model."""

    def suits(self, facts: StoreFacts) -> bool:
        """Whether a store like this is trained with this family where none is named."""
        return False

    def source(self, model: Any, episodes: EpisodeView) -> tuple[EpisodeView, tuple[str, ...]]:
        """What batches are drawn from, and which of its keys beside "action": the store's own sensors.

        A family of frozen encoders gives a view with features that were computed once (`dreamgym.data.features`).
        """
        return episodes, self.keys(model.config)

    def prepare(self, model: Any, episodes: EpisodeView) -> None:
        """Sets what training does not: statistics of the training episodes, as buffers of the fresh model."""
        return

    def adapted(self, config: Any, facts: StoreFacts, robot: str | None, order: str | None) -> Mapping[str, Any]:
        """Fields of the config, all of them, of a model that is to learn a new robot; its stages are of adaptation.

        Args:
            config: of the model as it is.
            facts: of the new robot's store.
            robot: what to call it; None: as the store does.
            order: which stages; None: the family's own.

        Raises:
            ValueError: the family has one robot, or the store does not fit the model.
        """
        raise ValueError(f"{type(config).__name__}: models of this family know one robot and cannot be taught another")

    def stages(self, config: Any, fit: FitConfig) -> tuple[Stage, ...]:
        """The run's stages, in order."""
        return (Stage(),)

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            ValueError: there is none.
        """
        if name not in self.presets:
            raise ValueError(f"unknown preset {name!r}: choose one of {sorted(self.presets)}")
        return self.presets[name]
