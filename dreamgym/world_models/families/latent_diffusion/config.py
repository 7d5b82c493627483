"""Configuration of the latent-diffusion family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dreamgym.fields import convert, field_types, from_json
from dreamgym.nn.encoders import EncoderConfig
from dreamgym.types import ActionSpec

_DINO: dict[str, Any] = {
    "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "patch_size": 14, "image_size": 518,
}  # fmt: skip
_SIGLIP: dict[str, Any] = {
    "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
    "patch_size": 14, "image_size": 224,
}  # fmt: skip
PAPER: dict[str, Any] = {
    "encoders": (
        EncoderConfig("dinov2", "facebook/dinov2-small", _DINO, 126, 9, kept=False),
        EncoderConfig("siglip", "google/siglip-so400m-patch14-224", _SIGLIP, 126, 9, kept=False),
    ),
    "width": 384,
    "layers": 8,
    "heads": 6,
    "history": 4,
    "chunk": 6,
    "actions_per_frame": 1,
    "target": "tokens",
    "causal": False,
    "samples": 1,
}
TINY: dict[str, Any] = {
    "width": 128,
    "layers": 3,
    "heads": 4,
    "history": 4,
    "chunk": 6,
    "actions_per_frame": 3,
    "channels": 32,
    "patch": 2,
    "sampler_steps": 2,
    "decoder_width": 32,
}
"""Sizes of the presets. The paper names patches of 14 and images of 128 x 128, of which 126 are nine patches."""


@dataclass(frozen=True)
class LatentDiffusionConfig:
    """Configures `LatentDiffusion`; defaults are this library's, `paper` gives the paper's (section 3.1, appendix A).

    Attributes:
        images: cameras, their shapes C H W.
        action: one control action.
        sources: weights by kind of encoder ("dinov2", "siglip"), folders or names on the Hugging Face Hub; the recipe
            makes ``encoders`` of them.
        encoders: one stream of tokens each; all have the same grid. The paper has DINO and SigLIP.
        grid: tokens a side that the recipe gives encoders made from ``sources``.
        channels: numbers kept of a token, its first principal components; None: all of them, as the paper does.
        patch: side of the square of tokens that the transformers read as one (Peebles and Xie 2023); the paper names
            none. 2 makes a chunk four times cheaper.
        history: l, real frames that a prediction reads.
        chunk: k, frames that are diffused jointly.
        actions_per_frame: control actions that a frame spans; the paper predicts every step.
        width, layers, heads: of the decomposition networks, diffusion transformers (f_1, f_2 of equation 5).
        denoiser_layers: of the denoising networks (f_3, f_4 of equation 6). The paper says "a cross-attention layer".
        sampler_steps: denoising steps of a sample.
        samples: samples of every prediction; the spread of two is the uncertainty, one has none.
        target: "difference": what is diffused is the change since the last real frame, in units of its spread at that
            lag; "tokens": the tokens themselves, as in the paper.
        causal: whether a frame's prediction reads only the actions up to it; then a shorter chunk is the beginning of
            a longer one and costs less. The paper masks nothing; an incomplete chunk is then filled with `hold`.
        diffusion: False: one pass predicts the tokens ("without diffusion", Table 3).
        interaction: False: the encoders' tokens are concatenated into one stream ("without interaction", Table 3).
        decoder_width: channels of the networks that draw images for people; 0: none.
        vectors: vector sensors that are read off the newest tokens, with their layouts (`dreamgym.nn.vectors`): the
            robot's own state, which policies may want (Table 11). Nothing of it reaches the tokens.
        frame_rate: control steps per second, Hz.
    """

    images: dict[str, tuple[int, int, int]]
    action: ActionSpec
    sources: dict[str, str] = field(default_factory=dict)
    encoders: tuple[EncoderConfig, ...] = ()
    grid: int = 4
    channels: int | None = None
    patch: int = 1
    history: int = 4
    chunk: int = 6
    actions_per_frame: int = 1
    width: int = 384
    layers: int = 8
    heads: int = 6
    denoiser_layers: int = 1
    sampler_steps: int = 4
    samples: int = 2
    target: str = "difference"
    causal: bool = True
    diffusion: bool = True
    interaction: bool = True
    decoder_width: int = 64
    vectors: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        for name in ("images", "encoders", "vectors"):
            object.__setattr__(self, name, convert(getattr(self, name), field_types(type(self))[name], name))
        for name in (
            "grid",
            "patch",
            "history",
            "chunk",
            "actions_per_frame",
            "layers",
            "denoiser_layers",
            "sampler_steps",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be an even number for each of {self.heads} heads, got {self.width}")
        if self.samples not in (1, 2) or self.target not in ("difference", "tokens"):
            raise ValueError(
                f"samples is 1 or 2 and target 'difference' or 'tokens', got {self.samples} and {self.target!r}"
            )
        if not self.images or any(len(shape) != 3 or shape[0] != 3 for shape in self.images.values()):
            raise ValueError(f"images: expected cameras of shape (3, H, W), got {self.images}")
        if not self.encoders or len({e.kind for e in self.encoders}) != len(self.encoders):
            raise ValueError(f"encoders: expected one or more, each kind once, got {[e.kind for e in self.encoders]}")
        if len({e.grid for e in self.encoders}) != 1:
            raise ValueError(f"encoders need one grid, got {[e.grid for e in self.encoders]}")
        if self.encoders[0].grid % self.patch:
            raise ValueError(f"patch must divide the grid of {self.encoders[0].grid} tokens a side, got {self.patch}")
        if self.channels is not None and not 1 <= self.channels <= min(e.token_dim for e in self.encoders):
            raise ValueError(
                f"channels: expected 1 to the width of every encoder, {[e.token_dim for e in self.encoders]}, or null, "
                f"got {self.channels}"
            )

    @property
    def tokens(self) -> int:
        """N, tokens a frame of every stream, those of all cameras."""
        return len(self.images) * self.encoders[0].tokens

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that are kept of each encoder's tokens."""
        return tuple(e.token_dim if self.channels is None else self.channels for e in self.encoders)

    @property
    def places(self) -> int:
        """Tokens a frame of every stream as the transformers read them, each of patch x patch of `tokens`."""
        return self.tokens // self.patch**2

    @property
    def streams(self) -> tuple[int, ...]:
        """Channels of each stream's places: one stream for each encoder, or one of all of them."""
        widths = self.widths if self.interaction else (sum(self.widths),)
        return tuple(width * self.patch**2 for width in widths)

    @classmethod
    def paper(cls, images: Mapping[str, tuple[int, int, int]], action: ActionSpec, **changes: Any) -> Any:
        """Appendix A: 8 layers of width 384, history 4, six frames, DINO and SigLIP of patch 14."""
        return cls(**{"images": dict(images), "action": action, **PAPER, **changes})

    @classmethod
    def tiny(cls, images: Mapping[str, tuple[int, int, int]], action: ActionSpec, **changes: Any) -> Any:
        """Trains on two CPU cores in hours. Without encoders of one's own, on the images' own patches."""
        size = min(min(shape[1:]) for shape in images.values())
        grid = int(changes.get("grid", 4))
        given = {"encoders": (EncoderConfig("pixels", image_size=size - size % grid, grid=grid),), **TINY}
        return cls(**{"images": dict(images), "action": action, **given, **changes})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LatentDiffusionConfig:
        """Reads what `to_dict` (through JSON) wrote."""
        return from_json(cls, data)
