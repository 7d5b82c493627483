"""What predictions are measured by: errors of images and of simulator state, and their curves over the horizon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.suites import Measure, suite, suites
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

STD = "std"
"""Unit of a vector's error: standard deviations of each entry in the training data, mean over entries that move."""
WRONG_FLAG = 0.1
"""What a flag on the wrong side adds to a state's error beside distances in the sensors' own units (metres)."""


def squared_error(image: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error [B] of images [B, C, H, W] in [0, 1] against uint8 ones."""
    return (image - truth.to(image) / 255).pow(2).flatten(1).mean(1)


def psnr(mse: np.ndarray | float) -> np.ndarray:
    """Decibels of a mean squared error on images in [0, 1]; capped at 60 dB, beyond what 8 bits can show."""
    return -10 * np.log10(np.maximum(mse, 1e-6))


def measures_of(simulator: Mapping[str, Any] | None) -> tuple[Measure, ...]:
    """Measures of the suite that a checkpoint's simulator {"id", ...} belongs to; () where it belongs to none."""
    name = (simulator or {}).get("id")
    return suite(name).measures if name in suites() else ()


def readable(measures: Iterable[Measure], sensors: Mapping[str, Tensor | np.ndarray]) -> list[Measure]:
    """Those measures whose entries ``sensors`` [..., d] have."""

    def has(measure: Measure) -> bool:
        size = sensors[measure.key].shape[-1] if measure.key in sensors else 0
        return all(-size <= i < size for i in measure.entries)

    return [m for m in measures if has(m)]


def state_error(measures: Sequence[Measure], predicted: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Tensor:
    """One number [B] for a state's error: the sum of its measures in the sensors' own units, `WRONG_FLAG` a wrong flag.

    Args:
        measures: at least one.
        predicted: sensors [B, d].
        truth: the same of the simulator.
    """
    parts = []
    for measure in measures:
        error = measure.error(predicted, truth)
        parts.append(WRONG_FLAG * (1 - error) if measure.kind == "flag" else error / measure.scale)
    return torch.stack(parts).sum(0)


def camera_label(name: str) -> str:
    """A camera as tables and plots call it ("rgb_static": static camera)."""
    return f"{name.removeprefix('rgb_')} camera"


def format_value(value: float | None, unit: str, digits: int = 1) -> str:
    """A figure for people: metres as centimetres, shares as percent; "-" for none.

    Args:
        value: in ``unit``.
        unit: of a `Curve`.
        digits: after the point, of centimetres and decibels; a percentage has one fewer, other units three figures.
    """
    if value is None or np.isnan(value):
        return "-"
    if unit == "m":
        return f"{100 * value:.{digits}f} cm"
    if unit.startswith("share"):
        return f"{100 * value:.{digits - 1}f}%"
    return f"{value:.{digits}f} dB" if unit == "dB" else f"{value:.3g} {unit}".strip()


class StateReader:
    """Reads vector sensors off a model's state: decoded where the model can, else through a probe.

    Args:
        model: the world model.
        probe: a module features [B, Z] -> vector sensors [B, d] by name, or None.
        keys: which sensors; None: all that can be read.
    """

    def __init__(self, model: WorldModel, probe: Any = None, keys: Iterable[str] | None = None) -> None:
        self.model, self.probe = model, probe
        wanted = None if keys is None else set(keys)
        vectors = [k for k in model.spec.decodable if k not in model.spec.cameras]
        self.decoded = tuple(k for k in vectors if wanted is None or k in wanted)
        self._wanted = wanted
        self._used_probe = False

    def __call__(self, state: State) -> dict[str, Tensor]:
        """Sensors [B, d] by name; empty with neither a decoded vector nor a probe."""
        out = self.model.decode(state, self.decoded) if self.decoded else {}
        if self.probe is not None:
            read = self.probe(self.model.features(state).flatten(1))
            missing = {k: v for k, v in read.items() if k not in out and (self._wanted is None or k in self._wanted)}
            self._used_probe |= bool(missing)
            out |= missing
        return out

    @property
    def source(self) -> str:
        """Where what was read so far came from: "decoded", "probe" (some of it) or "none"."""
        return "probe" if self._used_probe else "decoded" if self.decoded else "none"


@dataclass(frozen=True)
class Curve:
    """One measure over the horizon, of the model and of its baselines, lists of one length.

    Attributes:
        unit: of the values.
        higher_is_better: which way is good.
        model: of the model's open-loop prediction.
        repeat: of repeating the last real frame.
        mean: of the mean training frame.
        held: of the state that the model itself reads off the context, held from then on: what repeating the last frame
            comes to for one who sees it as the model does, while ``repeat`` knows the simulator's own state. Empty for
            cameras.
        steps: control steps after which each value was measured; empty: 1, 2, 3, ...
        label: of what was measured, for tables.
    """

    unit: str
    higher_is_better: bool
    model: list[float]
    repeat: list[float]
    mean: list[float]
    held: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    label: str = ""

    def __post_init__(self) -> None:
        if not self.steps:
            object.__setattr__(self, "steps", list(range(1, len(self.model) + 1)))

    def beats(self, from_step: int = 5) -> dict[str, bool]:
        """Whether the model is better than each baseline at every measured step from ``from_step`` on."""
        late = np.asarray(self.steps) >= from_step
        sign = 1 if self.higher_is_better else -1
        mine = sign * np.asarray(self.model)[late]
        others = {"repeat": self.repeat, "mean": self.mean, "held": self.held}
        return {k: bool((mine > sign * np.asarray(v)[late]).all()) for k, v in others.items() if v}

    def at(self, step: int) -> tuple[float, ...]:
        """(model, repeat, mean) after ``step`` control steps; without the mean where there is none."""
        i = self.steps.index(step)
        return tuple(v[i] for v in (self.model, self.repeat, self.mean) if v)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to six digits; None for nan, which JSON lacks."""
        values = ("model", "repeat", "mean", "held")
        rounded = {k: [rounded_json(x) for x in v] if k in values else v for k, v in asdict(self).items()}
        return {**rounded, "beats_from_5": self.beats()}


def rounded_json(value: float) -> float | None:
    """Six digits of a number; None for nan."""
    return None if np.isnan(value) else float(f"{value:.6g}")


def as_numpy(tensor: Tensor) -> np.ndarray:
    """A float64 array on the CPU."""
    return tensor.detach().to("cpu", torch.float64).numpy()
