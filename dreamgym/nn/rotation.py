"""Euler angles and the continuous 6-D form of a rotation (DiWA S.4, after Zhou et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


def euler_to_6d(euler: Tensor) -> Tensor:
    """The first two columns of the rotation matrix of Euler angles.

    Args:
        euler: [..., 3] roll, pitch, yaw in radians; the matrix is ``Rz(yaw) Ry(pitch) Rx(roll)``, PyBullet's order.

    Returns:
        [..., 6], the two columns one after the other, each of unit length.
    """
    sin_r, sin_p, sin_y = torch.sin(euler).unbind(-1)
    cos_r, cos_p, cos_y = torch.cos(euler).unbind(-1)
    return torch.stack(
        [
            cos_y * cos_p,
            sin_y * cos_p,
            -sin_p,
            cos_y * sin_p * sin_r - sin_y * cos_r,
            sin_y * sin_p * sin_r + cos_y * cos_r,
            cos_p * sin_r,
        ],
        dim=-1,
    )


def euler_from_6d(columns: Tensor) -> Tensor:
    """Euler angles of the rotation nearest (Gram-Schmidt) to two predicted columns.

    Args:
        columns: [..., 6]; need not be orthogonal or of unit length.

    Returns:
        [..., 3] roll and yaw in [-pi, pi], pitch in [-pi/2, pi/2]. Zero columns give zero angles and finite gradients.
    """
    first = torch.nn.functional.normalize(columns[..., :3], dim=-1, eps=1e-6)
    second = columns[..., 3:] - (first * columns[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1, eps=1e-6)
    # Only the last entry of the third column (the cross product) is needed.
    third_z = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    # The gradient of a length is not defined at zero (that of atan2 is 0 there); none flows through a length of zero.
    upright = (first[..., 0] == 0) & (first[..., 1] == 0)
    length = torch.hypot(first[..., 0].masked_fill(upright, 1.0), first[..., 1]).masked_fill(upright, 0.0)
    pitch = torch.atan2(-first[..., 2], length)
    yaw = torch.atan2(first[..., 1], first[..., 0])
    roll = torch.atan2(second[..., 2], third_z)
    return torch.stack([roll, pitch, yaw], dim=-1)
