"""Stages of a run: when each begins, and what it trains with which optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.training.ema import EMA
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.recipe import FitConfig, ParameterGroup, Stage


@dataclass(frozen=True)
class Span:
    """A stage and the updates ``start`` .. ``stop - 1`` that are its own."""

    stage: Stage
    index: int
    start: int
    stop: int


def plan(stages: Sequence[Stage], steps: int) -> list[Span]:
    """Divides ``steps`` updates among stages: fixed numbers first, the rest by shares, the last takes what remains.

    Raises:
        ValueError: no stage, or two of one name.
    """
    names = [stage.name for stage in stages]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"a run needs stages, each with a name of its own, got {names}")
    rest = max(0, steps - sum(stage.updates or 0 for stage in stages))
    shares = sum(stage.share for stage in stages if stage.updates is None)
    spans, end = [], 0.0
    for index, stage in enumerate(stages):
        begin = min(round(end), steps)
        end += rest * stage.share / shares if stage.updates is None else stage.updates
        stop = steps if index == len(stages) - 1 else min(round(end), steps)
        spans.append(Span(stage, index, begin, stop))
    return spans


def change(hook: Callable[[WorldModel], None] | None, model: WorldModel, seed: int) -> None:
    """Runs a stage's ``begin`` or ``end``; what it draws is a function of ``seed`` and leaves torch's state alone."""
    if hook is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            hook(model)


def rebuild(model: WorldModel, stages: Sequence[Stage], index: int) -> None:
    """Gives a fresh model the parameters that it has in stage ``index``, for progress of that stage to be loaded."""
    for stage in stages[:index]:
        change(stage.begin, model, 0)
        change(stage.end, model, 0)
    change(stages[index].begin, model, 0)


class LossModule(nn.Module):
    """Makes a loss a forward pass, which is what data-parallel wrappers and compilers hook into."""

    def __init__(self, model: WorldModel, stage: Stage, precision: str) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.mixed = precision == "bf16"

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The stage's loss."""
        # Not accelerate's own mixed precision: that is one choice for the whole process.
        with torch.autocast(generator.device.type, torch.bfloat16, enabled=self.mixed):
            if callable(self.stage.loss):
                return self.stage.loss(self.model, batch, generator)
            losses: dict[str, Tensor] = getattr(self.model, self.stage.loss)(batch, generator)
            return losses


def check_losses(losses: Any, stage: str, model: str) -> None:
    """Looks at what a loss returned, without waiting for its values.

    Args:
        losses: what the stage's loss returned.
        stage: its name, for the message.
        model: the model's class, for the message.

    Raises:
        ValueError: no dict of scalar tensors, no "loss" among them, or one that depends on no trained parameter.
    """
    said = f"the loss of {model} (stage {stage!r})"
    expected = 'expected a dict of scalar tensors by name, among them "loss", which is minimised'
    if not isinstance(losses, Mapping) or "loss" not in losses:
        got = f"the keys {sorted(losses)}" if isinstance(losses, Mapping) else _shape(losses)
        raise ValueError(f"{said} returned {got}: {expected}")
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
            mend = "take its mean" if isinstance(value, Tensor) and value.dim() else expected
            raise ValueError(f"{said} returned {_shape(value)} as {name!r}, not a scalar tensor of floats: {mend}")
    if not losses["loss"].requires_grad:
        raise ValueError(f'{said} returned a "loss" that depends on no trained parameter: leave detach and no_grad out')


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {value.dtype} {list(value.shape)}"
    return f"{value!r} ({type(value).__name__})"


class ActiveStage:
    """A stage under way: its parameters, optimizer and average. The model has been changed by ``begin`` already.

    Args:
        span: the stage and its updates.
        model: on its device.
        config: of the run.
        accelerator: what wraps loss and optimizer.
        own: for each parameter, by name, whether it requires gradients where the stage does not say.
    """

    def __init__(
        self, span: Span, model: WorldModel, config: FitConfig, accelerator: Any, own: dict[str, bool]
    ) -> None:
        self.span, self.config, self._accelerator = span, config, accelerator
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(_trains(span.stage, name, own.get(name, parameter.requires_grad)))
        groups = _groups(model, span.stage)
        if not groups:
            raise ValueError(f"stage {span.stage.name!r} trains no parameter of {type(model).__name__}")
        self._groups = [(p, _or(g.lr, config.lr), _or(g.grad_clip, config.grad_clip)) for p, g in groups]
        optimizer = torch.optim.AdamW([_options(p, g, config) for p, g in groups], fused=True)
        loss: Any = LossModule(model, span.stage, config.precision)
        if config.compile:
            loss = torch.compile(loss)
        accelerator.free_memory()
        self.loss, self._optimizer = accelerator.prepare(loss, optimizer)
        decay = _or(span.stage.ema, config.ema)
        self.ema = EMA(model, decay) if decay else None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer under accelerate's wrapper."""
        inner: torch.optim.Optimizer = self._optimizer.optimizer
        return inner

    def rate(self, step: int) -> float:
        """Learning rate of the run's update ``step``, as a share of its peak."""
        return self.config.rate_at(step - self.span.start, self.span.stop - self.span.start)

    def update(self, model: WorldModel, loss: Tensor, step: int) -> float:
        """One update; returns the gradient's norm. Where that is not finite the weights stay."""
        for group, (_, lr, _) in zip(self.optimizer.param_groups, self._groups, strict=True):
            group["lr"] = lr * self.rate(step)
        self._accelerator.backward(loss)
        norms = [float(self._accelerator.clip_grad_norm_(p, clip)) for p, _, clip in self._groups]
        norm = norms[0] if len(norms) == 1 else math.sqrt(sum(n * n for n in norms))
        if math.isfinite(norm):
            self._optimizer.step()
            if self.ema is not None:
                self.ema.update(model)
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    @contextmanager
    def averaged(self, model: WorldModel) -> Iterator[None]:
        """Within the block the model holds its averaged weights, where an average is kept."""
        with self.ema.applied(model) if self.ema is not None else nullcontext():
            yield


def _or(value: float | None, default: Any) -> Any:
    return default if value is None else value


def _matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _trains(stage: Stage, name: str, own: bool) -> bool:
    chosen = own if stage.trains is None else _matches(stage.trains, name)
    return chosen and not _matches(stage.frozen, name)


def _groups(model: WorldModel, stage: Stage) -> list[tuple[list[nn.Parameter], ParameterGroup]]:
    """Trained parameters by group; those of no group stand in the last one."""
    groups = [*stage.groups, ParameterGroup(("*",))]
    members: list[list[nn.Parameter]] = [[] for _ in groups]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members[next(i for i, g in enumerate(groups) if _matches(g.parameters, name))].append(parameter)
    for group, found in zip(stage.groups, members, strict=False):
        if not found:
            raise ValueError(f"stage {stage.name!r}: no trained parameter matches {group.parameters}")
    return [(found, group) for found, group in zip(members, groups, strict=True) if found]


def _options(parameters: list[nn.Parameter], group: ParameterGroup, config: FitConfig) -> dict[str, Any]:
    names = ("lr", "weight_decay", "eps", "betas")
    return {"params": parameters, **{n: _or(getattr(group, n), getattr(config, n)) for n in names}}
