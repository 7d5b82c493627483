"""The training objective: the variational bound of DiWA S.2.1, equation 10."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dreamgym.nn.categorical import balanced_kl
from dreamgym.world_models.rssm.observations import normalize_image

if TYPE_CHECKING:
    from dreamgym.world_models.rssm.model import RSSM


def rssm_loss(model: RSSM, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
    """Losses in nats a frame. See `WorldModel.loss` for the batch."""
    config = model.config
    action = batch["action"]
    size, steps = action.shape[:2]
    device = action.device
    noise = torch.rand(size, steps, 1 + config.stoch, generator=generator, device=device)
    heads = torch.rand(config.ensemble_size, size, generator=generator, device=device) < 0.5
    # One random choice of frames for all cameras: a random key a frame, the smallest are decoded.
    order = torch.rand(size * steps, generator=generator, device=device).argsort()

    reset = noise[..., 0] < config.reset_prob
    if "is_first" in batch:
        reset = reset | batch["is_first"].bool()
    keep = (~reset).float().unsqueeze(-1)
    previous = torch.cat([torch.zeros_like(action[:, :1]), action[:, :-1]], dim=1).float() * keep

    obs = {k: batch[k].flatten(0, 1) for k in config.inputs}
    embed = model.embed(obs).float().unflatten(0, (size, steps)).transpose(0, 1)
    # The recurrence stays in float32: bfloat16 would round the state once a step for the whole sequence.
    with torch.autocast(device.type, enabled=False):
        h, z, posterior = model.dynamics.unroll(
            embed, previous.transpose(0, 1), keep.transpose(0, 1), noise[..., 1:].transpose(0, 1).contiguous()
        )
    prior = model.dynamics.prior(h).float()
    kl, kl_value = balanced_kl(posterior, prior, config.kl_balance)
    losses = {"kl": kl.mean()}

    # [T, B] to [B * T], the order of the batch.
    latent = torch.cat([h, z], dim=-1).transpose(0, 1).flatten(0, 1)
    chosen = order[: max(1, round(config.decode_fraction * size * steps))]
    for name in config.targets:
        if name in config.images:
            target = normalize_image(batch[name].flatten(0, 1)[chosen])
            error = model.decoder(latent[chosen], name) - target
            losses[name] = 0.5 * error.square().sum((1, 2, 3)).mean()
        else:
            codec = model.codec(name)
            raw = batch[name].flatten(0, 1).float()
            spreads = (config.vector_std, config.rotation_std)
            losses[name] = codec.loss(model.decoder(latent, name), raw, *spreads, config.binary_weight).mean()

    with torch.autocast(device.type, enabled=False):
        weight = heads.float().unsqueeze(1).expand(-1, steps, -1).flatten(1)
        probs = posterior.softmax(-1).flatten(-2)
        losses["ensemble"] = model.ensemble.loss(h.flatten(0, 1), probs.flatten(0, 1), weight)

    total = config.kl_scale * losses["kl"] + sum(v for k, v in losses.items() if k != "kl")
    log = {k: v.detach() for k, v in losses.items()}
    log["kl"] = kl_value.mean()
    return {"loss": total, **log}
