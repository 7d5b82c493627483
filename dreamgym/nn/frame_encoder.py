"""Frozen encoders of single frames: V-JEPA 2 of transformers, or the frame's own patches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VJEPA2_GIANT: dict[str, Any] = {
    "hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11, "patch_size": 16,
    "crop_size": 256, "frames_per_clip": 64, "tubelet_size": 2,
}  # fmt: skip
"""Architecture of facebook/vjepa2-vitg-fpc64-256, the 1B encoder of LAC-WM's Table 4."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class FrameEncoderConfig:
    """Configures a `FrameEncoder`.

    Attributes:
        kind: "vjepa2", or "pixels": patches of the frame itself, which nothing has to be fetched or trained for.
        source: name on the Hugging Face Hub or folder of V-JEPA 2's weights.
        architecture: fields of transformers' VJEPA2Config that the weights are for.
        image_size: frames are resized to this height and width, pixels.
        grid: tokens a side; of "vjepa2" the image's patches.
        kept: whether the weights are kept in the checkpoints of the model that uses them; else their name and sha256.
    """

    kind: Literal["pixels", "vjepa2"] = "pixels"
    source: str = ""
    architecture: dict[str, Any] = field(default_factory=dict)
    image_size: int = 64
    grid: int = 8
    kept: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("pixels", "vjepa2"):
            raise ValueError(f"kind of an encoder: expected 'pixels' or 'vjepa2', got {self.kind!r}")
        if self.image_size % self.grid:
            raise ValueError(f"image_size={self.image_size} must be a multiple of grid={self.grid}")
        if self.kind == "vjepa2" and self.image_size // self.architecture.get("patch_size", 16) != self.grid:
            raise ValueError(
                f"V-JEPA 2 with patches of {self.architecture.get('patch_size', 16)} pixels gives another grid than "
                f"{self.grid} x {self.grid} of images of {self.image_size} pixels"
            )

    @property
    def patch(self) -> int:
        """Height and width of a token's patch, pixels."""
        return self.image_size // self.grid

    @property
    def tokens(self) -> int:
        """Tokens N a frame."""
        return self.grid**2

    @property
    def width(self) -> int:
        """Numbers D a token."""
        return 3 * self.patch**2 if self.kind == "pixels" else int(self.architecture["hidden_size"])


class FrameEncoder(nn.Module):
    """Frames to tokens; never trained.

    Args:
        config: what to build. Weights that are not kept are read when frames are first encoded (`load`); those that are
            kept begin at random, until they are loaded with the model's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: FrameEncoderConfig) -> None:
        super().__init__()
        self.config, self._loaded = config, False
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        lazy = config.kind == "pixels" or not config.kept
        self.network: Any = None if lazy else _vjepa2(config.architecture).requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrameEncoder:
        """Stays in eval mode."""
        super().train(False)
        return self

    def load(self) -> None:
        """Reads the pretrained weights of ``config.source``, where they were not yet; pixels have none.

        Raises:
            ValueError: there are none, or of another width.
        """
        if self.config.kind == "pixels" or self._loaded:
            return
        module = _transformers()
        try:
            found = module.VJEPA2Model.from_pretrained(self.config.source, dtype=torch.float32)
        except OSError as error:
            raise ValueError(
                f"no V-JEPA 2 weights at {self.config.source!r} ({str(error).splitlines()[0]}): put them there, or "
                "give the encoder's source"
            ) from error
        if found.config.hidden_size != self.config.width:
            raise ValueError(
                f"the weights at {self.config.source!r} have width {found.config.hidden_size}, expected "
                f"{self.config.width}"
            )
        self.network, self._loaded = found.requires_grad_(False).eval().to(self.mean.device), True

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Encodes frames.

        Args:
            frames: [R, 3, H, W], uint8, or float in [0, 1].

        Returns:
            [R, N, D] float32, row by row of the image.
        """
        x = frames.float() / 255 if frames.dtype == torch.uint8 else frames
        size = (self.config.image_size,) * 2
        if tuple(x.shape[-2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        if self.config.kind == "pixels":
            return F.unfold(2 * x - 1, self.config.patch, stride=self.config.patch).transpose(1, 2)
        if self.network is None:
            self.load()
        clip = ((x - self.mean) / self.std).unsqueeze(1).expand(-1, 2, -1, -1, -1)  # a tubelet is two frames
        hidden: Tensor = self.network(pixel_values_videos=clip, skip_predictor=True).last_hidden_state
        return hidden.float()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError('V-JEPA 2 needs transformers: pip install "dreamgym[latent-action]"') from error
    return transformers


def _vjepa2(architecture: dict[str, Any]) -> nn.Module:
    module = _transformers()
    made: nn.Module = module.VJEPA2Model(module.VJEPA2Config(**architecture))
    return made
