"""Configuration of the latent-action family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dreamgym.fields import from_json
from dreamgym.nn.encoders import EncoderConfig
from dreamgym.types import ActionSpec

LATENT = "latent"
"""Name of the embodiment whose actions are latent actions themselves."""

ORDERS = {
    "lac": ("inverse", "project", "joint"),
    "dft": ("joint",),
    "23": ("project", "joint"),
    "12": ("inverse", "joint"),
    "eac": ("joint",),
    "tft": ("project", "joint"),
}
"""Stages of adaptation (LAC-WM, section 3.2 and A.6): LAC-WM, LAC-WM-DFT, -(2,3), -(1,2), EAC-WM and EAC-WM-TFT."""


@dataclass(frozen=True)
class Motion:
    """Where in a vector sensor the poses are whose changes are motion labels.

    Attributes:
        sensor: the vector sensor.
        end_effector: entries of poses, nine a hand: position 3 (m) and the first two columns of the rotation 6.
        fingers: entries that say how far a hand is closed.
        camera: entries of the camera's pose, nine, or () where it is not known.
    """

    sensor: str = "state"
    end_effector: tuple[int, ...] = ()
    fingers: tuple[int, ...] = ()
    camera: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.end_effector) % 9 or len(self.camera) not in (0, 9):
            raise ValueError(f"poses have nine entries each, got {self.end_effector} and {self.camera}")

    @property
    def hand_dim(self) -> int:
        """Numbers of a label of the end effector: changes of poses and fingers."""
        return len(self.end_effector) + len(self.fingers)

    @property
    def camera_dim(self) -> int:
        """Numbers of a label of the camera."""
        return len(self.camera)


@dataclass(frozen=True)
class LatentActionConfig:
    """Configures a `LatentActionModel` (LAC-WM, section 3, A.4, A.5).

    Attributes:
        robots: actions by robot; the first is the model's own where nobody asks for another.
        sensor: the camera that is read.
        image: C H W of it.
        motion: where motion labels come from; without, nothing grounds the latent actions.
        frame_rate: control actions a second, Hz.
        actions_per_frame: control actions a frame (section 4.2: 5).
        encoder: of frames, frozen.
        front: "latent" (LAC-WM: latent actions of an inverse dynamics model, and projectors into them) or "explicit"
            (EAC-WM: encoders of explicit actions, one a robot, trained with the forward model).
        latent_dim: numbers of a latent action (section 4.2: 64).
        width: of the attention layers' tokens, a multiple of four.
        heads: of each attention.
        head_dim: numbers of a head.
        mlp_ratio: of the hidden width of feed-forward layers.
        inverse_blocks: causal layers of the inverse dynamics model, and as many in which its query attends to them.
        forward_blocks: blocks L of the forward dynamics model.
        action_tokens: tokens into which a latent action is cut in the forward model.
        horizon: frames that temporal attention spans; 1: none (A.5: 8, in the last quarter of training).
        projector_width: hidden width of a robot's action projector.
        motion_width: of the motion decoder.
        decoder_blocks: attention blocks of the image decoder; 0: tokens are pixels.
        decoder_width, decoder_heads: of those blocks.
        feature_grid: tokens a side that features are averaged to.
        recon_weight, motion_weight: lambda_recon and lambda_motion, of losses in units of the targets' own spread.
        augment: cross-augmentation (section 3.1): how many pixels frames are shifted at most; 0: none.
        adaptation: which stages a run has that adapts the model to a new robot, one of `ORDERS`; "": it pretrains.
        rank: of the low-rank adapters of adaptation (section 3.2: 2).
    """

    robots: dict[str, ActionSpec]
    sensor: str = "rgb_static"
    image: tuple[int, ...] = (3, 64, 64)
    motion: Motion | None = None
    frame_rate: float = 20.0
    actions_per_frame: int = 5
    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig("pixels", grid=8))
    front: Literal["latent", "explicit"] = "latent"
    latent_dim: int = 64
    width: int = 512
    heads: int = 16
    head_dim: int = 64
    mlp_ratio: float = 4.0
    inverse_blocks: int = 4
    forward_blocks: int = 8
    action_tokens: int = 1
    horizon: int = 8
    projector_width: int = 2048
    motion_width: int = 512
    decoder_blocks: int = 12
    decoder_width: int = 1024
    decoder_heads: int = 32
    feature_grid: int = 4
    recon_weight: float = 1.0
    motion_weight: float = 1.0
    augment: int = 4
    adaptation: str = ""
    rank: int = 2

    def __post_init__(self) -> None:
        if not self.robots or LATENT in self.robots:
            raise ValueError(f"robots: expected at least one, none of them called {LATENT!r}, got {list(self.robots)}")
        if odd := [name for name in self.robots if not 0 < len(name) <= 100 or "." in name]:
            raise ValueError(f"robots: a name has 1 to 100 characters and no '.', got {odd[0][:110]!r}")
        for name in ("actions_per_frame", "latent_dim", "forward_blocks", "horizon", "rank", "action_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % 4 or self.decoder_width % self.decoder_heads or self.latent_dim % self.action_tokens:
            raise ValueError(
                "width must be a multiple of 4, decoder_width of decoder_heads and latent_dim of action_tokens, got "
                f"{self.width}, {self.decoder_width} of {self.decoder_heads} and {self.latent_dim} of "
                f"{self.action_tokens}"
            )
        if self.encoder.grid % self.feature_grid:
            raise ValueError(f"feature_grid={self.feature_grid} must divide the encoder's grid {self.encoder.grid}")
        if self.latent_dim % 2:
            raise ValueError(f"latent_dim must be even (half of it tells the hand, half the camera): {self.latent_dim}")
        if self.decoder_blocks == 0 and self.encoder.kind != "pixels":
            raise ValueError("decoder_blocks=0 is for encoders of kind 'pixels': other tokens are no pixels")
        if self.adaptation and self.adaptation not in ORDERS:
            raise ValueError(f"adaptation: expected one of {list(ORDERS)} or '', got {self.adaptation!r}")
        latent_order = self.adaptation not in ("", "eac", "tft")
        if self.adaptation and latent_order != (self.front == "latent"):
            raise ValueError(f"adaptation {self.adaptation!r} does not fit front={self.front!r}")

    @property
    def window(self) -> int:
        """Frames that a state holds."""
        return max(2, self.horizon)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LatentActionConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)


VJEPA2_GIANT: dict[str, Any] = {
    "hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11, "patch_size": 16,
    "crop_size": 256, "frames_per_clip": 64, "tubelet_size": 2,
}  # fmt: skip
"""Architecture of facebook/vjepa2-vitg-fpc64-256, the 1B encoder of LAC-WM's Table 4."""
PAPER: dict[str, Any] = {
    "encoder": EncoderConfig(
        "vjepa2", "facebook/vjepa2-vitg-fpc64-256", VJEPA2_GIANT, image_size=256, grid=16, kept=False
    ),
}
TINY: dict[str, Any] = {
    "encoder": EncoderConfig("pixels", image_size=64, grid=8),
    "width": 128, "heads": 4, "head_dim": 32, "mlp_ratio": 2.0, "inverse_blocks": 2, "forward_blocks": 3,
    "horizon": 2, "projector_width": 128, "motion_width": 64, "decoder_blocks": 0, "decoder_width": 128,
    "decoder_heads": 4, "action_tokens": 4,
}  # fmt: skip
"""Sizes of the presets."""
