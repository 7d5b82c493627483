"""What of a prediction is compared with the recorded frame, and in which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dreamgym.evaluation.making.measures import STD, StateReader, camera_label, readable, squared_error, state_error
from dreamgym.evaluation.making.windows import Window
from dreamgym.suites import Measure
from dreamgym.suites.base import Layout
from dreamgym.types import State

MOVES = 2e-3
"""An entry moves if its change a row is beyond this share of its spread, root mean square."""


@dataclass
class Yardstick:
    """Errors of decoded sensors against recorded ones, each by name and [B].

    Attributes:
        reader: reads vectors off a model's state.
        cameras: images that are compared.
        vectors: vector sensors that are compared.
        measures: the suite's; those that the vectors have are used.
        training: mean training frame by sensor.
        spread: standard deviation and change a row of each vector, [d] each (`windows.statistics`).
        layouts: segments of the vectors: Euler angles wrap round, and are left out of a vector's error.
    """

    reader: StateReader
    cameras: tuple[str, ...]
    vectors: tuple[str, ...]
    measures: Sequence[Measure]
    training: Mapping[str, Tensor]
    spread: Mapping[str, tuple[Tensor, Tensor]]
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {k: self.spread[k][0] for k in self.vectors}
        self.measures = tuple(readable(self.measures, sizes))
        self._moves = {k: self._moving_entries(k) for k in self.vectors}

    def _moving_entries(self, key: str) -> Tensor:
        std, change = self.spread[key]
        wraps = [kind == "euler" for kind, size in self.layouts.get(key, ()) for _ in range(size)]
        plain = ~torch.tensor(wraps or [False] * len(std))
        return ((change > MOVES * std) & plain).nonzero().flatten()

    @property
    def keys(self) -> tuple[str, ...]:
        """Sensors that windows must hold."""
        return (*self.cameras, *self.vectors)

    @property
    def units(self) -> dict[str, tuple[str, bool, str]]:
        """Unit, whether higher is better, and label of each error by name, in the order of tables."""
        out = {k: ("dB", True, camera_label(k)) for k in self.cameras}
        out |= {m.name: (m.unit, m.higher_is_better, m.label or m.name) for m in self.measures}
        return out | {k: (STD, False, f"{k}, all entries that move") for k in self.vectors if len(self._moves[k])}

    def recorded(self, window: Window, frame: int) -> dict[str, Tensor]:
        """The recorded frame."""
        return window.sensors(frame, self.keys)

    def mean(self, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean training frame, once for each of B windows; images in [0, 1]."""
        means = {k: self.training[k] / 255 if k in self.cameras else self.training[k] for k in like}
        return {k: means[k].to(v.device).expand_as(v) for k, v in like.items()}

    def decoded(self, state: State) -> dict[str, Tensor]:
        """What the model shows of a state: images in [0, 1], vectors in their own units."""
        images = self.reader.model.decode(state, self.cameras) if self.cameras else {}
        return images | self.reader(state)

    def errors(self, guess: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Squared error of images, the suite's measures, and vectors' errors in standard deviations.

        Args:
            guess: sensors [B, ...]; images float32 in [0, 1], or uint8.
            truth: the recorded frame.
        """
        out = {}
        for key in self.cameras:
            if key in guess:
                image = guess[key].float() / 255 if guess[key].dtype == torch.uint8 else guess[key]
                out[key] = squared_error(image, truth[key])
        for measure in self.measures:
            if measure.key in guess:
                out[measure.name] = measure.error(guess, truth)
        for key in self.vectors:
            if key in guess and len(self._moves[key]):
                out[key] = self._standardised(key, guess[key], truth[key])
        return out

    def distances(self, guess: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One number a kind for how wrong a prediction is: "image", "state" (measures), "vectors" (deviations)."""
        errors = self.errors(guess, truth)
        out = {}
        if self.cameras:
            out["image"] = torch.stack([errors[k] for k in self.cameras]).mean(0)
        if self.measures:
            out["state"] = state_error(self.measures, guess, truth)
        if vectors := [errors[k] for k in self.vectors if k in errors]:
            out["vectors"] = torch.stack(vectors).mean(0)
        return out

    def has_moved(self, before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of each measure, whether the real thing has changed, bool [B]."""
        return {m.name: m.has_moved(before, now) for m in self.measures}

    def _standardised(self, key: str, guess: Tensor, truth: Tensor) -> Tensor:
        entries = self._moves[key].to(truth.device)
        scale = self.spread[key][0].to(truth.device)[entries]
        return ((guess - truth)[:, entries].abs() / scale).mean(1)
