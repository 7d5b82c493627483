"""A body in the plane, and the world as seen from it: where contact is a function of few numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamgym.world_models.mlp.config import MLPConfig
from dreamgym.world_models.mlp.scaling import Scaling


class BodyFrame:
    """What a network is shown from `MLPConfig.body`, and the changes of the body that it predicts there.

    How a body answers a push depends on where it is touched and which way, as seen from itself, wherever it lies and
    however it is turned. A perceptron of absolute coordinates would have to learn that anew for every place and turn.

    Args:
        config: with ``body`` and ``still``.
        scaling: units of observations and their changes.
    """

    def __init__(self, config: MLPConfig, scaling: Scaling) -> None:
        self.place, self.direction = list(config.body[:2]), list(config.body[2:])
        self.robot, self.scaling = list(config.still), scaling

    @staticmethod
    def width(config: MLPConfig) -> int:
        """Entries of `inputs`: the robot and where it is sent at each step, the body at those before the newest."""
        return 4 * config.history + 4 * (config.history - 1)

    def inputs(self, obs: Tensor, action: Tensor) -> Tensor:
        """[..., width] of standardised obs [..., H, O] and scaled action [..., H, 2], places to go to.

        All as seen from the newest body: robot and goals in units of the robot's spread, the earlier places and
        directions of the body in units of one step's change.
        """
        raw, goal = self.scaling.raw(obs), action * self.scaling.reach + self.scaling.middle
        turn, here = self._turn(raw[..., -1:, :]), raw[..., -1:, self.place]
        spread = self.scaling.std[self.robot].mean()
        seen = [_back(turn, x - here) / spread for x in (raw[..., self.robot], goal)]
        before = raw[..., :-1, :]
        moved = _back(turn, before[..., self.place] - here) / self._step(self.place)
        turned = (_back(turn, before[..., self.direction]) - _ahead(before)) / self._step(self.direction)
        return torch.cat([x.flatten(-2) for x in (*seen, moved, turned)], -1)

    def changes(self, output: Tensor, obs: Tensor) -> Tensor:
        """Changes of the standardised observation [..., O] from a network's output [..., O].

        Args:
            output: in units of one step's change, the body's entries as seen from it.
            obs: the newest, standardised, [..., O] or as far as it broadcasts.
        """
        raw = self.scaling.raw(obs)
        turn, out = self._turn(raw), (output * self.scaling.step).clone()
        moved = _forth(turn, output[..., self.place] * self._step(self.place))
        out[..., self.place] = moved / self.scaling.std[self.place]
        turned = output[..., self.direction] * self._step(self.direction)
        ahead = _forth(turn, _ahead(turned) + turned)
        # A direction keeps its length, which a sum of changes does not.
        ahead = ahead / ahead.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        out[..., self.direction] = (ahead - raw[..., self.direction]) / self.scaling.std[self.direction]
        return out

    def _step(self, entries: list[int]) -> Tensor:
        """Spread of one step's change, the same for both entries of a pair."""
        return self.scaling.delta_std[entries].mean()

    def _turn(self, raw: Tensor) -> Tensor:
        """Cosine and sine [..., 2] of the body's turn."""
        found = raw[..., self.direction]
        return found / found.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def _ahead(like: Tensor) -> Tensor:
    """[2]: the direction of no turn."""
    return torch.tensor([1.0, 0.0], device=like.device, dtype=like.dtype)


def _forth(turn: Tensor, x: Tensor) -> Tensor:
    """Vectors x [..., 2] of the body's frame in the world's."""
    cos, sin = turn[..., 0], turn[..., 1]
    return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)


def _back(turn: Tensor, x: Tensor) -> Tensor:
    """Vectors x [..., 2] of the world's frame in the body's."""
    cos, sin = turn[..., 0], turn[..., 1]
    return torch.stack([cos * x[..., 0] + sin * x[..., 1], cos * x[..., 1] - sin * x[..., 0]], -1)
