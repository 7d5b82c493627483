"""Configuration of the MLP family."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dreamgym.fields import from_json
from dreamgym.types import ActionSpec

PAPER: dict[str, Any] = {"ensemble": 1}
TINY: dict[str, Any] = {"hidden": (128, 128), "ensemble": 4, "unroll": 3}
TINY_SINGLE: dict[str, Any] = {"hidden": (128, 128), "ensemble": 1, "unroll": 1}
"""Sizes of the presets."""


@dataclass(frozen=True)
class MLPConfig:
    """An ensemble of MLPs from a history of observations and actions to the next observation (WARPD, section 4).

    Attributes:
        obs_dim: entries O of the observation.
        action: low, high, binary and hold of the action. A history that is too short is padded with `hold`, the gripper
            as the first action has it; training pads in the same way.
        still: for actions that are positions to go to: the entries of the observation, one for each of the action, that
            say where the robot is. No constant keeps such a robot still; the action that does is what they show, and a
            frame of a history that nothing led away from counts as one at which it was taken.
        body: where the robot pushes a body in the plane: the entries of the observation that are the body's x and y,
            and the cosine and sine of its turn. The networks are then also shown the robot (``still``) and the action,
            both places in that plane, as seen from the body, and predict the body's changes there: see `BodyFrame`.
        sensor: name of the observation.
        joined: names and entries of several vector sensors which together, in this order, are the observation, in
            place of ``sensor``; (): there is that one.
        hidden: widths of the hidden layers.
        ensemble: members. The paper has one; their disagreement is the uncertainty, so 1 has none.
        history: observations H that a prediction reads, with the H actions that follow them. The paper says "history"
            and gives no number; its equation 5 conditions on one. 2 shows velocities.
        std: standard deviation of the predictive Gaussian, in units of the spread of one step's change. The paper
            fixes the variance without naming it.
        unroll: steps that the training loss predicts from its own predictions. 1 is the paper's teacher forcing.
        margin: imagined observations stay within the range of the training data, widened by this share of it.
        frame_rate: control steps per second, Hz.
    """

    obs_dim: int
    action: ActionSpec
    sensor: str = "state"
    hidden: tuple[int, ...] = (1024, 1024)
    ensemble: int = 5
    history: int = 2
    std: float = 1.0
    unroll: int = 1
    margin: float = 0.1
    frame_rate: float = 10.0
    still: tuple[int, ...] = ()
    body: tuple[int, ...] = ()
    joined: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in ("obs_dim", "ensemble", "history", "unroll"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden: expected the width of each hidden layer, got {self.hidden}")
        object.__setattr__(self, "still", tuple(self.still))
        if self.still and (len(self.still) != self.action.dim or not all(0 <= i < self.obs_dim for i in self.still)):
            raise ValueError(
                f"still: expected an entry of the observation, 0 to {self.obs_dim - 1}, for each of the action's "
                f"{self.action.dim}, got {self.still}"
            )
        object.__setattr__(self, "body", tuple(self.body))
        known = len(set(self.body)) == 4 and all(0 <= i < self.obs_dim for i in self.body) and len(self.still) == 2
        if self.body and not known:
            raise ValueError(
                f"body: expected four entries of the observation, 0 to {self.obs_dim - 1} (x, y, cosine, sine), and "
                f"the robot's x and y as still, got {self.body} and still={self.still}"
            )
        object.__setattr__(self, "joined", tuple((str(name), int(size)) for name, size in self.joined))
        names, sizes = [name for name, _ in self.joined], [size for _, size in self.joined]
        if self.joined and (min(sizes) < 1 or sum(sizes) != self.obs_dim or len(set(names)) < len(names)):
            raise ValueError(
                f"joined: expected several sensors, each once, whose entries are obs_dim={self.obs_dim} together, got "
                f"{self.joined}"
            )
        if self.std <= 0 or self.margin < 0 or self.frame_rate <= 0:
            raise ValueError(
                f"std and frame_rate must be positive and margin at least 0, got {self.std}, {self.frame_rate} and "
                f"{self.margin}"
            )

    @property
    def parts(self) -> dict[str, int]:
        """Entries of each sensor that the observation is made of, in order."""
        return dict(self.joined) or {self.sensor: self.obs_dim}

    @classmethod
    def paper(cls, obs_dim: int, action: ActionSpec, **changes: Any) -> MLPConfig:
        """WARPD, section 4: two hidden layers of 1024, one model, teacher forcing."""
        return cls(**{"obs_dim": obs_dim, "action": action, **PAPER, **changes})

    @classmethod
    def tiny(cls, obs_dim: int, action: ActionSpec, **changes: Any) -> MLPConfig:
        """Trains in a minute or two on one CPU core; small enough to ship."""
        return cls(**{"obs_dim": obs_dim, "action": action, **TINY, **changes})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MLPConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)
