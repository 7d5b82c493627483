"""Motion labels, and the decoder of latent actions into them (LAC-WM, sections 3.1 and A.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.latent_action.blocks import Attention
from dreamgym.world_models.families.latent_action.config import LatentActionConfig, Motion


def motion_labels(motion: Motion, rows: Tensor) -> Tensor:
    """What moved between frames.

    Args:
        motion: where the poses are.
        rows: [B, T, d] of the sensor, a frame each.

    Returns:
        [B, T - 1, M]: of each hand the displacement 3 (m, in the world) and the first two columns of the rotation from
        the first frame's to the second's, less those of no rotation, 6; the fingers' change; the same 9 of the camera.
    """
    parts = [_pose_change(rows[..., list(motion.end_effector)])] if motion.end_effector else []
    if motion.fingers:
        parts.append(rows[..., list(motion.fingers)].diff(dim=1))
    if motion.camera:
        parts.append(_pose_change(rows[..., list(motion.camera)]))
    return torch.cat(parts, -1)


def _pose_change(poses: Tensor) -> Tensor:
    """[B, T, 9 h] to [B, T - 1, 9 h]."""
    each = poses.unflatten(-1, (-1, 9))
    rotation = _matrices(each[..., 3:])
    turned = rotation[:, 1:] @ rotation[:, :-1].transpose(-1, -2)
    turned = turned - torch.eye(3, device=poses.device)
    columns = turned[..., :2].transpose(-1, -2).flatten(-2)
    return torch.cat([each[..., :3].diff(dim=1), columns], -1).flatten(-2)


def _matrices(columns: Tensor) -> Tensor:
    """[..., 3, 3] of the first two columns [..., 6], made orthonormal."""
    first = F.normalize(columns[..., :3], dim=-1)
    second = columns[..., 3:]
    second = F.normalize(second - first * (first * second).sum(-1, keepdim=True), dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


class MotionDecoder(nn.Module):
    """Latent actions and the frame to motion labels: the first half tells the hand, the second the camera.

    Each half is a query that attends to the frame's tokens, which a strided convolution has made fewer; an MLP reads
    the label off. Labels are standardised by the training data (``mean``, ``std``).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: LatentActionConfig, motion: Motion) -> None:
        super().__init__()
        width = config.motion_width
        self.grid, self.part_dim = config.encoder.grid, config.latent_dim // 2
        self.thin = nn.Conv2d(config.encoder.token_dim, width, 2, stride=2)
        self.queries = nn.ModuleList(nn.Linear(self.part_dim, width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, max(1, width // 64), min(64, width))
        dims = (motion.hand_dim, motion.camera_dim)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, dim)) for dim in dims if dim
        )
        self.register_buffer("mean", torch.zeros(sum(dims)))
        self.register_buffer("std", torch.ones(sum(dims)))

    def forward(self, tokens: Tensor, latent: Tensor) -> Tensor:
        """Standardised labels [R, M] of latent actions [R, Z] at frames [R, N, D]."""
        plane = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        context = self.norm(self.thin(plane).flatten(2).transpose(1, 2))
        told = []
        for query, part, head in zip(self.queries, latent.split(self.part_dim, -1), self.heads, strict=False):
            told.append(head(self.attention(query(part).unsqueeze(1), context)[:, 0]))
        return torch.cat(told, -1)

    def standardised(self, labels: Tensor) -> Tensor:
        """Labels [..., M] in units of their spread in the training data."""
        return (labels - self.mean) / self.std
