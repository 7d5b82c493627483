"""The training objective: squared errors of predicted observations (WARPD, equations 5 and 13)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dreamgym.world_models.mlp.config import MLPConfig
from dreamgym.world_models.mlp.scaling import Scaling


class Predictor(Protocol):
    """What the loss takes of an `MLPWorldModel`."""

    config: MLPConfig
    scaling: Scaling

    def changes(self, obs: Tensor, action: Tensor) -> Tensor: ...


def mlp_loss(model: Predictor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Negative log-likelihood in nats a step, without its constant. See `WorldModel.loss` for the batch.

    A prediction from frame t reads frames t - H + 1 to t. Where the window begins later than that, the first frame is
    repeated with hold actions, as at a reset; so the model knows such histories.

    A frame marked ``is_first`` was not led to by the one before: no prediction counts that crosses into it. (The first
    frame of a window has none before.)

    With ``unroll`` k, every member goes on from its own prediction for k steps, and each of them counts.

    Raises:
        ValueError: windows of fewer than unroll + 1 frames.
    """
    config, scaling = model.config, model.scaling
    obs, action = scaling.obs(batch[config.sensor].float()), scaling.action(batch["action"].float())
    begins = obs.shape[1] - config.unroll  # frames from which all of the unroll lies in the window
    if begins < 1:
        raise ValueError(f"windows of {obs.shape[1]} frames: unroll={config.unroll} needs at least {config.unroll + 1}")
    before = config.history - 1
    hold = scaling.action(torch.tensor(config.action.hold, device=obs.device))
    obs = torch.cat([obs[:, :1].expand(-1, before, -1), obs], 1)
    action = torch.cat([hold.expand(len(obs), before, -1), action], 1)

    # [N, H, ...] for every begin, then a copy a member, which drifts on its own.
    seen = _windows(obs[:, : begins + before], config.history).expand(config.ensemble, -1, -1, -1)
    losses, steps, whole = [], [], _uncrossed(batch, before, config.unroll)
    for k in range(config.unroll):
        taken = _windows(action[:, k : k + begins + before], config.history).expand(config.ensemble, -1, -1, -1)
        newest = seen[:, :, -1] + model.changes(seen, taken)
        target = obs[:, before + k + 1 : before + k + 1 + begins].flatten(0, 1)
        error = (newest - target) / (config.std * scaling.step)
        counted = whole[k]
        losses.append(0.5 * (error.square().sum(-1) * counted).sum() / (config.ensemble * counted.sum()).clamp(min=1))
        steps.append(error.detach())
        seen = torch.cat([seen[:, :, 1:], newest.unsqueeze(2)], 2)
    loss = torch.stack(losses).mean()
    log = {"one_step": losses[0].detach(), "last_step": losses[-1].detach()}
    # Share of the first change that stays unexplained: 1 is no better than repeating the frame.
    first = (steps[0].square().mean(-1) * whole[0]).sum() / (config.ensemble * whole[0].sum()).clamp(min=1)
    log["unexplained"] = config.std**2 * first
    return {"loss": loss, **log}


def _uncrossed(batch: dict[str, Tensor], before: int, unroll: int) -> list[Tensor]:
    """For each step of the unroll, float [B * begins]: 1 where no frame from the history to it begins anew."""
    size, frames = batch["action"].shape[:2]
    anew = torch.zeros(size, before + frames, dtype=torch.bool, device=batch["action"].device)
    if "is_first" in batch:
        anew[:, before + 1 :] = batch["is_first"][:, 1:].bool()
    # The oldest frame of a history may itself be a first one.
    crossed = [anew[:, 1:].unfold(1, before + k + 1, 1).any(-1) for k in range(unroll)]
    return [(~c[:, : frames - unroll]).flatten().float() for c in crossed]


def _windows(x: Tensor, length: int) -> Tensor:
    """[B, T, D] to all its windows [B * (T - length + 1), length, D]."""
    return x.unfold(1, length, 1).transpose(-1, -2).flatten(0, 1)
