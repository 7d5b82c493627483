"""Words that every room shares: axes, the world-model specification, the policy protocol.

Axis glossary (order B T C H W):
    B  environment batch    T  time    C H W  image channels, height, width    A  action    Z  features

Observations are plain dicts keyed by sensor name. Two layouts exist and never mix: *torch* (inside models, B T C H W,
images uint8) and *numpy/Gymnasium* (in datasets and at the faces of an env, H W C, images uint8).

Alignment, everywhere: ``action[:, t]`` is applied at ``obs[:, t]`` and leads to ``obs[:, t + 1]``.

Frames: observations, history, rewards and ends happen once a frame; a frame spans ``actions_per_frame`` (a) control
actions. Horizons and elapsed time are counted in control actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

State: TypeAlias = dict[str, Tensor]
"""A world model's state: tensors with leading dimension B, held by the caller, never by the model."""

Observation: TypeAlias = dict[str, Tensor]
"""Real observations by sensor name, each [B, ...] or [B, T, ...]; images uint8 C H W, vectors float32."""

SPLITS = ("train", "val", "test")
"""What episodes and start states are for: training, every choice (thresholds, epochs, recipes), what is reported."""

ArrayT = TypeVar("ArrayT", Tensor, np.ndarray)


@dataclass(frozen=True)
class ObservationSpec:
    """One sensor: ``kind`` "image" (shape C H W, uint8) or "vector" (shape (d,), float32)."""

    kind: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in ("image", "vector"):
            raise ValueError(f"an observation is an 'image' or a 'vector', got kind={self.kind!r}")
        if len(self.shape) != (3 if self.kind == "image" else 1):
            expected = "C H W for images, (d,) for vectors"
            raise ValueError(f"an {self.kind} observation of shape {self.shape}: expected {expected}")


@dataclass(frozen=True)
class ActionSpec:
    """A bounded action vector: a Box of shape (A,), some of whose entries may be two-valued.

    Attributes:
        low, high: bounds per entry, length A.
        binary: indices that execute as exactly ``low`` or ``high`` (a gripper): below the middle is ``low``, else
            ``high`` (DiWA S.3.1: at or above 0 opens, below 0 closes).
        hold: the action that keeps the robot where it is; pads short histories.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    binary: tuple[int, ...] = ()
    hold: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.hold:
            object.__setattr__(self, "hold", tuple((lo + hi) / 2 for lo, hi in zip(self.low, self.high, strict=True)))
        if not len(self.low) == len(self.high) == len(self.hold):
            lengths = len(self.low), len(self.high), len(self.hold)
            raise ValueError(f"low, high and hold need one length, got {lengths}")
        if not all(map(math.isfinite, (*self.low, *self.high, *self.hold))):
            raise ValueError(f"bounds and hold are finite, got low={self.low}, high={self.high}, hold={self.hold}")
        if any(lo >= hi for lo, hi in zip(self.low, self.high, strict=True)):
            raise ValueError(f"every low must lie below its high, got low={self.low}, high={self.high}")
        if any(not 0 <= i < len(self.low) for i in self.binary):
            raise ValueError(f"binary indices {self.binary} outside an action of {len(self.low)} entries")

    @property
    def dim(self) -> int:
        """Number of entries A."""
        return len(self.low)

    def prepare(self, action: ArrayT) -> ArrayT:
        """Clips to the bounds and snaps binary entries; the one place dream and simulator both go through.

        Args:
            action: [..., A], float, torch tensor or numpy array. Never modified in place.

        Returns:
            The executable action, same type and shape, float32.
        """
        if isinstance(action, torch.Tensor):
            return self.prepare_on(action.device)(action)
        bounds = np.asarray([self.low, self.high], np.float32)
        clipped = np.clip(np.asarray(action, np.float32), bounds[0], bounds[1])
        for i in self.binary:
            middle = (self.low[i] + self.high[i]) / 2
            clipped[..., i] = np.where(
                clipped[..., i] >= middle, self.high[i], np.minimum(clipped[..., i], np.float32(self.low[i]))
            )
        return clipped

    @cache  # noqa: B019 - specs are few and small
    def prepare_on(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """`prepare` of tensors on one device, with its bounds at hand: making them costs more than the clip."""
        with torch.inference_mode(False):  # they outlive whatever mode the first caller is in
            low, high = torch.tensor(self.low, device=device), torch.tensor(self.high, device=device)
            binary = torch.tensor([i in self.binary for i in range(self.dim)], device=device)
            middle = ((low + high) / 2).masked_fill(~binary, math.inf)
            below = torch.where(binary, low, high)

        def prepare(action: Tensor) -> Tensor:
            action = action.float()
            out = torch.clamp(action, low, below)
            # NaN stays NaN: it is to stop its env, not to close a gripper.
            return torch.where(action >= middle, high, out) if self.binary else out

        return prepare


@dataclass(frozen=True)
class InstructionSpec:
    """An instruction as the action: a Discrete over sentences. A step is a clip of several frames.

    Attributes:
        sentences: what may be asked for; an action is an index, int64.
        clip: F, frames that follow one instruction.
        control: the robot's action, which a twin's executor sends to the simulator while it follows the clip.
    """

    sentences: tuple[str, ...]
    clip: int
    control: ActionSpec

    def __post_init__(self) -> None:
        if not self.sentences or len(set(self.sentences)) != len(self.sentences):
            raise ValueError(f"an InstructionSpec needs sentences, each once, got {self.sentences}")
        if self.clip < 1:
            raise ValueError(f"clip must be at least 1 frame, got {self.clip}")

    def prepare(self, action: ArrayT) -> ArrayT:
        """Indices [...] as int64; nothing to clip. The caller's range is checked where values are (`ActionReader`)."""
        return action.long() if isinstance(action, torch.Tensor) else np.asarray(action, np.int64)


