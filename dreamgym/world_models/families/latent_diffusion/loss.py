"""What the world model minimises (LaDi-WM, equation 8)."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamgym.nn.decoupled import attenuate
from dreamgym.world_models.base import to_frames
from dreamgym.world_models.families.latent_diffusion.config import LatentDiffusionConfig
from dreamgym.world_models.families.latent_diffusion.decoder import ImageDecoder
from dreamgym.world_models.families.latent_diffusion.network import Denoiser
from dreamgym.world_models.families.latent_diffusion.tokens import Tokens
from dreamgym.world_models.probe import StateProbe

SHORT = 0.1
"""Share of windows whose history is shortened: its first frames repeat a later one, as where an episode begins."""

DRAWN = 4
"""Frames of a batch that the decoder learns from: it would cost as much as everything else."""


class Predictor(Protocol):
    """What the loss takes of a `LatentDiffusion`."""

    config: LatentDiffusionConfig
    tokens: Tokens
    denoiser: Denoiser
    decoder: ImageDecoder | None
    reader: StateProbe | None
    hold: Tensor

    def scaled_action(self, action: Tensor) -> Tensor: ...
    def split(self, tokens: Tensor) -> list[Tensor]: ...
    def target(self, tokens: Tensor, last: Tensor) -> Tensor: ...


def latent_diffusion_loss(
    model: Predictor, batch: dict[str, Tensor], generator: torch.Generator | None
) -> dict[str, Tensor]:
    """Squared errors of C, z_0 and eta of every stream; and of what is drawn and read, which reaches no other part.

    Args:
        model: of whose config windows are read: the first ``history`` frames are given, ``chunk`` more predicted.
        batch: cameras uint8 or ready features (see `FEATURES`), and "action", [B, T, ...].
        generator: source of randomness.

    Raises:
        ValueError: windows of fewer than (history + chunk - 1) * actions_per_frame + 1 rows.
    """
    config = model.config
    frames = to_frames(batch, config.actions_per_frame)
    need, found = config.history + config.chunk, frames["action"].shape[1] + 1
    if found < need:
        rows = (need - 1) * config.actions_per_frame + 1
        raise ValueError(f"windows of {batch['action'].shape[1]} rows: this model needs at least {rows}")
    frames = {k: v[:, : need - 1 if k == "action" else need] for k, v in frames.items()}
    tokens, action = model.tokens.of_batch(frames), model.scaled_action(frames["action"])
    past, actions = _history(model, tokens, action, generator)
    future = tokens[:, config.history :]
    losses = _diffusion(model, past, future, actions, generator)
    loss = torch.stack([losses[name] for name in ("component", "clean", "noise")]).sum()
    log = {name: value.detach() for name, value in losses.items()}
    if model.decoder is not None and all(name in batch for name in config.images):
        drawn = _drawing(model.decoder, tokens, frames, generator)
        loss, log["drawing"] = loss + drawn, drawn.detach()
    if model.reader is not None and all(name in batch for name in config.vectors):
        truth = {name: frames[name].flatten(0, 1) for name in config.vectors}
        read = model.reader.loss(tokens.flatten(2).flatten(0, 1), truth)
        loss, log["reading"] = loss + read, read.detach()
    return {"loss": loss, **log}


def _history(
    model: Predictor, tokens: Tensor, action: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """History [B, l, N, C], and the actions that lead to its frames and to the future ones, [B, l + k, a * A]."""
    config, size = model.config, len(tokens)
    held = model.scaled_action(model.hold.expand(size, 1, config.actions_per_frame, -1))
    actions = torch.cat([held, action], 1)
    short = torch.rand(size, generator=generator, device=tokens.device) < SHORT
    length = torch.randint(1, config.history + 1, (size,), generator=generator, device=tokens.device)
    first = torch.where(short, config.history - length, 0)  # the frame that those before it repeat
    index = torch.arange(config.history, device=tokens.device).unsqueeze(0)
    source = torch.maximum(index, first.unsqueeze(1))
    past = tokens.gather(1, source.view(size, -1, 1, 1).expand(-1, -1, *tokens.shape[2:]))
    repeated = (index <= first.unsqueeze(1)).unsqueeze(-1)
    known = torch.where(repeated, held, actions[:, : config.history])
    return past, torch.cat([known, actions[:, config.history :]], 1)


def _diffusion(
    model: Predictor, past: Tensor, future: Tensor, actions: Tensor, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """Equation 8, each term a mean over entries and added over streams."""
    config = model.config
    target = model.target(future, past[:, -1])
    clean = model.split(target)
    noise = model.split(torch.randn(target.shape, generator=generator, device=target.device))
    n = torch.rand(len(target), generator=generator, device=target.device).clamp(min=1e-3)
    if not config.diffusion:
        n, noise = torch.ones_like(n), [torch.zeros_like(z) for z in clean]
    noisy = [attenuate(z, n, eta) for z, eta in zip(clean, noise, strict=True)]
    context = model.denoiser.context(model.split(past), actions[:, : config.history], actions[:, config.history :])
    guesses = model.denoiser(noisy, n, context)
    component = sum(F.mse_loss(c.float(), -z) for (c, _, _), z in zip(guesses, clean, strict=True))
    value = sum(F.mse_loss(v.float(), z) for (_, v, _), z in zip(guesses, clean, strict=True))
    eta = sum(F.mse_loss(e.float(), x) for (_, _, e), x in zip(guesses, noise, strict=True))
    scale = sum(z.square().mean() for z in clean)
    return {
        "component": torch.as_tensor(component),
        "clean": torch.as_tensor(value),
        "noise": torch.as_tensor(eta),
        # Share of the target that stays unexplained, over all noise levels; copying the last frame leaves 1.
        "unexplained": torch.as_tensor(value).detach() / torch.as_tensor(scale),
    }


def _drawing(
    decoder: ImageDecoder, tokens: Tensor, frames: dict[str, Tensor], generator: torch.Generator | None
) -> Tensor:
    """Squared error of the drawing of one frame of each of the first windows."""
    size, count = min(DRAWN, len(tokens)), tokens.shape[1]
    rows = torch.arange(size, device=tokens.device)
    at = torch.randint(count, (size,), generator=generator, device=tokens.device)
    drawn = decoder(tokens[rows, at].detach(), list(decoder.images))
    errors = [F.mse_loss(drawn[name], frames[name][rows, at].float() / 255) for name in drawn]
    return torch.stack(errors).sum()
