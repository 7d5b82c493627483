"""How a vector sensor (joint positions, poses, lights) enters a network and comes out of it in its own units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.nn.rotation import euler_from_6d, euler_to_6d

KINDS = ("linear", "euler", "binary", "sign")
"""linear: any unit; euler: 3 angles; binary: 0 or 1; sign: -1 or +1."""


class VectorCodec(nn.Module):
    """Translates between a sensor's own layout [..., d] and network space [..., e].

    Euler angles become 6-D rotations (DiWA S.4), so e >= d. Continuous entries are standardised with a floor on the
    standard deviation: without it, objects that hardly ever move weigh as much as those that do. Two-valued entries
    are logits.

    Args:
        layout: segments (kind, number of raw entries) in order; see `KINDS`.
        floor: least standard deviation of a linear entry, in its unit.
        rotation_floor: the same for entries of a 6-D rotation (which lie in [-1, 1]).
    """

    mean: Tensor
    std: Tensor
    two_valued: Tensor
    rotation: Tensor

    def __init__(self, layout: Sequence[tuple[str, int]], floor: float = 0.05, rotation_floor: float = 0.2) -> None:
        super().__init__()
        for kind, size in layout:
            if kind not in KINDS or size < 1 or (kind == "euler" and size != 3):
                raise ValueError(
                    f"layout segment {(kind, size)}: expected a kind of {KINDS} and its size (3 for euler)"
                )
        self.layout = tuple((kind, int(size)) for kind, size in layout)
        self.floor, self.rotation_floor = floor, rotation_floor
        self.raw_dim = sum(size for _, size in self.layout)
        widths = [6 if kind == "euler" else size for kind, size in self.layout]
        self.dim = sum(widths)
        kinds = [kind for (kind, _), width in zip(self.layout, widths, strict=True) for _ in range(width)]
        self.register_buffer("two_valued", torch.tensor([k in ("binary", "sign") for k in kinds]), persistent=False)
        self.register_buffer("rotation", torch.tensor([k == "euler" for k in kinds]), persistent=False)
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("std", torch.ones(self.dim))
        self._widths = widths

    def fit_statistics(self, raw: Tensor) -> None:
        """Sets mean and standard deviation from data [N, d], with the floors."""
        values = self._expand(raw.double())
        floor = torch.where(self.rotation.cpu(), self.rotation_floor, self.floor)
        std = torch.maximum(values.std(0).cpu(), floor.double())
        flags = self.two_valued.cpu()
        self.mean.copy_(torch.where(flags, 0.0, values.mean(0).cpu()))
        self.std.copy_(torch.where(flags, 1.0, std))

    def encode(self, raw: Tensor) -> Tensor:
        """Network input (and target) [..., e] of raw values [..., d]; two-valued entries are -1 or +1."""
        return (self._expand(raw) - self.mean) / self.std

    def decode(self, output: Tensor) -> Tensor:
        """Raw layout and units [..., d] of network output [..., e].

        A binary entry comes back as its probability of being 1, a sign entry as its expectation in [-1, 1].
        """
        values = output * self.std + self.mean
        parts = []
        for (kind, _), part in zip(self.layout, values.split(self._widths, dim=-1), strict=True):
            if kind == "euler":
                part = euler_from_6d(part)
            elif kind == "binary":
                part = torch.sigmoid(part)
            elif kind == "sign":
                part = torch.tanh(part / 2)  # 2 sigmoid(x) - 1
            parts.append(part)
        return torch.cat(parts, dim=-1)

    def loss(self, output: Tensor, raw: Tensor, std: float, rotation_std: float, two_valued_weight: float) -> Tensor:
        """Negative log-likelihood [...], summed over entries.

        Args:
            output: [..., e] network output; float32.
            raw: [..., d] the true values.
            std: standard deviation of the Gaussian over linear entries, in units of their own spread.
            rotation_std: the same for entries of rotations.
            two_valued_weight: weight of the cross-entropy of two-valued entries.
        """
        target = self.encode(raw)
        gauss = 0.5 * ((output - target) / torch.where(self.rotation, rotation_std, std)).square()
        cross = F.binary_cross_entropy_with_logits(output, (target > 0).to(output.dtype), reduction="none")
        return torch.where(self.two_valued, two_valued_weight * cross, gauss).sum(-1)

    def _expand(self, raw: Tensor) -> Tensor:
        if raw.shape[-1] != self.raw_dim:
            raise ValueError(f"a vector of {raw.shape[-1]} entries: the layout {self.layout} has {self.raw_dim}")
        parts = []
        for (kind, _), part in zip(self.layout, raw.split([size for _, size in self.layout], dim=-1), strict=True):
            if kind == "euler":
                part = euler_to_6d(part)
            elif kind == "binary":
                part = 2 * part - 1
            parts.append(part)
        return torch.cat(parts, dim=-1)
