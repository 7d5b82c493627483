"""DINOv2 and SigLIP of transformers as frozen encoders of images (LaDi-WM, equation 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn.digest import sha256_of
from dreamgym.nn.encoders.config import EncoderConfig


def transformers() -> ModuleType:
    """The package transformers, imported when it is first needed.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import transformers as module
    except ImportError as error:
        raise ImportError('encoders need transformers: pip install "dreamgym[encoders]"') from error
    found: ModuleType = module
    return found


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within the block transformers does not report which weights it leaves aside: of SigLIP one tower is read."""
    logging = transformers().utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


class VisionEncoder(nn.Module):
    """Images to a grid of tokens; never trained, always in eval mode.

    Args:
        config: what to build.
        load: whether to load the weights of ``config.source``; without, they are random until a state dict is loaded.
            On the meta device nothing is ever loaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, load: bool = True) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        self.network = _network(config, load and not self.mean.is_meta)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> VisionEncoder:
        """Stays in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Encodes images.

        Args:
            images: uint8 [N, 3, H, W].

        Returns:
            [N, grid * grid, width], float32, row by row of the image.

        Raises:
            ValueError: another shape or type.
        """
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(
                f"an encoder takes uint8 images [N, 3, H, W] in 0 to 255, got {images.dtype} {tuple(images.shape)}"
            )
        return self.encode(self.preprocess(images))

    def preprocess(self, images: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] to what the weights take: resized, float32, standardised by colour."""
        size = (self.config.image_size,) * 2
        x = images.float() / 255
        if tuple(x.shape[-2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        return (x - self.mean) / self.std

    def encode(self, pixels: Tensor) -> Tensor:
        """Prepared images [N, 3, S, S] to tokens [N, grid * grid, width]."""
        grid, patches = self.config.grid, self.config.image_size // self.config.patch
        if self.config.kind == "pixels":
            return F.unfold(pixels, self.config.patch, stride=self.config.patch).transpose(1, 2)
        hidden = self.network(pixel_values=pixels, **self._interpolation()).last_hidden_state
        tokens: Tensor = hidden[:, -(patches**2) :].float()
        if patches == grid:
            return tokens
        plane = tokens.transpose(1, 2).unflatten(2, (patches, patches))
        return F.avg_pool2d(plane, patches // grid).flatten(2).transpose(1, 2)

    def _interpolation(self) -> dict[str, bool]:
        """SigLIP is told when images have another size than its positions; DINOv2 finds out."""
        trained = int(self.config.architecture["image_size"])
        other = self.config.kind == "siglip" and self.config.image_size != trained
        return {"interpolate_pos_encoding": True} if other else {}

    @property
    def sha256(self) -> str:
        """Of the weights."""
        return sha256_of(self.network.state_dict())

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of weights and preprocessing together: the name of a feature cache."""
        told = json.dumps([self.sha256, self.config.preprocessing], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def _network(config: EncoderConfig, load: bool) -> nn.Module:
    if config.kind == "pixels":
        return nn.Identity()
    module = transformers()
    if config.kind == "dinov2":
        cls: Any = module.Dinov2Model
        stated = module.Dinov2Config(**config.architecture)
    else:
        cls, stated = module.SiglipVisionModel, module.SiglipVisionConfig(**config.architecture)
    if not load:
        return _bare(cls(stated))
    try:
        with quiet_loading():
            found: nn.Module = cls.from_pretrained(config.source, dtype=torch.float32)
    except OSError as error:
        raise ValueError(
            f"no {config.kind} weights at {config.source!r} ({str(error).splitlines()[0]}): put them there, or give "
            "the encoder's source"
        ) from error
    made: Any = found
    if (width := made.config.hidden_size) != config.width:
        raise ValueError(
            f"the weights at {config.source!r} have width {width}, this model was made for {config.width}: give the "
            "encoder that it was made with"
        )
    return _bare(found)


def _bare(network: nn.Module) -> nn.Module:
    """Without what only pooling needs: tokens are read, not SigLIP's pooled output."""
    inner: Any = getattr(network, "vision_model", network)
    if hasattr(inner, "use_head"):
        inner.use_head = False
        inner.head = nn.Identity()
    return network
