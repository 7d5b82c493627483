"""The WARPD VAE: trajectories in, policies out, and its loss (equation 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym_agents.common.scale import Scaling
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.dynamics import Dynamics, rollout_loss
from dreamgym_agents.warpd.encoder import TrajectoryEncoder
from dreamgym_agents.warpd.generated_policy import run
from dreamgym_agents.warpd.hypernetwork import Hypernetwork


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """Equation 14 without its weight, [B]: sigma^2 + mu^2 - 1 - log sigma^2, summed (twice the KL, as printed)."""
    return ((2 * log_std).exp() + mean.square() - 1 - 2 * log_std).sum(-1)


class PolicyVAE(nn.Module):
    """Encoder and hypernetwork decoder over one scaling of observations and actions."""

    def __init__(self, config: WARPDConfig, scaling: Scaling) -> None:
        super().__init__()
        vae, self.config, self.scaling = config.vae, config, scaling
        self.encoder = TrajectoryEncoder(config.length, config.obs_dim, config.action_dim, vae.encoder, vae.latent)
        self.decoder = Hypernetwork(vae.latent, vae.decoder, config.policy_shape)

    def encode(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Raw snippets obs [B, T, O], action [B, T, A] to mean and log standard deviation of z, [B, D] each."""
        mean, log_std = self.encoder(self.scaling.observe(obs), self.scaling.scale_action(action))
        return mean, log_std

    def decode(self, z: Tensor) -> Tensor:
        """Latents [B, D] to policy weights [B, P]."""
        weights: Tensor = self.decoder(z)
        return weights

    def act(self, theta: Tensor, obs: Tensor) -> Tensor:
        """Raw actions of B policies on raw observations [B, O] or [B, T, O]."""
        return self.scaling.action(run(theta, self.scaling.observe(obs), self.config.policy_shape))

    def loss(
        self,
        batch: dict[str, Tensor],
        generator: torch.Generator | None,
        dynamics: Dynamics | None = None,
        rollout: bool = False,
    ) -> dict[str, Tensor]:
        """Equation 5: sums over time and entries, means over the batch; squared errors of actions in scaled units.

        What a policy is to do at the last row counts as often as that is repeated; the world model, which predicts what
        is next, learns and judges from rows that were recorded alone.

        Args:
            batch: obs [B, T, O], action [B, T, A], raw; "recorded" [B, T] bool where some rows repeat another.
            generator: of the sample of z.
            dynamics: the co-trained world model, or None for the paper's "w/o WM".
            rollout: whether the rollout loss counts yet (section 4: after 10 epochs).

        Returns:
            "loss" and its parts, scalars: "bc", "kl" (unweighted), and with a world model "teacher_forcing" and, once
            it counts, "rollout".
        """
        obs, action, recorded = batch["obs"], batch["action"], batch.get("recorded")
        mean, log_std = self.encode(obs, action)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        theta = self.decode(mean + log_std.exp() * noise)
        predicted = run(theta, self.scaling.observe(obs), self.config.policy_shape)
        bc = (predicted - self.scaling.scale_action(action)).square().sum((1, 2)).mean()
        kl = kl_to_standard_normal(mean, log_std).mean()
        parts = {"bc": bc, "kl": kl}
        loss = bc + self.config.vae.kl_weight * kl
        if dynamics is not None:
            parts["teacher_forcing"] = dynamics.teacher_forcing(obs, action, recorded)
            loss = loss + parts["teacher_forcing"]
        if dynamics is not None and rollout:
            acted = self.scaling.action(predicted)
            parts["rollout"] = rollout_loss(
                dynamics, lambda x: self.act(theta, x), obs, action, self.config.vae.rollout_steps, acted, recorded
            )
            loss = loss + self.config.vae.rollout_weight * parts["rollout"]
        return {"loss": loss, **parts}
