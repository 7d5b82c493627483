"""An exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averages the parameters of ``model`` that are trained; the rest, and buffers, are the model's own.

    The decay is warmed up, ``min(decay, (1 + n) / (10 + n))`` after n updates, so that early averages do not remember
    the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"an EMA's decay must lie in [0, 1), got {decay}")
        self.decay = decay
        self.updates = 0
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._names = list(trained)
        self._shadow = [p.detach().clone() for p in trained.values()]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Moves the average towards the present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._shadow, [p.detach() for p in self._parameters(model)], 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Within the block ``model`` holds the averaged weights."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        for shadow, parameter in zip(self._shadow, self._parameters(model), strict=True):
            held = parameter.detach().clone()
            parameter.copy_(shadow)
            shadow.copy_(held)

    def _parameters(self, model: nn.Module) -> list[nn.Parameter]:
        by_name = dict(model.named_parameters())
        return [by_name[name] for name in self._names]

    def state_dict(self) -> dict[str, Tensor]:
        """Averaged parameters by name."""
        return dict(zip(self._names, self._shadow, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor], updates: int) -> None:
        """Restores what `state_dict` gave, after ``updates`` updates."""
        if set(state) != set(self._names):
            raise ValueError("these averaged weights belong to another model: start a new run directory")
        for name, shadow in zip(self._names, self._shadow, strict=True):
            shadow.copy_(state[name])
        self.updates = updates
