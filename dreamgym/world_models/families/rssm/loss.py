"""The training objective: the variational bound of DiWA S.2.1, equation 10."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dreamgym.nn.categorical import balanced_kl
from dreamgym.nn.vectors import VectorCodec
from dreamgym.types import Observation
from dreamgym.world_models.families.rssm.config import RSSMConfig
from dreamgym.world_models.families.rssm.disagreement import DisagreementHeads
from dreamgym.world_models.families.rssm.dynamics import Dynamics
from dreamgym.world_models.families.rssm.observations import ObservationDecoder, normalize_image


class Parts(Protocol):
    """What the loss takes of an `RSSM`."""

    config: RSSMConfig
    dynamics: Dynamics
    decoder: ObservationDecoder
    ensemble: DisagreementHeads

    def embed(self, obs: Observation) -> Tensor: ...

    def codec(self, name: str) -> VectorCodec: ...


def rssm_loss(model: Parts, batch: dict[str, Tensor], generator: torch.Generator | None) -> dict[str, Tensor]:
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

    if config.overshoot:
        losses["overshoot"] = overshooting(model, torch.cat([h, z], -1), posterior, action, reset, generator)

    # [T, B] to [B * T], the order of the batch.
    latent = torch.cat([h, z], dim=-1).transpose(0, 1).flatten(0, 1)
    chosen = order[: max(1, round(config.decode_fraction * size * steps))]
    for name in config.targets:
        if name in config.images:
            target = normalize_image(batch[name].flatten(0, 1)[chosen])
            error = model.decoder(latent[chosen], name) - target
            losses[name] = 0.5 * config.image_weights.get(name, 1.0) * error.square().sum((1, 2, 3)).mean()
        else:
            codec = model.codec(name)
            raw = batch[name].flatten(0, 1).float()
            spreads = (config.vector_std, config.rotation_std)
            losses[name] = codec.loss(model.decoder(latent, name), raw, *spreads, config.binary_weight).mean()

    with torch.autocast(device.type, enabled=False):
        weight = heads.float().unsqueeze(1).expand(-1, steps, -1).flatten(1)
        probs = posterior.softmax(-1).flatten(-2)
        losses["ensemble"] = model.ensemble.loss(h.flatten(0, 1), probs.flatten(0, 1), weight)

    scale = {"kl": config.kl_scale, "overshoot": config.overshoot_scale}
    total = torch.stack([scale.get(k, 1.0) * v for k, v in losses.items()]).sum()
    log = {k: v.detach() for k, v in losses.items()}
    log["kl"] = kl_value.mean()
    return {"loss": total, **log}


def overshooting(
    model: Parts, latent: Tensor, posterior: Tensor, action: Tensor, reset: Tensor, generator: torch.Generator | None
) -> Tensor:
    """KL from the posterior to the prior unrolled 1 to ``overshoot`` steps without observations, nats a step.

    Latent overshooting (PlaNet, Hafner et al. 2019, section 4): equation 10 only ever trains the prior one step from
    what was seen, while a dream runs for a whole horizon. From ``overshoot_starts`` random frames of each sequence the
    prior is sampled along the recorded actions, and its distribution is drawn to the posterior of the frame it has
    come to. Gradients reach the recurrence and the prior alone: what is seen is not bent towards what is dreamt.

    Args:
        model: the RSSM.
        latent: [T, B, k] filtered states.
        posterior: [T, B, stoch, classes] logits.
        action: [B, T, A], from each frame on.
        reset: bool [B, T], frames at which the state restarts; no path runs across one.
        generator: source of starts and samples.
    """
    config, dynamics, device = model.config, model.dynamics, action.device
    steps, size = latent.shape[:2]
    ahead = min(config.overshoot, steps - 1)
    starts = torch.randint(steps - ahead, (config.overshoot_starts, size), generator=generator, device=device)
    noise = torch.rand(ahead, starts.numel(), config.stoch, generator=generator, device=device)
    frame, row = starts.flatten(), torch.arange(size, device=device).repeat(config.overshoot_starts)
    state = latent.detach()[frame, row]
    whole = torch.ones(len(frame), device=device)
    total, count = noise.new_zeros(()), noise.new_zeros(())
    for k in range(ahead):
        whole = whole * (~reset[row, frame + k + 1]).float()
        h = dynamics.recur(state, action[row, frame + k].float())
        prior = dynamics.prior(h).float()
        target = posterior.detach()[frame + k + 1, row].float().log_softmax(-1)
        distance = (target.exp() * (target - prior.log_softmax(-1))).sum((-2, -1))
        total, count = total + (distance * whole).sum(), count + whole.sum()
        state = torch.cat([h, dynamics.sample(prior, noise[k])], dim=-1)
    return total / count.clamp(min=1)