RETIRED = ("max_frames", "condition")
"""Fields of specs that older checkpoints hold and nothing ever read."""


@dataclass(frozen=True)
class WorldModelSpec:
    """What a caller must know of a world model to drive it; saved in the checkpoint.

    Attributes:
        family: registry name of the family ("rssm", ...).
        observations: sensors that ``start`` and ``observe`` read.
        action: one control action (a Box), or an instruction (a Discrete over sentences) whose step is a clip.
        feature_shape: shape of ``features(state)`` without B.
        decodable: keys that ``decode`` can produce.
        history: H, real frames that ``start`` needs (with (H - 1) * actions_per_frame actions between them).
        frame_rate: control actions per second of real time, Hz.
        actions_per_frame: a, control actions that one predicted frame spans.
        instructions: sentences that ``start`` knows, where an action-conditioned model is told what to do; empty: it
            takes no instruction.
        uncertainty_unit: what ``uncertainty`` measures, in words.
        uncertainty_limit: its 99th percentile on held-out data, or None when not calibrated.
        embodiments: actions of further robots by name; `WorldModel.embody` gives the model as one of them sees it.
        embodiment: the robot that this view of the model is of; None: ``action`` is the model's own.
        fidelities: names of the ways in which the model can predict, from quick to thorough, where there are several;
            `WorldModel.at_fidelity` gives the model that predicts so.
    """

    family: str
    observations: dict[str, ObservationSpec]
    action: ActionSpec | InstructionSpec
    feature_shape: tuple[int, ...]
    decodable: tuple[str, ...] = ()
    history: int = 1
    frame_rate: float = 30.0
    actions_per_frame: int = 1
    instructions: tuple[str, ...] = ()
    uncertainty_unit: str = ""
    uncertainty_limit: float | None = None
    embodiments: dict[str, ActionSpec] = field(default_factory=dict)
    embodiment: str | None = None
    fidelities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("history", "actions_per_frame"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.embodiments and isinstance(self.action, InstructionSpec):
            raise ValueError("a model that is driven by instructions has no embodiments: its robot is action.control")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the image sensors that the model can decode, in order; what ``render`` shows."""
        return tuple(k for k in self.decodable if k in self.observations and self.observations[k].kind == "image")

    @property
    def control(self) -> ActionSpec:
        """What a simulator is sent: the action, or that of an instruction's executor."""
        return self.action.control if isinstance(self.action, InstructionSpec) else self.action

    def prepare(self, action: ArrayT) -> ArrayT:
        """See `ActionSpec.prepare`."""
        return self.action.prepare(action)

    def with_uncertainty_limit(self, limit: float | None) -> WorldModelSpec:
        """A copy whose uncertainty limit is calibrated."""
        return replace(self, uncertainty_limit=limit)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WorldModelSpec:
        """Reads what `to_dict` (through JSON) wrote."""

        def action(raw: dict[str, Any]) -> ActionSpec:
            return ActionSpec(**{k: tuple(v) for k, v in raw.items()})

        def told(raw: dict[str, Any]) -> ActionSpec | InstructionSpec:
            if "sentences" not in raw:
                return action(raw)
            return InstructionSpec(tuple(raw["sentences"]), raw["clip"], action(raw["control"]))

        fields = {k: v for k, v in data.items() if k not in RETIRED}
        fields["observations"] = {
            k: ObservationSpec(kind=v["kind"], shape=tuple(v["shape"])) for k, v in data["observations"].items()
        }
        fields["action"] = told(data["action"])
        fields["embodiments"] = {k: action(v) for k, v in data.get("embodiments", {}).items()}
        for name in ("feature_shape", "decodable", "instructions", "fidelities"):
            fields[name] = tuple(data.get(name, ()))
        return cls(**fields)


@runtime_checkable
class Policy(Protocol):
    """Anything that acts: the same object in a dream and in its real twin.

    ``obs`` is what the env's face returns (a [B, ...] tensor for features), ``fresh`` [B] bool marks envs that were
    just reset, ``carry`` is whatever the policy remembers (a plan under way, a recurrent state). All tensors, the
    actions that come back too, and the generator are on the env's device.

    Optional, and heeded by evaluation::

        obs            "features" (default), "state", "pixels" or "dict": what it wants to be shown.
        chunk          actions a decision: ``act`` then returns [B, chunk, A], and is asked again once they are done.
        begin(carry, fresh, tasks) -> carry
                       called after every reset with a task's name for each env.
        bind(core)     called once before the first ``start``: planners and refiners get a core of the world model,
                       never the twin's future. Before each ``act`` it stands where the envs stand; it may be stepped,
                       and put back by ``snapshot`` and ``restore``.
        follow(carry, fresh, clip) -> carry
                       of an executor, which carries instructions out in a twin: the imagined clip it is to follow, a
                       list of observations as ``obs`` asks for them, one a frame, whenever an instruction was given.
    """

    def start(self, num_envs: int, generator: torch.Generator | None) -> Any:
        """Returns the carry for ``num_envs`` fresh envs."""
        ...

    def act(self, obs: Any, carry: Any, fresh: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Any]:
        """Returns actions [B, A] and the new carry."""
        ...
