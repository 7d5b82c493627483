"""What a clip costs: parameters, tokens and floating-point operations, counted on modules without memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dreamgym.world_models.families.video_cascade.backbone import VideoBackbone
from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.model import VideoCascade


@dataclass(frozen=True)
class ClipCost:
    """Floating-point operations of one clip (2 a multiply-add; matrix products, convolutions and attention).

    Attributes:
        denoising: all evaluations of the backbone, those without the instruction included (guidance).
        refining: all evaluations of the refiner.
        encoding: of the first frame, at every resolution that it is needed at.
        decoding: of the clip.
    """

    denoising: int
    refining: int
    encoding: int
    decoding: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.denoising + self.refining + self.encoding + self.decoding


def num_parameters(module: nn.Module, adapters: bool = True) -> int:
    """Parameters of a module, those of LoRA adapters included or not."""
    return sum(p.numel() for name, p in module.named_parameters() if adapters or ".lora_" not in name)


def num_tokens(config: VideoCascadeConfig, resolution: str) -> int:
    """Tokens of a clip at "low" or "high" resolution, those of what it is told included."""
    height, width = config.latent_size(resolution)
    patch = config.backbone.patch
    return config.latent_frames * (height // patch) * (width // patch) + config.told_tokens


def clip_cost(config: VideoCascadeConfig, fidelity: str) -> ClipCost:
    """The cost of a clip as ``fidelity`` makes it: "preview", "refined" or "monolithic".

    The adapters count as merged into the backbone's weights, as a server would run them.
    """
    with torch.device("meta"):
        model = VideoCascade(config)
        resolution = "high" if fidelity == "monolithic" else "low"
        evaluations = config.steps * (2 if config.guidance > 1 else 1)
        refines = fidelity == "refined"
        shown = "low" if fidelity == "preview" else "high"
        looked = {resolution, shown}
        return ClipCost(
            denoising=evaluations * backbone_flops(model.backbone, config, resolution),
            refining=config.refiner_steps * backbone_flops(model.refiner, config, "high") if refines else 0,
            encoding=sum(_encoding(model, r) for r in sorted(looked)),
            decoding=_decoding(model, shown),
        )


def backbone_flops(backbone: VideoBackbone, config: VideoCascadeConfig, resolution: str) -> int:
    """One evaluation of a transformer, which stands on the meta device, on one clip; its adapters off."""
    latents = _latents(config, resolution)
    text = torch.empty(1, config.told_tokens, config.text.width, device="meta")
    time = torch.zeros(1, device="meta")

    def evaluate() -> Tensor:
        return backbone(latents, latents[:, :1], text, time, latents if backbone.beside else None)

    if not getattr(backbone.transformer, "_hf_peft_config_loaded", False):
        return count_flops(evaluate)
    with backbone.without_lora():
        return count_flops(evaluate)


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def _latents(config: VideoCascadeConfig, resolution: str) -> Tensor:
    size = config.latent_size(resolution)
    return torch.empty(1, config.latent_frames, config.autoencoder.latent_channels, *size, device="meta")


def _encoding(model: VideoCascade, resolution: str) -> int:
    config = model.config
    size = config.low if resolution == "low" else config.image[1:]
    frame = torch.empty(1, 1, config.image[0], *size, device="meta")
    return count_flops(lambda: model.autoencoder.encode(frame))


def _decoding(model: VideoCascade, resolution: str) -> int:
    latents = _latents(model.config, resolution)
    return count_flops(lambda: model.autoencoder.decode(latents))
