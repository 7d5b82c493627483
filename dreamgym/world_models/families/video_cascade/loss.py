"""What each stage of training minimises, on windows of rows; and the latents of clips, which are encoded once."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from dreamgym.data.clips import CLIP, TASK
from dreamgym.world_models.base import to_frames
from dreamgym.world_models.families.video_cascade.actions import ActionEncoder
from dreamgym.world_models.families.video_cascade.autoencoder import VideoAutoencoder, resize
from dreamgym.world_models.families.video_cascade.backbone import VideoBackbone
from dreamgym.world_models.families.video_cascade.config import VideoCascadeConfig
from dreamgym.world_models.families.video_cascade.preview import denoising_loss
from dreamgym.world_models.families.video_cascade.refinement import Velocity, degrade, flow_loss, upsample
from dreamgym.world_models.families.video_cascade.text import InstructionEncoder

ABSOLUTE, SHRINK = 0.1, 1e-4
"""Weights, beside the squared error, of the absolute error (edges) and of the squared latents (their scale)."""


class Latents(NamedTuple):
    """Scaled latents of clips: [B, T, Z, h, w], and of their first frames alone [B, 1, Z, h, w]."""

    high: Tensor
    high_first: Tensor
    low: Tensor
    low_first: Tensor
    shrunk: Tensor
    """Of the clip that was shrunk and enlarged again (A.1, A.2); empty [B, 0] unless it is the flow's source."""


class Parts(Protocol):
    """What the losses read of the model."""

    config: VideoCascadeConfig
    autoencoder: VideoAutoencoder
    text: InstructionEncoder | ActionEncoder
    backbone: VideoBackbone
    latents: LatentCache
    training: bool

    def to_model(self, latents: Tensor, first: Tensor) -> Tensor:
        """Latents [B, T, Z, h, w] as the transformers predict them."""
        ...

    def velocity(self, first: Tensor, text: Tensor, beside: Tensor | None = None) -> Velocity:
        """The refiner's velocity field; see `VideoCascade.velocity`."""
        ...


class LatentCache:
    """Latents of the clips that a run has seen, float16 in main memory: each is encoded once.

    Latents depend on the autoencoder's weights; `clear` forgets them. It is no part of the model's state: whatever it
    holds can be computed again.
    """

    def __init__(self) -> None:
        self._rows: dict[int, Latents] = {}

    def clear(self) -> None:
        """Forgets all latents."""
        self._rows.clear()

    def __deepcopy__(self, memo: object) -> LatentCache:
        return LatentCache()

    @torch.no_grad()
    def latents(self, model: Parts, batch: dict[str, Tensor]) -> Latents:
        """Latents of a batch of whole clips, on the model's device."""
        device = model.autoencoder.latent_mean.device
        frames = clip_frames(model, batch)
        if CLIP not in batch or not bool(batch["is_first"][:, 0].all()):
            return encode(model, frames)
        numbers = batch[CLIP][:, 0].tolist()
        for i, number in enumerate(numbers):
            if number not in self._rows:
                made = encode(model, frames[i : i + 1])
                self._rows[number] = Latents(*(part[0].half().cpu() for part in made))
        parts = zip(*(self._rows[n] for n in numbers), strict=True)
        return Latents(*(torch.stack([one.float() for one in part]).to(device) for part in parts))


def clip_frames(model: Parts, batch: dict[str, Tensor]) -> Tensor:
    """Frames [B, F, C, H, W] in [0, 1] of a batch of rows.

    Raises:
        ValueError: images of another size, or windows that are no whole clip.
    """
    config = model.config
    rows = {k: batch[k] for k in (config.camera, "action")}
    frames = to_frames(rows, config.actions_per_frame)[config.camera].float() / 255
    if tuple(frames.shape[2:]) != config.image or (frames.shape[1] - 1) % (2 * config.autoencoder.stride):
        unit, got = 2 * config.autoencoder.stride, tuple(frames.shape[1:])
        raise ValueError(f"expected clips of {unit} k + 1 frames of shape {config.image}, got {got}")
    return frames


