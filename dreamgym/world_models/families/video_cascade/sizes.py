"""Sizes of the parts of a video cascade: arguments of the classes of diffusers and transformers that they are."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SENTENCE = 1024
"""Tokens: attention between clip and sentence costs as much for every one of them, padding too."""


@dataclass(frozen=True)
class AutoencoderSize:
    """Sizes of an `AutoencoderKLCogVideoX`. The defaults are CogVideoX's.

    Attributes:
        channels: of each block; every block but the last halves height and width.
        layers: residual layers a block.
        latent_channels: C of a latent.
        groups: of the group norms.
        stride: frames that a latent frame stands for, but the first, which stands for one.
    """

    channels: tuple[int, ...] = (128, 256, 256, 512)
    layers: int = 3
    latent_channels: int = 16
    groups: int = 32
    stride: int = 4

    def __post_init__(self) -> None:
        if not self.channels or any(c % self.groups for c in self.channels):
            raise ValueError(f"every block's channels must be a multiple of groups={self.groups}, got {self.channels}")
        if self.stride < 1 or self.stride & (self.stride - 1) or self.stride > self.scale:
            raise ValueError(
                f"stride must be a power of 2, at most the {self.scale} by which height and width shrink, got "
                f"{self.stride}"
            )

    @property
    def scale(self) -> int:
        """Pixels of a latent's side."""
        return int(2 ** (len(self.channels) - 1))


@dataclass(frozen=True)
class TextSize:
    """Sizes of a `T5EncoderModel`. The defaults are T5-v1.1-XXL's, which CogVideoX reads its prompts with.

    Attributes:
        width: of an embedding.
        head_dim: of an attention head.
        hidden: of a feed-forward layer.
        layers, heads: numbers of them.
        length: tokens of a sentence; shorter ones are padded, longer ones cut.
        vocabulary: entries of the word table; a trained encoder's are the words of its sentences, if there are fewer.
    """

    width: int = 4096
    head_dim: int = 64
    hidden: int = 10240
    layers: int = 24
    heads: int = 64
    length: int = 226
    vocabulary: int = 32128

    def __post_init__(self) -> None:
        for name in ("width", "head_dim", "hidden", "layers", "heads", "length", "vocabulary"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of the text encoder must be at least 1, got {getattr(self, name)}")
        if self.length > LONGEST_SENTENCE:
            raise ValueError(f"length of the text encoder is at most {LONGEST_SENTENCE} tokens, got {self.length}")


@dataclass(frozen=True)
class BackboneSize:
    """Sizes of a `CogVideoXTransformer3DModel`. The defaults are CogVideoX-5B's.

    Attributes:
        heads, head_dim: attention; their product is the width.
        layers: blocks.
        time_dim: of the embedding of the diffusion time.
        patch: latent pixels of a token's side.
        rotary: 3D rotary positions (CogVideoX-5B), which any resolution may have; else sine and cosine (2B).
        snr_shift: of the noise schedule (1 in CogVideoX-5B, 3 in 2B).
        latent_scale: what the autoencoder's latents are multiplied by (0.7 in CogVideoX-5B, 1.15258426 in 2B).
    """

    heads: int = 48
    head_dim: int = 64
    layers: int = 42
    time_dim: int = 512
    patch: int = 2
    rotary: bool = True
    snr_shift: float = 1.0
    latent_scale: float = 0.7

    def __post_init__(self) -> None:
        for name in ("heads", "head_dim", "layers", "time_dim", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a backbone must be at least 1, got {getattr(self, name)}")
        if self.head_dim % 16:
            raise ValueError(f"head_dim is divided among time, height and width: a multiple of 16, got {self.head_dim}")
        if self.snr_shift <= 0 or self.latent_scale <= 0:
            raise ValueError(f"snr_shift and latent_scale must be positive, got {self.snr_shift}, {self.latent_scale}")

    @property
    def width(self) -> int:
        """Entries of a token."""
        return self.heads * self.head_dim


COGVIDEOX_5B = BackboneSize()
COGVIDEOX_2B = BackboneSize(heads=30, layers=30, rotary=False, snr_shift=3.0, latent_scale=1.15258426)
