"""Configuration of the RSSM family."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dreamgym.fields import check_numbers, from_json
from dreamgym.types import ActionSpec

VARIANTS = ("vision", "hybrid", "state")

Layout = tuple[tuple[str, int], ...]

TINY: dict[str, Any] = {
    "deter": 512, "stoch": 32, "classes": 16, "units": 256, "embed": 512, "encoder_depth": 16, "decoder_depth": 16,
    "vector_units": 256, "decode_fraction": 0.25,
}  # fmt: skip
"""Sizes that train on two CPU cores."""


def _camera() -> dict[str, tuple[int, int, int]]:
    return {"image": (3, 64, 64)}


@dataclass(frozen=True)
class RSSMConfig:
    """An RSSM (DiWA S.2.1, Table S.2). Defaults are the paper's sizes; see `paper` and `tiny`.

    Attributes:
        variant: "vision" (cameras in, cameras out), "hybrid" (cameras and proprioception in; cameras and every vector
            out) or "state" (vectors in and out).
        images: cameras, name to (C, H, W); H and W multiples of 16.
        vectors: vector sensors, name to layout segments (see `dreamgym.nn.vectors`).
        proprioception: vectors that the hybrid variant reads.
        action: low, high, binary and hold of the action.
        deter: size of the deterministic state h.
        stoch, classes: categorical variables and classes of the stochastic state z.
        units: width of the layers inside the recurrence and of the prior and posterior heads.
        embed: width of the fused observation embedding.
        encoder_depth, decoder_depth: channels of the outermost convolution; doubles with each of four layers.
        vector_units: width of the two-layer encoders and decoders of vector sensors.
        kl_scale: beta of equation 10.
        kl_balance: share of the KL's gradient that trains the prior (see `balanced_kl`).
        overshoot: steps of latent overshooting (see `overshooting`); 0, the paper's, for none.
        overshoot_scale, overshoot_starts: its weight, and paths from each sequence of a batch.
        reset_prob: zeta, the probability per step that training restarts the state from nothing.
        decode_fraction: share of a batch's frames whose images are decoded and scored.
        image_weights: weight of a camera's reconstruction, 1 where not named: for a camera that shows what matters
            small, beside one that the hand sweeps.
        vector_std: standard deviation of the likelihood of vectors, in units of each entry's own spread. 1 would let
            0.3 nats of KL outweigh an error of half a standard deviation: centimetres of drawer.
        rotation_std: the same for rotations. With 0.1, the yaw of three blocks a few pixels large took two thirds of
            the whole loss.
        binary_weight: weight of the cross-entropy of lights and grippers.
        ensemble_size, ensemble_units, ensemble_dim: heads, their width, and the dimension of the random projection of
            the posterior that they predict; their disagreement is the uncertainty.
        history: context frames that `start` takes (DiWA S.5.4: two).
        frame_rate: control steps per second, Hz.
    """

    variant: str = "vision"
    images: dict[str, tuple[int, int, int]] = field(default_factory=_camera)
    vectors: dict[str, Layout] = field(default_factory=dict)
    proprioception: tuple[str, ...] = ()
    action: ActionSpec = ActionSpec(low=(-1.0,), high=(1.0,))
    deter: int = 1024
    stoch: int = 32
    classes: int = 32
    units: int = 1024
    embed: int = 1024
    encoder_depth: int = 48
    decoder_depth: int = 48
    vector_units: int = 512
    kl_scale: float = 0.3
    kl_balance: float = 0.8
    overshoot: int = 0
    overshoot_scale: float = 1.0
    overshoot_starts: int = 4
    reset_prob: float = 0.01
    decode_fraction: float = 1.0
    image_weights: dict[str, float] = field(default_factory=dict)
    vector_std: float = 0.1
    rotation_std: float = 0.3
    binary_weight: float = 10.0
    ensemble_size: int = 5
    ensemble_units: int = 32
    ensemble_dim: int = 32
    history: int = 2
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        check_numbers(self)
        for name in (
            "deter",
            "stoch",
            "classes",
            "units",
            "embed",
            "encoder_depth",
            "decoder_depth",
            "vector_units",
            "ensemble_units",
            "ensemble_dim",
            "history",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {VARIANTS}, got {self.variant!r}")
        for name, (_, height, width) in self.images.items():
            if height % 16 or width % 16:
                raise ValueError(f"{name} is {height} x {width}: four stride-2 layers need multiples of 16; resize it")
        if not 0 < self.decode_fraction <= 1:
            raise ValueError(f"decode_fraction must lie in (0, 1], got {self.decode_fraction}")
        strangers = sorted(set(self.image_weights) - set(self.images))
        if strangers or any(w <= 0 for w in self.image_weights.values()):
            raise ValueError(
                f"image_weights must be positive and name some of {list(self.images)}, got {self.image_weights}"
            )
        missing = [k for k in self.proprioception if k not in self.vectors]
        if missing and self.variant == "hybrid":
            raise ValueError(f"proprioception {missing} is not among the vectors {list(self.vectors)}")
        if not self.inputs:
            raise ValueError(f"variant {self.variant!r} with no sensor to read: give images or vectors")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Sensors that the model reads."""
        if self.variant == "state":
            return tuple(self.vectors)
        return tuple(self.images) + (self.proprioception if self.variant == "hybrid" else ())

    @property
    def targets(self) -> tuple[str, ...]:
        """Sensors that the model decodes."""
        images = () if self.variant == "state" else tuple(self.images)
        return images + (() if self.variant == "vision" else tuple(self.vectors))

    @property
    def latent_dim(self) -> int:
        """k: size of the features."""
        return self.deter + self.stoch * self.classes

    @classmethod
    def paper(cls, **changes: Any) -> RSSMConfig:
        """Table S.2: deterministic 1024, 32 x 32 categoricals, features of 2048."""
        return cls(**changes)

    @classmethod
    def tiny(cls, **changes: Any) -> RSSMConfig:
        """Trains on two CPU cores."""
        return cls(**{**TINY, **changes})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RSSMConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)
