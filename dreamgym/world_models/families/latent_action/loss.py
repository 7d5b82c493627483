"""What each stage minimises (LAC-WM, section 3)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from dreamgym.data.join import EMBODIMENT
from dreamgym.world_models.base import to_frames
from dreamgym.world_models.families.latent_action.augment import augmented
from dreamgym.world_models.families.latent_action.config import LatentActionConfig
from dreamgym.world_models.families.latent_action.forward import ForwardDynamics
from dreamgym.world_models.families.latent_action.inverse import InverseDynamics
from dreamgym.world_models.families.latent_action.motion import MotionDecoder, motion_labels


class Parts(Protocol):
    """What the losses read of the model."""

    config: LatentActionConfig
    idm: InverseDynamics | None
    fdm: ForwardDynamics
    motion: MotionDecoder | None
    decoder: nn.Module

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [..., 3, H, W] as tokens [..., N, D]."""
        ...

    def infer(self, before: Tensor, after: Tensor) -> Tensor:
        """Latent actions [..., Z] between frames' tokens [..., N, D]."""
        ...

    def project(self, actions: Tensor, robot: str) -> Tensor:
        """Latent actions [..., Z] of a robot's control actions [..., a, A]."""
        ...


def pretraining(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """L = lambda_recon L_recon + lambda_motion L_motion, with cross-augmentation.

    The inverse model sees the frames in one view, the forward model in another, so that a latent action cannot carry
    the next frame itself. Both losses are in units of their targets' spread.
    """
    config = model.config
    frames, rows = _frames(model, batch)
    one, two = (model.encode(augmented(frames, config.augment, generator)) for _ in range(2))
    latent = model.infer(one[:, :-1], one[:, 1:])
    told = {"recon": _recon(model, two, latent), "copy": _copy(model, two)}
    loss = config.recon_weight * told["recon"]
    if model.motion is not None and config.motion is not None:
        labels = model.motion.standardised(motion_labels(config.motion, rows[config.motion.sensor].float()))
        found = model.motion(two[:, :-1].flatten(0, 1), latent.flatten(0, 1))
        told["motion"] = (found - labels.flatten(0, 1)).square().mean()
        loss = loss + config.motion_weight * told["motion"]
    return {"loss": loss, **{k: v.detach() for k, v in told.items()}}


def projecting(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """L_recon with the projected action, and its distance to the latent action that the inverse model sees.

    The paper's stage trains the projector by the frozen forward model; the second term, which it does not name, gives
    the projector a target of its own before the forward model's gradient is of use.
    """
    frames, rows = _frames(model, batch)
    tokens = model.encode(frames)
    latent = projected(model, batch, rows["action"])
    recon = _recon(model, tokens, latent)
    told = {"recon": recon, "copy": _copy(model, tokens)}
    if model.idm is not None:
        with torch.no_grad():
            seen = model.infer(tokens[:, :-1], tokens[:, 1:])
        told["latent"] = (latent - seen).square().mean()
    return {"loss": recon + told.get("latent", 0.0), **{k: v.detach() for k, v in told.items()}}


def acting(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """L_recon with the robots' own actions: of EAC-WM (section 4.1), and of the last stage of adaptation."""
    frames, rows = _frames(model, batch)
    tokens = model.encode(augmented(frames, model.config.augment, generator))
    loss = _recon(model, tokens, projected(model, batch, rows["action"]))
    return {"loss": loss, "recon": loss.detach(), "copy": _copy(model, tokens)}


def decoding(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Mean square error of the decoded frames (A.4)."""
    frames, _ = _frames(model, batch)
    loss = (model.decoder(model.encode(frames).flatten(0, 1)) - frames.flatten(0, 1)).square().mean()
    return {"loss": loss, "psnr": -10 * loss.detach().log10()}


def projected(model: Parts, batch: dict[str, Tensor], actions: Tensor) -> Tensor:
    """Latent actions [B, F, Z] of [B, F, a, A], each window by its robot's projector.

    Raises:
        ValueError: rows of a robot that the model does not know.
    """
    robots = list(model.config.robots.items())
    if EMBODIMENT not in batch:
        name, spec = robots[-1]
        return model.project(actions[..., : spec.dim], name)
    index = batch[EMBODIMENT][:, 0].long()
    if int(index.max()) >= len(robots):
        raise ValueError(f"rows of robot number {int(index.max())}, and the model knows {[n for n, _ in robots]}")
    out = actions.new_zeros(*actions.shape[:2], model.config.latent_dim)
    for i, (name, spec) in enumerate(robots):
        mine = index == i
        if bool(mine.any()):
            out[mine] = model.project(actions[mine][..., : spec.dim], name).to(out.dtype)
    return out


def _frames(model: Parts, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Images [B, F, 3, H, W] in [0, 1], and everything of the batch by frames."""
    needed, found = model.config.actions_per_frame + 1, batch["action"].shape[1]
    if found < needed:
        raise ValueError(f"windows of {found} rows: this model needs at least {needed}")
    rows = to_frames({k: v for k, v in batch.items() if k != "is_first"}, model.config.actions_per_frame)
    return rows[model.config.sensor].float() / 255, rows


def _recon(model: Parts, tokens: Tensor, latent: Tensor) -> Tensor:
    """Square error of the next frame's tokens, in units of a frame's usual change."""
    predicted = model.fdm(tokens[:, :-1], latent)
    return ((predicted - tokens[:, 1:]) / model.fdm.scale).square().mean()


def _copy(model: Parts, tokens: Tensor) -> Tensor:
    """The same error of the frame before: what a prediction has to beat."""
    return (tokens.diff(dim=1) / model.fdm.scale).square().mean().detach()
