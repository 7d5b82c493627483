"""Scales of observations and actions, and a module that carries them, so that checkpoints do."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# A simulator can leave the demonstrations by any number of deviations; a ReLU network answers in proportion.
OBS_LIMIT = 10.0

CONSTANT = ("raise", "ignore")


@dataclass(frozen=True)
class Scale:
    """An affine scale, entry by entry: ``(x - mean) / std``; an entry with std 0 is constant and always reads 0.

    Attributes:
        mean, std: [D].
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor, name: str, constant: str = "raise", tolerance: float = 1e-4) -> Scale:
        """The mean and standard deviation of x [N, D].

        Args:
            x: rows.
            name: of what they are, for the error.
            constant: what to do with an entry whose standard deviation is at most ``tolerance`` of the largest value it
                takes (or of 1): "raise", or "ignore" it: observed it reads as 0, acted it stays as demonstrated.
            tolerance: see there.

        Raises:
            ValueError: constant entries, where ``constant`` is "raise".
        """
        if constant not in CONSTANT:
            raise ValueError(f"constant must be one of {CONSTANT}, got {constant!r}")
        mean, std = x.double().mean(0), x.double().std(0, correction=0)
        flat = std <= tolerance * x.double().abs().amax(0).clamp(min=1.0)
        if constant == "raise" and flat.any():
            entries = flat.nonzero().flatten().tolist()
            raise ValueError(
                f"{name} entries {entries} never change in these demonstrations, so they have no scale: drop them, "
                'or pass constant="ignore" to have observed ones read as 0 and acted ones stay as they are'
            )
        return cls(mean.float(), torch.where(flat, 0.0, std).float())

    def no_finer_than(self, std: Tensor) -> Scale:
        """The same scale, but for entries that vary by less than ``std`` [D]: those are scaled by that."""
        return Scale(self.mean, torch.where(self.std > 0, torch.maximum(self.std, std.to(self.std)), self.std))


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

    def checksum(self) -> str:
        """Tells these scales from others."""
        return checksum(*self.state_dict().values())

    def observe(self, obs: Tensor) -> Tensor:
        """Raw observations [..., O] to scaled ones, within +-`OBS_LIMIT`; constant entries read 0."""
        return _scaled(obs, self.obs_mean, self.obs_std).clamp(-OBS_LIMIT, OBS_LIMIT)

    def scale_action(self, action: Tensor) -> Tensor:
        """Raw actions [..., A] to scaled ones; constant entries read 0."""
        return _scaled(action, self.action_mean, self.action_std)

    def action(self, scaled: Tensor) -> Tensor:
        """Scaled actions [..., A] to raw ones; constant entries are what they were."""
        return scaled * self.action_std + self.action_mean


def checksum(*tensors: Tensor) -> str:
    """CRC-32 of values, in hexadecimal digits."""
    total = 0
    for tensor in tensors:
        total = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), total)
    return f"{total:08x}"


def _scaled(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    # Not `where(std > 0, (x - mean) / std, 0)`: the gradient of what is not chosen would be 0 * inf = NaN.
    varies = std > 0
    return (x.to(mean) - mean) * varies / torch.where(varies, std, 1.0)
