"""The diffusion policy: DDPM over chunks of actions, conditioned on world-model features (DiWA S.2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamgym_agents.diffusion_ppo.config import DiffusionConfig
from dreamgym_agents.diffusion_ppo.networks import DenoisingNet
from dreamgym_agents.diffusion_ppo.noise import Posterior
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy, gaussian_log_prob


class DiffusionPolicy(ChunkPolicy):
    """Denoises a^K ~ N(0, I) into a chunk a^0 through Gaussian steps whose means are learned (Eq. 5).

    The network predicts the noise; a^0 as it implies is clipped to [-1, 1]; the mean of a step is the posterior's.
    While exploring, and in log-probabilities, a step's standard deviation is the posterior's, but at least ``min_std``;
    acting uses the posterior's own, which is 0 at the last step.

    ``base`` denoises from K to K' + 1 and stays as cloned; ``tuned``, once there is one, from K' on.
    """

    kind: ClassVar[str] = "diffusion_ppo"
    config: DiffusionConfig
    base: DenoisingNet
    tuned: DenoisingNet | None
    signal: Tensor
    noise: Tensor
    from_clean: Tensor
    from_noisy: Tensor
    std: Tensor

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config)
        self.base = self._net()
        self.tuned = self._net() if config.tuned_steps else None
        posterior = Posterior(config.schedule, config.steps)
        for name in ("signal", "noise", "from_clean", "from_noisy", "std"):
            self.register_buffer(name, getattr(posterior, name), persistent=False)
        # The same as Python numbers, for loops in which k is one number: indexing a tensor costs more than a step adds.
        self._table = torch.stack([posterior.signal, posterior.noise, posterior.from_clean, posterior.from_noisy]).T
        self._scalars: list[tuple[float, ...]] = [tuple(row) for row in self._table.tolist()]
        self._std: list[float] = posterior.std.tolist()

    def _net(self) -> DenoisingNet:
        config = self.config
        return DenoisingNet(config.feature_dim, config.flat_dim, config.hidden, config.steps, config.time_dim)

    @property
    def num_steps(self) -> int:
        """K."""
        return self.config.steps

    # ------------------------------------------------------------------ one step

    def _clean(self, noise: Tensor, x: Tensor, k: int) -> Tensor:
        """a^0 that predicted noise implies, clipped."""
        signal, scale, _, _ = self._scalars[k - 1]
        return ((x - scale * noise) / signal).clamp(-1, 1)

    def _mean(self, net: DenoisingNet, condition: Tensor, x: Tensor, k: int) -> Tensor:
        _, _, from_clean, from_noisy = self._scalars[k - 1]
        return from_clean * self._clean(net(condition, x), x, k) + from_noisy * x

    def _walk(
        self,
        net: DenoisingNet,
        features: Tensor,
        x: Tensor,
        steps: Sequence[int],
        noise: Tensor,
        min_std: float,
        chain: Tensor | None = None,
    ) -> Tensor:
        """Takes ``steps`` (values of k, falling) from x [B, D]; step j adds noise[j] and writes ``chain[j + 1]``."""
        if not steps:
            return x
        share, times = net.mlp.condition(features), net.times()
        for j, k in enumerate(steps):
            std = max(self._std[k - 1], min_std)
            x = self._mean(net, share + times[k - 1], x, k)
            if std > 0:
                x = torch.add(x, noise[j], alpha=std)
            if chain is not None:
                chain[j + 1] = x
        return x

    # ------------------------------------------------------------------ acting

    def draw_noise(self, num: int, generator: torch.Generator | None = None, explore: bool = False) -> Tensor:
        """[K + 1, num, D]: a^K and the noise of every step (acting by DDIM: a^K alone)."""
        length = 1 if self.config.sampler == "ddim" and not explore else self.config.steps + 1
        return torch.randn((length, num, self.config.flat_dim), generator=generator, device=self.centre.device)

    def decide(self, features: Tensor, noise: Tensor) -> Tensor:
        """Decisions [B, D]: DDPM with the posterior's own noise, or DDIM."""
        if self.config.sampler == "ddim":
            return self._decide_ddim(features, noise[0])
        config = self.config
        frozen, tuned = self._split(range(config.steps, 0, -1))
        x = self._walk(self.base, features, noise[0], frozen, noise[1:], 0.0)
        if self.tuned is None:
            return x
        return self._walk(self.tuned, features, x, tuned, noise[1 + len(frozen) :], 0.0)

    def _split(self, steps: Iterable[int]) -> tuple[list[int], list[int]]:
        """The steps of the frozen and of the tuned network."""
        last = self.config.tuned_steps
        steps = list(steps)
        return [k for k in steps if k > last], [k for k in steps if k <= last]

    def _decide_ddim(self, features: Tensor, x: Tensor) -> Tensor:
        """Deterministic DDIM (Song et al. 2021, Equation 12 with eta 0) over evenly spaced steps."""
        config = self.config
        chosen = torch.linspace(config.steps, 1, config.ddim_steps).round().int().tolist()
        share: dict[int, Tensor] = {}
        for k, following in zip(chosen, [*chosen[1:], 0], strict=True):
            net = self.tuned if self.tuned is not None and k <= config.tuned_steps else self.base
            if id(net) not in share:
                share[id(net)] = net.mlp.condition(features)
            clean = self._clean(net(share[id(net)] + net.times()[k - 1], x), x, k)
            if following == 0:
                return clean
            signal, scale, _, _ = self._scalars[k - 1]
            # The noise that the clipped clean chunk leaves, not the predicted one: the two differ where it was clipped.
            noise = (x - signal * clean) / scale
            signal, scale, _, _ = self._scalars[following - 1]
            x = signal * clean + scale * noise
        return x

    # ------------------------------------------------------------------ cloning

    def clone_loss(self, features: Tensor, chunk: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Squared error of the predicted noise at a random k for each row: Eq. 12 in Ho et al.'s unweighted form."""
        net, num = self.base, len(chunk)
        step = torch.randint(self.config.steps, (num,), generator=generator, device=chunk.device)
        noise = torch.randn(chunk.shape, generator=generator, device=chunk.device)
        x = self.signal[step, None] * chunk + self.noise[step, None] * noise
        return F.mse_loss(net(net.mlp.condition(features) + net.times()[step], x), noise)

    # ------------------------------------------------------------------ tuning

    def _tuned_net(self) -> DenoisingNet:
        if self.tuned is None:
            raise ValueError("this policy has no tunable network: call for_tuning(K') first")
        return self.tuned

    @torch.no_grad()
    def sample_chain(
        self, features: Tensor, noise: Tensor, chain: Tensor | None = None, log_prob: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ChunkPolicy.sample_chain`."""
        config, net = self.config, self._tuned_net()
        frozen, tuned = self._split(range(config.steps, 0, -1))
        if chain is None:
            chain = noise.new_empty(len(tuned) + 1, *noise.shape[1:])
        chain[0] = self._walk(self.base, features, noise[0], frozen, noise[1:], config.min_std)
        own = noise[1 + len(frozen) :]
        self._walk(net, features, chain[0], tuned, own, config.min_std, chain)
        # x - mean is std times the noise that was drawn, so the likelihood is the noise's.
        std = self.std[torch.tensor(tuned, device=self.std.device) - 1].clamp(min=config.min_std)
        likelihood = gaussian_log_prob(own, torch.zeros((), device=own.device), 1.0)
        likelihood = likelihood - config.flat_dim * std.log().unsqueeze(1)
        return chain, likelihood if log_prob is None else log_prob.copy_(likelihood)

    def log_prob(self, features: Tensor, chain: Tensor) -> Tensor:
        """See `ChunkPolicy.log_prob`; all K' steps in one pass, the features' share of the first layer taken once."""
        net, last = self._tuned_net(), self.config.tuned_steps
        index = torch.arange(last - 1, -1, -1, device=chain.device)  # row i of the tables, for k = K' .. 1
        signal, scale, from_clean, from_noisy, std = (
            table[index, None, None] for table in (self.signal, self.noise, self.from_clean, self.from_noisy, self.std)
        )
        x = chain[:-1]
        predicted = net(net.mlp.condition(features) + net.times()[index].unsqueeze(1), x)
        clean = ((x - scale * predicted) / signal).clamp(-1, 1)
        return gaussian_log_prob(chain[1:], from_clean * clean + from_noisy * x, std.clamp(min=self.config.min_std))

    @torch.no_grad()
    def frozen_chain(self, features: Tensor, first: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See `ChunkPolicy.frozen_chain`."""
        last = self.config.tuned_steps
        chain = first.new_empty(last + 1, *first.shape)
        chain[0] = first
        noise = torch.randn((last, *first.shape), generator=generator, device=first.device)
        self._walk(self.base, features, first, range(last, 0, -1), noise, self.config.min_std, chain)
        return chain
