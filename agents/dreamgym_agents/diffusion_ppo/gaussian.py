"""The unimodal Gaussian policy (DiWA S.5.3): a mean from an MLP and one standard deviation an entry."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from dreamgym_agents.diffusion_ppo.config import GaussianConfig
from dreamgym_agents.diffusion_ppo.networks import ConditionedMLP
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy, gaussian_log_prob

STD_RANGE = (0.01, 1.0)


class GaussianNet(nn.Module):
    """Mean [..., D] in [-1, 1] from features; standard deviations [D] of its own."""

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__()
        self.mlp = ConditionedMLP(config.feature_dim, 0, config.hidden, config.flat_dim)
        self.log_std = nn.Parameter(torch.full((config.flat_dim,), math.log(config.initial_std)))

    def forward(self, features: Tensor) -> Tensor:
        """The mean."""
        return torch.tanh(self.mlp(self.mlp.condition(features)))

    def std(self, least: float) -> Tensor:
        """[D], at least ``least``."""
        return self.log_std.exp().clamp(max(least, STD_RANGE[0]), STD_RANGE[1])


class GaussianPolicy(ChunkPolicy):
    """A diagonal Gaussian over chunks: a chain of one step, so K = K' = 1, and a^1 is nothing (zeros)."""

    kind: ClassVar[str] = "gaussian_ppo"
    config: GaussianConfig
    base: GaussianNet
    tuned: GaussianNet | None

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__(config)
        self.base = GaussianNet(config)
        self.tuned = GaussianNet(config) if config.tuned_steps else None

    @property
    def num_steps(self) -> int:
        """One."""
        return 1

    @property
    def _now(self) -> GaussianNet:
        return self.base if self.tuned is None else self.tuned

    def draw_noise(self, num: int, generator: torch.Generator | None = None, explore: bool = False) -> Tensor:
        """[1, num, D]."""
        return torch.randn((1, num, self.config.flat_dim), generator=generator, device=self.centre.device)

    def decide(self, features: Tensor, noise: Tensor) -> Tensor:
        """The mean [B, D], or a draw with ``config.sample``."""
        mean = self._now(features)
        return mean + self._now.std(0.0) * noise[0] if self.config.sample else mean

    def clone_loss(self, features: Tensor, chunk: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Negative log-likelihood an entry."""
        return -gaussian_log_prob(chunk, self.base(features), self.base.std(0.0)).mean() / self.config.flat_dim

    @torch.no_grad()
    def sample_chain(
        self, features: Tensor, noise: Tensor, chain: Tensor | None = None, log_prob: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ChunkPolicy.sample_chain`."""
        net = self._now
        mean, std = net(features), net.std(self.config.min_std)
        if chain is None:
            chain = noise.new_empty(2, *noise.shape[1:])
        chain[0], chain[1] = 0.0, mean + std * noise[0]
        likelihood = gaussian_log_prob(chain[1:], mean, std)
        return chain, likelihood if log_prob is None else log_prob.copy_(likelihood)

    def log_prob(self, features: Tensor, chain: Tensor) -> Tensor:
        """See `ChunkPolicy.log_prob`."""
        return gaussian_log_prob(chain[1:], self._now(features), self._now.std(self.config.min_std))

    @torch.no_grad()
    def frozen_chain(self, features: Tensor, first: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `ChunkPolicy.frozen_chain`."""
        noise = torch.randn(first.shape, generator=generator, device=first.device)
        return torch.stack([first, self.base(features) + self.base.std(self.config.min_std) * noise])
