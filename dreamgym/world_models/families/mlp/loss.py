"""The training objective: squared errors of predicted observations (WARPD, equations 5 and 13)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dreamgym.world_models.families.mlp.config import MLPConfig
from dreamgym.world_models.families.mlp.standardizer import Standardizer


class Predictor(Protocol):
    """What the loss takes of an `MLPWorldModel`."""

    config: MLPConfig
    scaling: Standardizer

    def changes(self, obs: Tensor, action: Tensor) -> Tensor: ...


def mlp_loss(model: Predictor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Negative log-likelihood in nats a step, without its constant. See `WorldModel.loss` for the batch.

    A prediction from frame t reads frames t - H + 1 to t. Where an episode begins later than that, its first frame is
    repeated with hold actions that keep the gripper as the first action does (or with `MLPConfig.still`): the histories
    of resets and start banks.

    A frame marked ``is_first`` was not led to by the one before: no prediction counts that crosses into it. Nor does
    one whose history would begin before a window that is not marked at its first frame: what was there is not known.
    Without marks a window is an episode.

    With ``unroll`` k, every member goes on from its own prediction for k steps, and each of them counts.

    Raises:
        ValueError: windows of fewer than unroll + 1 frames.
    """
    config, scaling = model.config, model.scaling
    executed = config.action.prepare(batch["action"])
    raw = torch.cat([batch[name].float() for name in config.parts], -1)
    obs, action = scaling.obs(raw), scaling.action(executed)
    begins = obs.shape[1] - config.unroll  # frames from which all of the unroll lies in the window
    if begins < 1:
        raise ValueError(f"windows of {obs.shape[1]} frames: unroll={config.unroll} needs at least {config.unroll + 1}")
    before = config.history - 1
    obs = torch.cat([obs[:, :1].expand(-1, before, -1), obs], 1)
    action = torch.cat([scaling.action(_held(config, raw, executed)).expand(-1, before, -1), action], 1)

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


def _held(config: MLPConfig, obs: Tensor, executed: Tensor) -> Tensor:
    """[B, 1, A]: the action that kept still before windows of obs [B, T, O] and executed actions [B, T, A]."""
    if config.still:
        return obs[:, :1, list(config.still)]
    hold = torch.tensor(config.action.hold, device=obs.device).expand(len(obs), 1, -1).clone()
    for i in config.action.binary:
        hold[..., i] = executed[:, :1, i]
    return hold


def _uncrossed(batch: dict[str, Tensor], before: int, unroll: int) -> list[Tensor]:
    """For each step of the unroll, float [B * begins]: 1 where no frame from the history to it begins anew."""
    size, frames = batch["action"].shape[:2]
    anew = torch.zeros(size, before + frames, dtype=torch.bool, device=batch["action"].device)
    if "is_first" in batch:
        anew[:, before:] = batch["is_first"].bool()
        anew[:, before] ^= True  # in an episode's midst what lies before the window is made up
    # The oldest frame of a history may itself be a first one.
    crossed = [anew[:, 1:].unfold(1, before + k + 1, 1).any(-1) for k in range(unroll)]
    return [(~c[:, : frames - unroll]).flatten().float() for c in crossed]


def _windows(x: Tensor, length: int) -> Tensor:
    """[B, T, D] to all its windows [B * (T - length + 1), length, D]."""
    return x.unfold(1, length, 1).transpose(-1, -2).flatten(0, 1)
