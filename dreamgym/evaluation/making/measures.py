"""What fidelity is measured in: PSNR of cameras, metres of drawer, slider and hand, right answers of lights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

MEASURES = ("drawer", "slider", "tcp", "bulb", "led")
UNITS = {"drawer": "m", "slider": "m", "tcp": "m", "bulb": "share right", "led": "share right"}
_ENTRY = {"slider": 0, "drawer": 1, "bulb": 4, "led": 5}
MOVED = {"drawer": 0.01, "slider": 0.01, "tcp": 0.03, "bulb": 0.5, "led": 0.5}  # change since the context that counts


def state_errors(predicted: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Errors of decoded simulator state, each [...]: metres for joints and hand, 1 or 0 (right, wrong) for lights.

    Args:
        predicted: robot_obs [..., 15] and scene_obs [..., 24]; either may be missing.
        truth: the same of the simulator.
    """
    out = {}
    if "scene_obs" in predicted:
        mine, true = predicted["scene_obs"], truth["scene_obs"]
        for name in ("drawer", "slider"):
            out[name] = (mine[..., _ENTRY[name]] - true[..., _ENTRY[name]]).abs()
        for name in ("bulb", "led"):
            out[name] = ((mine[..., _ENTRY[name]] > 0.5) == (true[..., _ENTRY[name]] > 0.5)).float()
    if "robot_obs" in predicted:
        out["tcp"] = (predicted["robot_obs"][..., :3] - truth["robot_obs"][..., :3]).norm(dim=-1)
    return out


def moved(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For each measure, bool [...]: whether the real thing has changed between ``before`` and ``now``."""
    out = {}
    if "scene_obs" in now:
        for name, i in _ENTRY.items():
            out[name] = (now["scene_obs"][..., i] - before["scene_obs"][..., i]).abs() > MOVED[name]
    if "robot_obs" in now:
        out["tcp"] = (now["robot_obs"][..., :3] - before["robot_obs"][..., :3]).norm(dim=-1) > MOVED["tcp"]
    return out


def squared_error(image: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error [B] of images [B, C, H, W] in [0, 1] against uint8 ones."""
    return (image - truth.to(image) / 255).pow(2).flatten(1).mean(1)


def psnr(mse: np.ndarray | float) -> np.ndarray:
    """Decibels of a mean squared error on images in [0, 1]; capped at 60 dB, beyond what 8 bits can show."""
    return -10 * np.log10(np.maximum(mse, 1e-6))


class StateReader:
    """Reads simulator state off a model's state: decoded where the model can, else through a probe.

    Args:
        model: the world model.
        probe: a module features [B, Z] -> {"robot_obs": [B, 15], "scene_obs": [B, 24]}, or None.
    """

    def __init__(self, model: WorldModel, probe: Any = None) -> None:
        self.model, self.probe = model, probe
        self.decoded = tuple(k for k in ("robot_obs", "scene_obs") if k in model.spec.decodable)

    @property
    def source(self) -> str:
        """Where the state comes from: "decoded", "probe" or "none"."""
        return "decoded" if "scene_obs" in self.decoded else "probe" if self.probe is not None else "none"

    def __call__(self, state: State) -> dict[str, Tensor]:
        """robot_obs and scene_obs as far as they can be read; empty with neither a state head nor a probe."""
        if self.source == "probe":
            return dict(self.probe(self.model.features(state)))
        return self.model.decode(state, self.decoded) if self.decoded else {}


@dataclass(frozen=True)
class Curve:
    """One measure at each predicted step, of the model and of the two baselines, lists of one length.

    Attributes:
        unit: of the values.
        higher_is_better: which way is good.
        model: of the model's open-loop prediction.
        repeat: of repeating the last context frame (or state).
        mean: of the mean training frame (or state).
        held: of the state that the model itself reads off the context, held from then on: what repeating the last frame
            comes to for one who sees it as the model does, while ``repeat`` knows the simulator's own state. Empty for
            cameras.
    """

    unit: str
    higher_is_better: bool
    model: list[float]
    repeat: list[float]
    mean: list[float]
    held: list[float] = field(default_factory=list)

    def beats(self, from_step: int = 5) -> dict[str, bool]:
        """Whether the model is better than each baseline at every step from ``from_step`` (1-based) on."""
        sign = 1 if self.higher_is_better else -1
        mine = sign * np.asarray(self.model[from_step - 1 :])
        others = {"repeat": self.repeat, "mean": self.mean, "held": self.held}
        return {k: bool((mine > sign * np.asarray(v[from_step - 1 :])).all()) for k, v in others.items() if v}

    def at(self, step: int) -> tuple[float, float, float]:
        """(model, repeat, mean) after ``step`` steps, 1-based."""
        return self.model[step - 1], self.repeat[step - 1], self.mean[step - 1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, rounded to six digits; None for nan, which JSON lacks."""
        rounded = {k: [rounded_json(x) for x in v] if isinstance(v, list) else v for k, v in asdict(self).items()}
        return {**rounded, "beats_from_5": self.beats()}


def rounded_json(value: float) -> float | None:
    """Six digits of a number; None for nan."""
    return None if np.isnan(value) else float(f"{value:.6g}")


def as_numpy(tensor: Tensor) -> np.ndarray:
    """A float64 array on the CPU."""
    return tensor.detach().to("cpu", torch.float64).numpy()
