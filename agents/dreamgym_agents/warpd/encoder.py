"""The encoder of the VAE: from a trajectory to a normal distribution over latents (A.8.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# exp(-8) = 3e-4: beneath that a latent is as good as exact, and its KL only pulls on rounding.
LOG_STD_RANGE = (-8.0, 4.0)


class TrajectoryEncoder(nn.Module):
    """Flattens a snippet and passes it through a perceptron ("three hidden layers of 512 neurons each")."""

    def __init__(self, length: int, obs_dim: int, action_dim: int, hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.length, self.obs_dim, self.action_dim = length, obs_dim, action_dim
        dims = [length * (obs_dim + action_dim), *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(dims[:-1], dims[1:], strict=True):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(dims[-1], 2 * latent))

    def forward(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised obs [B, T, O] and action [B, T, A] to the mean and log standard deviation of z, [B, D] each.

        Raises:
            ValueError: snippets of another length or size than the encoder was made for.
        """
        expected = (self.length, self.obs_dim), (self.length, self.action_dim)
        if (obs.shape[1:], action.shape[1:]) != expected:
            raise ValueError(
                f"this encoder takes obs [B, {self.length}, {self.obs_dim}] and action [B, {self.length}, "
                f"{self.action_dim}], got {tuple(obs.shape)} and {tuple(action.shape)}: cut all to one length"
            )
        mean, log_std = self.net(torch.cat([obs, action], -1).flatten(1)).chunk(2, -1)
        return mean, log_std.clamp(*LOG_STD_RANGE)
