"""Sizes of an action expert and how it is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dreamgym.fields import check_numbers, from_json
from dreamgym.types import ActionSpec


@dataclass(frozen=True)
class ExpertConfig:
    """A diffusion policy on the frames of a clip.

    Attributes:
        camera: the image that it sees.
        image: C, H, W of a frame.
        action: the robot's.
        chunk: control actions that it decides at once: those that lead to the next frame.
        offsets: timestamps of the frames that it sees, in frames from now: 0 is the present one, which is real; the
            others are the clip's. Beyond the clip's end its last frame counts. With 0 alone it follows no clip: a
            diffusion policy without a world model.
        tasks: that it is told by name; none where the clip shows what is to be done.
        depth: channels of the first convolution; each further one has twice as many.
        embed: entries of a frame's embedding.
        hidden: widths of the denoising network.
        diffusion_steps: K of training.
        sampling_steps: denoising steps of a decision.
    """

    camera: str
    image: tuple[int, int, int]
    action: ActionSpec
    chunk: int
    offsets: tuple[int, ...] = (0, 1, 2, 4)
    tasks: tuple[str, ...] = ()
    depth: int = 16
    embed: int = 128
    hidden: tuple[int, ...] = (512, 512)
    diffusion_steps: int = 50
    sampling_steps: int = 10

    def __post_init__(self) -> None:
        if not self.offsets or min(self.offsets) < 0 or len(set(self.offsets)) != len(self.offsets):
            raise ValueError(f"offsets are different numbers of frames from now on, got {self.offsets}")
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks: expected different names, got {self.tasks}")
        for name in ("chunk", "depth", "embed", "diffusion_steps", "sampling_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.sampling_steps > self.diffusion_steps:
            raise ValueError(f"sampling_steps={self.sampling_steps} is above diffusion_steps={self.diffusion_steps}")
        if not self.hidden:
            raise ValueError("hidden: expected the width of each layer, got none")

    @property
    def follows(self) -> bool:
        """Whether it sees frames of a clip."""
        return max(self.offsets) > 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ExpertConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)


@dataclass(frozen=True)
class TrainConfig:
    """How an expert is trained.

    Attributes:
        updates: of the expert alone.
        joint_updates: jointly with a world model.
        batch_size: moments a batch; of the joint stage ``joint_batch_size`` whole clips.
        joint_batch_size: see there.
        moments: of each clip that a joint update learns from.
        lr: of the expert.
        refiner_lr: of what the world model lets be refined.
        ema: decay of the average of the weights.
        seed: of batches and noise.
    """

    updates: int = 5000
    joint_updates: int = 0
    batch_size: int = 64
    joint_batch_size: int = 4
    moments: int = 4
    lr: float = 1e-3
    refiner_lr: float = 1e-5
    ema: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in ("batch_size", "joint_batch_size", "moments"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.lr, self.refiner_lr) <= 0 or min(self.updates, self.joint_updates, self.seed) < 0:
            raise ValueError(f"rates must be positive, updates and seed at least 0, got {self}")
