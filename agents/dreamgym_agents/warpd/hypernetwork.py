"""The decoder of the VAE: from a latent to the weights of a policy (A.8.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dreamgym_agents.warpd.generated_policy import initial_weights, weight_scales
from dreamgym_agents.warpd.sizes import PolicyShape


class Hypernetwork(nn.Module):
    """A full hypernetwork: a ReLU perceptron on z with one linear output for every weight of the policy.

    A.8.3 names hypnettorch's HMLP "with default parameters": ReLU, biases everywhere, no chunking, so its output layer
    has ``(hidden + 1) * P`` parameters. With the layers of Table 8 and P = 77,060 (39-256-256-4) that comes to
    3,945,460, 7,818,860, 15,580,660 and 31,164,260: the table's 3.9M, 7.8M, 15.6M and 31.2M.

    How the output layer begins is ours: its bias is an ordinary random policy and its weights add as much variance
    again that depends on z, so that the first generated policies pass signals on like any fresh perceptron, and differ.
    """

    def __init__(self, latent: int, hidden: Sequence[int], shape: PolicyShape) -> None:
        super().__init__()
        self.shape = shape
        dims = [latent, *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(dims[:-1], dims[1:], strict=True):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(dims[-1], shape.num_parameters)
        self._begin()

    @torch.no_grad()
    def _begin(self) -> None:
        for layer in self.trunk:
            if isinstance(layer, nn.Linear):  # keeps the variance of z through the ReLUs
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        # A ReLU of unit-variance noise has a mean square of 1 / 2, times He's gain of 2: hidden units have about 1.
        inputs = self.head.in_features
        self.head.weight.copy_(torch.randn_like(self.head.weight) * weight_scales(self.shape)[:, None])
        self.head.weight.mul_((0.5 / inputs) ** 0.5)
        self.head.bias.copy_(initial_weights(self.shape) * 0.5**0.5)

    def forward(self, z: Tensor) -> Tensor:
        """[B, latent] to policy weights [B, P]."""
        weights: Tensor = self.head(self.trunk(z))
        return weights
