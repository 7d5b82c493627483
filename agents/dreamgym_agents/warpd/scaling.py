"""Scales of observations and actions as buffers of a module, so that checkpoints carry them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamgym_agents.warpd.demonstrations import Scale

# A simulator can leave the demonstrations by any number of deviations; a ReLU network answers in proportion.
OBS_LIMIT = 10.0


class Scaling(nn.Module):
    """Between the units of the robot and those of the networks."""

    obs_mean: Tensor
    obs_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    def __init__(self, obs: Scale, action: Scale) -> None:
        super().__init__()
        for name, scale in (("obs", obs), ("action", action)):
            self.register_buffer(f"{name}_mean", scale.mean.clone())
            self.register_buffer(f"{name}_std", scale.std.clone())

    @classmethod
    def identity(cls, obs_dim: int, action_dim: int) -> Scaling:
        """Mean 0 and deviation 1 everywhere: what a checkpoint's values are loaded over."""
        scales = [Scale(torch.zeros(d), torch.ones(d)) for d in (obs_dim, action_dim)]
        return cls(*scales)

    def observe(self, obs: Tensor) -> Tensor:
        """Raw observations [..., O] to scaled ones, within +-`OBS_LIMIT`; constant entries read 0."""
        return _scaled(obs, self.obs_mean, self.obs_std).clamp(-OBS_LIMIT, OBS_LIMIT)

    def scale_action(self, action: Tensor) -> Tensor:
        """Raw actions [..., A] to scaled ones; constant entries read 0."""
        return _scaled(action, self.action_mean, self.action_std)

    def action(self, scaled: Tensor) -> Tensor:
        """Scaled actions [..., A] to raw ones; constant entries are what they were."""
        return scaled * self.action_std + self.action_mean


def _scaled(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    # Not `where(std > 0, (x - mean) / std, 0)`: the gradient of what is not chosen would be 0 * inf = NaN.
    varies = std > 0
    return (x.to(mean) - mean) * varies / torch.where(varies, std, 1.0)
