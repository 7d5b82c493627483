"""DINOv2, SigLIP (LaDi-WM, equation 1) and V-JEPA 2 (LAC-WM, Table 4) of transformers as frozen image encoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn.digest import sha256_of
from dreamgym.nn.encoders.config import EncoderConfig
from dreamgym.nn.pretrained import loading_pretrained


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
        load: whether to load the weights of ``config.source`` at once. Else weights that are kept elsewhere
            (``config.kept``) are random until a state dict is loaded, and others are fetched at first need.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, load: bool = True) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        self.network: nn.Module | None = None
        if load:
            self.fetch()
        elif config.kept or config.kind == "pixels":
            self._take(_structure(config))

    def fetch(self) -> None:
        """Loads the weights of ``config.source``.

        Raises:
            ValueError: there are none, or not those that the config names.
        """
        self._take(_pretrained(self.config))
        if self.config.sha256 and self.sha256 != self.config.sha256:
            raise ValueError(
                f"the weights at {self.config.source!r} have sha256 {self.sha256[:16]}..., the model was made with "
                f"{self.config.sha256[:16]}...: give the encoder that it was made with"
            )

    def _take(self, network: nn.Module) -> None:
        self.network = network.to(self.mean.device).requires_grad_(False).train(False)

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
            [N, grid * grid, token_dim], float32, row by row of the image.

        Raises:
            ValueError: another shape or type.
        """
        if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(
                f"an encoder takes uint8 images [N, 3, H, W] in 0 to 255, got {images.dtype} {tuple(images.shape)}"
            )
        return self.encode(self.preprocess(images))

    def preprocess(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W], uint8 or float in [0, 1], to what the weights take: resized, standardised by colour."""
        size = (self.config.image_size,) * 2
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        if tuple(x.shape[-2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        return (x - self.mean) / self.std

    def encode(self, pixels: Tensor) -> Tensor:
        """Prepared images [N, 3, S, S] to tokens [N, grid * grid, token_dim]."""
        grid, patches = self.config.grid, self.config.image_size // self.config.patch
        if self.config.kind == "pixels":
            return F.unfold(pixels, self.config.patch, stride=self.config.patch).transpose(1, 2)
        if self.network is None:
            self.fetch()
        assert self.network is not None
        hidden = self.network(**self._inputs(pixels)).last_hidden_state
        tokens: Tensor = hidden[:, -(patches**2) :].float()
        if patches == grid:
            return tokens
        plane = tokens.transpose(1, 2).unflatten(2, (patches, patches))
        return F.avg_pool2d(plane, patches // grid).flatten(2).transpose(1, 2)

    def _inputs(self, pixels: Tensor) -> dict[str, Any]:
        """SigLIP is told when images have another size than its positions (DINOv2 finds out); a clip is still."""
        kind, architecture = self.config.kind, self.config.architecture
        if kind == "vjepa2":
            frames = int(architecture.get("tubelet_size", 2))
            clip = pixels.unsqueeze(1).expand(-1, frames, -1, -1, -1)
            return {"pixel_values_videos": clip, "skip_predictor": True}
        if kind == "siglip" and self.config.image_size != int(architecture["image_size"]):
            return {"pixel_values": pixels, "interpolate_pos_encoding": True}
        return {"pixel_values": pixels}

    @property
    def sha256(self) -> str:
        """Of the weights; of pixels, which have none, empty."""
        return sha256_of(self.network.state_dict()) if self.network is not None and self.config.architecture else ""


def _structure(config: EncoderConfig) -> nn.Module:
    """The network with random weights."""
    if config.kind == "pixels":
        return nn.Identity()
    module = transformers()
    classes = {
        "dinov2": (module.Dinov2Model, module.Dinov2Config),
        "siglip": (module.SiglipVisionModel, module.SiglipVisionConfig),
        "vjepa2": (module.VJEPA2Model, module.VJEPA2Config),
    }
    model, settings = classes[config.kind]
    return _bare(model(settings(**config.architecture)))


def _pretrained(config: EncoderConfig) -> nn.Module:
    if config.kind == "pixels":
        return nn.Identity()
    module = transformers()
    classes = {"dinov2": module.Dinov2Model, "siglip": module.SiglipVisionModel, "vjepa2": module.VJEPA2Model}
    cls: Any = classes[config.kind]
    try:
        with quiet_loading(), loading_pretrained():
            found: Any = cls.from_pretrained(config.source, dtype=torch.float32, use_safetensors=True)
    except OSError as error:
        raise ValueError(
            f"no {config.kind} weights at {config.source!r} ({str(error).splitlines()[0]}): put them there, or give "
            "the encoder's source"
        ) from error
    if (width := found.config.hidden_size) != config.token_dim:
        raise ValueError(
            f"the weights at {config.source!r} have width {width}, this model was made for {config.token_dim}: give "
            "the encoder that it was made with"
        )
    return _bare(found)


def _bare(network: nn.Module) -> nn.Module:
    """Without what only pooling needs: tokens are read, not SigLIP's pooled output."""
    inner: Any = getattr(network, "vision_model", network)
    if hasattr(inner, "use_head"):
        inner.use_head = False
        inner.head = nn.Identity()
    return network
