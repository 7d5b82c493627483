"""Configuration of the video cascade."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dreamgym.fields import from_json
from dreamgym.types import ActionSpec
from dreamgym.world_models.families.video_cascade.sizes import (
    COGVIDEOX_2B,
    COGVIDEOX_5B,
    AutoencoderSize,
    BackboneSize,
    TextSize,
)

STAGES = ("autoencoder", "monolithic", "preview", "refiner")
"""Stages of training, in order."""

TRAIN_STEPS = 1000
"""Times of the noise schedule; sampling takes some of them."""

SOURCES = ("latent", "pixel", "noise")
"""What a refinement may start from."""

DRIVERS = ("sentences", "actions")
"""What a clip may follow."""

FIDELITIES = ("preview", "refined", "monolithic")
"""How a clip may be made; "monolithic" is the baseline: the backbone at high resolution, without adapters."""

PAPER: dict[str, Any] = {
    "low": (480, 720),
    "image": (3, 720, 1280),
    "frames": 49,
    "backbone": COGVIDEOX_5B,
    "refiner": COGVIDEOX_2B,
    "lora_rank": 128,
    "stages": ("preview", "refiner"),
    "weights": "THUDM/CogVideoX-5b-I2V",
    "refiner_weights": "THUDM/CogVideoX-2b",
}
TINY: dict[str, Any] = {
    "frames": 17,
    "autoencoder": AutoencoderSize((16, 32, 32), layers=1, latent_channels=8, groups=8),
    "text": TextSize(width=64, head_dim=16, hidden=128, layers=2, heads=4, length=16, vocabulary=256),
    "backbone": BackboneSize(heads=6, head_dim=32, layers=6, time_dim=128, latent_scale=1.0),
    "refiner": BackboneSize(heads=4, head_dim=32, layers=4, time_dim=128, latent_scale=1.0),
    "lora_rank": 16,
    "residual": True,
    "guidance": 1.0,
}
"""Sizes of the presets."""


@dataclass(frozen=True)
class VideoCascadeConfig:
    """A low-resolution preview, refined to high resolution by a flow ("DVG-WM").

    Attributes:
        camera: the image sensor that is predicted.
        image: its C, H, W: the high resolution.
        tasks: the sentences of each task, by name; all together are what the model can be told. Empty where actions
            drive it.
        control: the robot's action, which an executor sends, or which drives the model.
        low: height and width of the preview.
        frames: of a clip, the given first one included: one more than a multiple of twice the
            autoencoder's stride.
        actions_per_frame: control actions between two frames.
        frame_rate: control actions a second, Hz.
        driven_by: "sentences", as in the paper; or "actions", our extension: a clip follows the actions of its frames,
            as in every dream that is a Box env.
        autoencoder, text, backbone, refiner: sizes.
        lora_rank: of the adapters that make the backbone a preview (section 3.2: 128).
        steps: denoising steps of a preview (50), and of the monolithic baseline.
        guidance: weight of the instruction in sampling (classifier-free guidance); 1 is none, and costs half.
        drop_text: share of clips that are trained on without their instruction or actions, for guidance.
        refiner_steps: Euler steps N of the refinement (equation 5: 4).
        degradation: largest strength of the noise that training starts the flow from (A.3): drawn anew for each clip,
            uniform below it.
        inference_degradation: the strength at inference (A.8), "mild".
        source: what the flow starts from: "latent", the upsampled latents of the low-resolution clip (equation 2, and
            what inference has); "pixel", in training the latents of the clip that was shrunk and enlarged (A.1, A.2);
            "noise", the paper's naive cascading: noise, and the upsampled latents are shown beside it.
        residual: latents are predicted as differences from those of the first frame, which is shown at every frame.
            CogVideoX predicts the latents themselves and is shown the first frame at frame 0 alone; what was
            pretrained so must go on so.
        stages: parts of training that a run has, among `STAGES`.
        weights: name or folder of a pretrained CogVideoX with image conditioning, whose autoencoder, text encoder and
            transformer the cascade has: frozen, but for adapters. None: all of it is trained.
        refiner_weights: of a pretrained CogVideoX that the refiner begins with.
    """

    camera: str
    image: tuple[int, int, int]
    tasks: Mapping[str, tuple[str, ...]]
    control: ActionSpec
    low: tuple[int, int]
    frames: int = 49
    actions_per_frame: int = 4
    frame_rate: float = 30.0
    driven_by: str = "sentences"
    autoencoder: AutoencoderSize = field(default_factory=AutoencoderSize)
    text: TextSize = field(default_factory=TextSize)
    backbone: BackboneSize = field(default_factory=BackboneSize)
    refiner: BackboneSize = field(default_factory=lambda: COGVIDEOX_2B)
    lora_rank: int = 128
    steps: int = 50
    guidance: float = 6.0
    drop_text: float = 0.1
    refiner_steps: int = 4
    degradation: float = 0.6
    inference_degradation: float = 0.2
    source: str = "latent"
    residual: bool = False
    stages: tuple[str, ...] = STAGES
    weights: str | None = None
    refiner_weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", {k: tuple(v) for k, v in self.tasks.items()})
        self._check_shapes()
        self._check_training()
        for name in ("actions_per_frame", "lora_rank", "steps", "refiner_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("degradation", "inference_degradation", "drop_text"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("steps", "refiner_steps"):
            if getattr(self, name) > TRAIN_STEPS:
                raise ValueError(
                    f"{name} is at most {TRAIN_STEPS}, the times of the diffusion; got {getattr(self, name)}"
                )
        if self.residual and self.weights is not None:
            raise ValueError("residual=True is of models trained from scratch: CogVideoX's weights predict latents")
        if self.guidance < 1 or self.frame_rate <= 0:
            raise ValueError(f"guidance >= 1 and frame_rate > 0, got {self.guidance} and {self.frame_rate}")

    def _check_shapes(self) -> None:
        unit = 2 * self.autoencoder.stride  # the decoder takes latent frames in pairs, after the first
        if self.frames < 2 or (self.frames - 1) % unit:
            below = max(1, (self.frames - 1) // unit) * unit + 1
            raise ValueError(
                f"frames={self.frames}: the autoencoder takes one frame and then {unit} at a time, so a clip has "
                f"{unit} k + 1 frames, as {below} or {below + unit}"
            )
        for name, (height, width) in (("image", self.image[1:]), ("low", self.low)):
            for label, backbone in (("backbone", self.backbone), ("refiner", self.refiner)):
                unit = self.autoencoder.scale * backbone.patch
                if height < unit or width < unit or height % unit or width % unit:
                    raise ValueError(
                        f"{name} of {height} x {width} pixels: height and width must be multiples of {unit} (the "
                        f"autoencoder's {self.autoencoder.scale} times the {label}'s patch of {backbone.patch})"
                    )
        if self.low[0] > self.image[1] or self.low[1] > self.image[2]:
            raise ValueError(f"the preview's size low={self.low} is above the image's {self.image[1:]}")

    def _check_training(self) -> None:
        if self.driven_by not in DRIVERS:
            raise ValueError(f"driven_by must be one of {DRIVERS}, got {self.driven_by!r}")
        wanted = not self.follows_actions
        if bool(self.sentences) != wanted or len(set(self.sentences)) != len(self.sentences):
            told = "must have sentences, each once" if wanted else "are of clips that sentences drive: leave them out"
            raise ValueError(f"driven_by={self.driven_by!r}: tasks {told}; got {dict(self.tasks)}")
        if not self.stages or [s for s in STAGES if s in self.stages] != list(self.stages):
            raise ValueError(f"stages must be some of {STAGES}, in that order, got {self.stages}")
        if self.source not in SOURCES:
            raise ValueError(f"source must be one of {SOURCES}, got {self.source!r}")
        if self.weights is not None and {"autoencoder", "monolithic"} & set(self.stages):
            raise ValueError(f"with pretrained weights stages are 'preview' and 'refiner', got {self.stages}")

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every sentence, task by task."""
        return tuple(s for each in self.tasks.values() for s in each)

    @property
    def follows_actions(self) -> bool:
        """Whether actions drive it, and not sentences."""
        return self.driven_by == "actions"

    @property
    def told_tokens(self) -> int:
        """Tokens of what a clip follows: those of a sentence, or one for each latent frame's actions."""
        return self.latent_frames if self.follows_actions else self.text.length

    @property
    def latent_frames(self) -> int:
        """T of a clip's latents."""
        return (self.frames - 1) // self.autoencoder.stride + 1

    @property
    def rows(self) -> int:
        """Control steps that a clip spans, the first frame's included."""
        return (self.frames - 1) * self.actions_per_frame + 1

    def latent_size(self, resolution: str) -> tuple[int, int]:
        """Height and width of a latent frame at resolution "low" or "high"."""
        height, width = self.low if resolution == "low" else self.image[1:]
        return height // self.autoencoder.scale, width // self.autoencoder.scale

    @classmethod
    def paper(cls, tasks: Mapping[str, tuple[str, ...]], control: ActionSpec, **changes: Any) -> VideoCascadeConfig:
        """DVG-WM's sizes: CogVideoX-5B-I2V previews 49 frames of 480 x 720, CogVideoX-2B refines them to 720 x 1280.

        The paper names the high resolution (720p); of the low one its text says that it is above 360p.
        """
        return cls(**{"camera": "rgb", "tasks": tasks, "control": control, **PAPER, **changes})

    @classmethod
    def tiny(
        cls,
        tasks: Mapping[str, tuple[str, ...]],
        control: ActionSpec,
        image: tuple[int, int, int] = (3, 64, 64),
        **changes: Any,
    ) -> VideoCascadeConfig:
        """The same classes, trained from scratch on two CPU cores; the preview has half the side."""
        given = {"camera": "rgb", "image": image, "low": half(image)}
        return cls(**{**given, "tasks": tasks, "control": control, **TINY, **changes})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VideoCascadeConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)


def half(image: tuple[int, int, int]) -> tuple[int, int]:
    """Half the height and width of an image C H W."""
    return image[1] // 2, image[2] // 2
