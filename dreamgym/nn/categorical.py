"""Vectors of categorical variables: sampling by inverse CDF, straight-through gradients, KL balancing."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(probs: Tensor, uniform: Tensor) -> Tensor:
    """One-hot samples of categoricals, one uniform number each.

    Inverting the CDF needs one random number a variable where Gumbel noise needs one a class: with 32 classes and
    1,024 environments the generator alone would otherwise cost as much as the matrix products of the step.

    Args:
        probs: [..., S, C], non-negative, summing to one.
        uniform: [..., S] in [0, 1).

    Returns:
        [..., S, C] one-hot, dtype of ``probs``, no gradient.
    """
    probs = probs.detach()
    index = torch.searchsorted(probs.cumsum(-1), uniform.unsqueeze(-1), right=True)
    # Rounding may leave the end of the CDF a little below a uniform number: that is the last class.
    return torch.zeros_like(probs).scatter_(-1, index.clamp_(max=probs.shape[-1] - 1), 1.0)


def straight_through(probs: Tensor, uniform: Tensor) -> Tensor:
    """`sample`, with the gradient of ``probs`` (DreamerV2's straight-through estimator)."""
    one_hot = sample(probs, uniform)
    return one_hot + (probs - probs.detach()) if probs.requires_grad else one_hot


def balanced_kl(posterior: Tensor, prior: Tensor, balance: float) -> tuple[Tensor, Tensor]:
    """KL(posterior || prior) of categorical vectors, with DreamerV2's balancing.

    ``balance`` is the share of the gradient that trains the *prior*: ``balance * KL(sg(q) || p) + (1 - balance) *
    KL(q || sg(p))`` (Hafner et al. 2021, Algorithm 2). DiWA's equation 11 as printed puts the weight on the other term,
    which contradicts its text ("accelerates the prior's convergence") and the reference it cites; we follow those.

    Args:
        posterior, prior: logits [..., S, C], float32.
        balance: in [0, 1].

    Returns:
        The balanced loss and the plain KL without gradient, both [...], in nats, summed over the S variables.
    """
    log_q, log_p = posterior.log_softmax(-1), prior.log_softmax(-1)
    q = log_q.exp()
    train_prior = (q.detach() * (log_q.detach() - log_p)).sum((-2, -1))
    train_posterior = (q * (log_q - log_p.detach())).sum((-2, -1))
    return balance * train_prior + (1 - balance) * train_posterior, train_prior.detach()