@torch.no_grad()
def encode(model: Parts, frames: Tensor) -> Latents:
    """Latents of clips [B, F, C, H, W] in [0, 1]."""
    made = model.autoencoder
    low = made.shrink(frames)
    shrunk = made.encode(resize(low, model.config.image[1:])) if model.config.source == "pixel" else frames.new_empty(
        len(frames), 0
    )  # fmt: skip
    return Latents(made.encode(frames), made.encode(frames[:, :1]), made.encode(low), made.encode(low[:, :1]), shrunk)


def autoencoder_loss(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Squared and absolute error of reconstructions at both resolutions; keeps the statistics of latents."""
    frames, parts = clip_frames(model, batch), {}
    total = frames.new_zeros(())
    for name, clip in (("high", frames), ("low", model.autoencoder.shrink(frames))):
        latents = model.autoencoder.posterior(clip)
        error = model.autoencoder.reconstruct(latents).float() - clip
        squared = error.square().mean()
        total = total + 4 * squared + ABSOLUTE * 2 * error.abs().mean() + SHRINK * latents.float().square().mean()
        parts[f"psnr_{name}"] = -10 * squared.detach().log10()
        if name == "high" and model.training:
            model.autoencoder.note_latents(latents.detach().float())
    return {"loss": total, **parts}


def monolithic_loss(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Denoising at high resolution."""
    return _denoising(model, batch, "high", generator)


def preview_loss(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Denoising at low resolution."""
    return _denoising(model, batch, "low", generator)


def _denoising(
    model: Parts, batch: dict[str, Tensor], resolution: str, generator: torch.Generator | None
) -> dict[str, Tensor]:
    made = model.latents.latents(model, batch)
    clean, first = (made.high, made.high_first) if resolution == "high" else (made.low, made.low_first)
    text = told(model, batch, generator)
    loss = denoising_loss(model.backbone, model.to_model(clean, first), first, text, generator).mean()
    return {"loss": loss}


def refiner_loss(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Flow matching from degraded to high-resolution latents (equations 2 to 4, A.1 to A.7)."""
    made, config = model.latents.latents(model, batch), model.config
    target = model.to_model(made.high, made.high_first)
    if config.source == "pixel":
        source = model.to_model(made.shrunk, made.high_first)
    else:
        source = upsample(model.to_model(made.low, made.low_first), config.latent_size("high"))
    if config.source == "noise":
        beside, source = source, torch.randn(source.shape, generator=generator, device=source.device)
        velocity = model.velocity(made.high_first, told(model, batch, generator), beside)
    else:
        strength = config.degradation * torch.rand(len(source), generator=generator, device=source.device)
        source = degrade(source, strength, generator)
        velocity = model.velocity(made.high_first, told(model, batch, generator))
    return {"loss": flow_loss(velocity, source, target, generator).mean()}


def told(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> Tensor:
    """Embeddings [B, L, D]: one of the sentences of each clip's task, or its actions; for a share of them, nothing."""
    config, device = model.config, model.autoencoder.latent_mean.device
    if isinstance(model.text, ActionEncoder):
        actions = to_frames({"action": batch["action"]}, config.actions_per_frame)["action"].to(device)
        known = torch.rand(len(actions), generator=generator, device=device) >= config.drop_text
        following: Tensor = model.text(actions, known)
        return following
    task = batch[TASK][:, 0].long().to(device)
    counts = torch.tensor([len(s) for s in config.tasks.values()], device=device)
    firsts = counts.cumsum(0) - counts
    draws = torch.rand((2, len(task)), generator=generator, device=device)
    sentence = firsts[task] + (draws[0] * counts[task]).long()
    embedded: Tensor = model.text(torch.where(draws[1] < config.drop_text, model.text.num_sentences, sentence))
    return embedded


LOSSES = {
    "autoencoder": autoencoder_loss,
    "monolithic": monolithic_loss,
    "preview": preview_loss,
    "refiner": refiner_loss,
}
"""By stage."""
