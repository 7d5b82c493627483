"""The clipped objective on denoising steps, with the cloning regulariser (DiWA III.E, Eq. 7-9, 16-17)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dreamgym.training.processes import Processes
from dreamgym_agents.diffusion_ppo.advantages import denoising_weights, gae
from dreamgym_agents.diffusion_ppo.networks import Critic
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy
from dreamgym_agents.diffusion_ppo.rollout import Rollout
from dreamgym_agents.diffusion_ppo.schedules import TuneConfig

ALONE = Processes()


class Learner(nn.Module):
    """What fine-tuning trains: the policy (its tuned part) and the critic."""

    def __init__(self, policy: ChunkPolicy, config: TuneConfig) -> None:
        super().__init__()
        self.policy = policy
        self.critic = Critic(policy.config.feature_dim, config.critic_hidden)


@dataclass(frozen=True)
class Samples:
    """An iteration's decisions, N = S * B of them in rows.

    Attributes:
        features: [N, Z].    elapsed: [N].
        chain: [K' + 1, N, D].    log_prob: [K', N], under the policy that acted.
        advantage: [N], normalised.    target: [N], of the critic.
        frozen: [K' + 1, M, D], chains of the frozen policy, and frozen_row [M]: the decision each belongs to.
        explained: the share of the targets' variance that the critic's values explained.
    """

    features: Tensor
    elapsed: Tensor
    chain: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor
    frozen: Tensor
    frozen_row: Tensor
    explained: Tensor


def optimizer_of(learner: Learner, config: TuneConfig) -> torch.optim.Adam:
    """Adam over the tunable parameters (group 0) and the critic's (group 1)."""
    groups = [
        {"params": learner.policy.tunable(), "lr": config.actor_lr},
        {"params": list(learner.critic.parameters()), "lr": config.critic_lr},
    ]
    return torch.optim.Adam(groups, fused=True)


@torch.no_grad()
def prepare(
    learner: Learner,
    rollout: Rollout,
    config: TuneConfig,
    scale: float,
    generator: torch.Generator,
    processes: Processes = ALONE,
) -> Samples:
    """Advantages, targets and the frozen policy's chains of a rollout; ``scale`` multiplies rewards.

    Advantages are normalised over the samples of all ``processes``.
    """
    critic, policy = learner.critic, learner.policy
    value = critic(rollout.features, rollout.elapsed)
    after = critic(rollout.next_features, rollout.next_elapsed)
    following = torch.cat([value[1:], after.unsqueeze(0)])
    ended = torch.zeros_like(value)
    if rollout.last is not None:
        ended = critic(rollout.last, torch.ones_like(value)) * rollout.valued
    following = torch.where(rollout.done, ended, following)
    advantage, target = gae(rollout.reward * scale, value, following, rollout.done, config.discount, config.gae_lambda)
    features, chain = rollout.features.flatten(0, 1), rollout.chain.flatten(1, 2)
    num = len(features)
    row = torch.randperm(num, generator=generator, device=features.device)[: int(num * config.bc_share)]
    if config.bc_weight == 0:
        row = row[:0]
    # The first K - K' steps are the frozen policy's in both, so a^{K'} of the rollout is a draw of its chain as well.
    frozen = policy.frozen_chain(features[row], chain[0, row], generator)
    return Samples(
        features=features,
        elapsed=rollout.elapsed.flatten(),
        chain=chain,
        log_prob=rollout.log_prob.flatten(1),
        advantage=_normalised(advantage, processes).flatten(),
        target=target.flatten(),
        frozen=frozen,
        frozen_row=row,
        explained=1 - (target - value).var() / (target.var() + 1e-8),
    )


def _normalised(advantage: Tensor, processes: Processes) -> Tensor:
    if processes.count == 1:
        return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    mean = processes.mean(advantage.mean())
    deviation = processes.mean((advantage - mean).square().mean()).sqrt()
    return (advantage - mean) / (deviation + 1e-8)


def policy_loss(
    log_prob: Tensor, old: Tensor, advantage: Tensor, weights: Tensor, clip: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The negative of Eq. 7, averaged over denoising steps and decisions.

    Args:
        log_prob, old: [K', M], under the tuned policy and under the one that acted.
        advantage: [M], of the decisions.
        weights: [K'], see `denoising_weights`.
        clip: epsilon.

    Returns:
        The loss, and detached: "kl" (nats a denoising step) and "clipped" (share of the samples).
    """
    difference = log_prob - old
    ratio = difference.exp()
    own = advantage * weights.unsqueeze(1)
    loss = -torch.minimum(ratio * own, ratio.clamp(1 - clip, 1 + clip) * own).mean()
    with torch.no_grad():
        told = {"kl": (ratio - 1 - difference).mean(), "clipped": ((ratio - 1).abs() > clip).float().mean()}
    return loss, told


def cloning_loss(policy: ChunkPolicy, features: Tensor, frozen: Tensor) -> Tensor:
    """Minus the log-probability, under the *tuned* policy, of chains that the *frozen* one sampled, a denoising step.

    Eq. 9 and 16 print the expectation, over samples of the old policy, of the frozen policy's log-probability: that has
    no gradient in theta, and what would follow from its sign is a reward for leaving the frozen policy. What the text
    asks for ("constrain the updated policy to remain close to the pre-trained policy") is this term, minimised: up to a
    constant it is KL(frozen || tuned) along the frozen policy's chains. It is averaged over the K' tuned steps, as
    `policy_loss` is, where the paper sums over all K: the other K - K' do not depend on theta, and a sum would make
    alpha mean something else for each K'.

    Args:
        policy: the tuned policy.
        features: [M, Z].
        frozen: [K' + 1, M, D].
    """
    return -policy.log_prob(features, frozen).mean()


def update(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    config: TuneConfig,
    generator: torch.Generator,
    train_actor: bool = True,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Several passes over the samples; returns what to log, averaged over minibatches.

    A minibatch holds whole chains (``batch_size`` / K' decisions with all their tuned steps), so that the features'
    share of the network's first layer is computed once a decision and not once a step. Each of several processes takes
    its share of a minibatch from its own samples, of which all have as many.
    """
    device = samples.features.device
    size = max(1, config.batch_size // (learner.policy.config.tuned_steps * processes.count))
    told: dict[str, Tensor] = {}
    batches = 0
    for passes in range(1, config.num_updates + 1):  # noqa: B007 - the number of the last one is logged
        kl = torch.zeros((), device=device)
        order = torch.randperm(len(samples.features), generator=generator, device=device).split(size)
        for rows in order:
            loss, step = minibatch_loss(learner, samples, rows, config, generator, train_actor)
            _descend(optimizer, loss, config.max_grad_norm, processes)
            kl = kl + step.get("kl", 0.0)
            told = {key: told.get(key, 0.0) + value for key, value in step.items()}
        batches += len(order)
        if train_actor and float(processes.mean(kl)) / len(order) > config.target_kl:
            break
    logged = {k: float(processes.mean(v)) / batches for k, v in told.items()}
    return {**logged, "explained_variance": float(processes.mean(samples.explained)), "passes": float(passes)}


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, max_norm: float, processes: Processes) -> None:
    """One step; gradients of actor and critic are clipped apart."""
    loss.backward()
    processes.average_gradients(p for group in optimizer.param_groups for p in group["params"])
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], max_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def minibatch_loss(
    learner: Learner,
    samples: Samples,
    rows: Tensor,
    config: TuneConfig,
    generator: torch.Generator,
    train_actor: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a minibatch of decisions ``rows`` minimises (Eq. 16 and 17), and its parts, detached."""
    features, policy = samples.features[rows], learner.policy
    value = (learner.critic(features, samples.elapsed[rows]) - samples.target[rows]).square().mean()
    told = {"value_loss": value.detach()}
    if not train_actor:
        return value, told
    weights = denoising_weights(policy.config.tuned_steps, config.denoising_discount, features.device)
    log_prob = policy.log_prob(features, samples.chain[:, rows])
    actor, more = policy_loss(log_prob, samples.log_prob[:, rows], samples.advantage[rows], weights, config.clip)
    told |= {"policy_loss": actor.detach(), **more}
    loss, total = value + actor, len(samples.frozen_row)
    if total:
        size = min(total, max(1, int(len(rows) * config.bc_share)))
        pick = torch.randint(total, (size,), generator=generator, device=features.device)
        cloning = cloning_loss(policy, samples.features[samples.frozen_row[pick]], samples.frozen[:, pick])
        loss, told["bc_loss"] = loss + config.bc_weight * cloning, cloning.detach()
    return loss, told
