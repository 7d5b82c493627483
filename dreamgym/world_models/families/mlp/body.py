"""A body in the plane, and the world as seen from it: where contact is a function of few numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.world_models.families.mlp.config import MLPConfig
from dreamgym.world_models.families.mlp.standardizer import Standardizer


class BodyFrame(nn.Module):
    """What a network is shown from `MLPConfig.body`, and the changes of the body that it predicts there.

    How a body answers a push depends on where it is touched and which way, as seen from itself, wherever it lies and
    however it is turned. A perceptron of absolute coordinates would have to learn that anew for every place and turn.

    What it looks at are V = 4 H - 2 vectors of the plane, turned all at once: a step for few rows costs what its many
    small operations cost.

    Args:
        config: with ``body`` and ``still``.
    """

    shown: Tensor  # [2 (V + 2)]: coordinates of the vectors and the newest body, among observations and goals
    is_place: Tensor  # [V, 1]: a place, counted from the body; else a direction, from its own
    units_of: Tensor  # [V, 2 O]: which spreads make a vector's unit, among those of entries and of their changes
    entries: Tensor  # [4]: the body's among the observation's
    no_turn: Tensor  # [2, 2]: no move, and the direction of no turn

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        num, steps, width = config.history, range(config.history), config.obs_dim
        place, direction = torch.tensor(config.body).view(2, 2)
        robots = [h * width + torch.tensor(config.still) for h in steps]
        goals = [num * width + 2 * h + torch.arange(2) for h in steps]
        bodies = [[h * width + entries for h in steps] for entries in (place, direction)]
        vectors = [*robots, *goals, *bodies[0][:-1], *bodies[1][:-1], bodies[0][-1], bodies[1][-1]]
        counts = torch.tensor([2 * num, num - 1, num - 1])
        units = torch.zeros(3, 2 * width)
        for row, found in zip(units, (torch.tensor(config.still), width + place, width + direction), strict=True):
            row[found] = 0.5  # the same unit for both entries of a pair
        self.register_buffer("shown", torch.cat(vectors), persistent=False)
        self.register_buffer("is_place", (torch.arange(4 * num - 2) < 3 * num - 1).unsqueeze(1), persistent=False)
        self.register_buffer("units_of", units.repeat_interleave(counts, 0), persistent=False)
        self.register_buffer("entries", torch.tensor(config.body), persistent=False)
        self.register_buffer("no_turn", torch.tensor([[0.0, 0.0], [1.0, 0.0]]), persistent=False)

    @staticmethod
    def width(config: MLPConfig) -> int:
        """Entries of `inputs`: the robot and where it is sent at each step, the body at those before the newest."""
        return 2 * (4 * config.history - 2)

    def inputs(self, scaling: Standardizer, obs: Tensor, action: Tensor) -> Tensor:
        """[..., width] of standardised obs [..., H, O] and scaled action [..., H, 2], places to go to.

        All as seen from the newest body: robot and goals in units of the robot's spread, the earlier places and
        directions of the body in units of one step's change.
        """
        raw, goal = scaling.raw(obs), action * scaling.reach + scaling.middle
        known = torch.cat([raw.flatten(-2), goal.flatten(-2)], -1)
        vectors = known.index_select(-1, self.shown).unflatten(-1, (-1, 2))
        turn = F.normalize(vectors[..., -1:, :], dim=-1, eps=1e-6)
        seen = _turned(vectors[..., :-2, :] - torch.where(self.is_place, vectors[..., -2:-1, :], turn), turn, back=True)
        units = self.units_of @ torch.cat([scaling.std, scaling.delta_std])
        return (seen / units.unsqueeze(1)).flatten(-2)

    def changes(self, scaling: Standardizer, output: Tensor, obs: Tensor) -> Tensor:
        """Changes of the standardised observation [..., O] from a network's output [..., O].

        Args:
            scaling: units of observations and their changes.
            output: in units of one step's change, the body's entries as seen from it.
            obs: the newest, standardised, [..., O] or as far as it broadcasts.
        """
        before = scaling.raw(obs).index_select(-1, self.entries[2:])
        turn = F.normalize(before, dim=-1, eps=1e-6).unsqueeze(-2)
        units = scaling.delta_std[self.entries].view(2, 2).mean(1, keepdim=True)
        seen = output.index_select(-1, self.entries).unflatten(-1, (2, 2)) * units + self.no_turn
        moved, ahead = _turned(seen, turn, back=False).unbind(-2)
        # A direction keeps its length, which a sum of changes does not.
        change = torch.cat([moved, F.normalize(ahead, dim=-1, eps=1e-6) - before], -1) / scaling.std[self.entries]
        return (output * scaling.step).index_copy(-1, self.entries, change)


def _turned(x: Tensor, turn: Tensor, back: bool) -> Tensor:
    """Vectors x [..., V, 2] of a body's frame in the world's, or ``back``; its turn [..., 1, 2] as cosine and sine."""
    cos, sin = turn.split(1, -1)
    across = torch.cat([sin, -sin] if back else [-sin, sin], -1)
    return x * cos + x.flip(-1) * across
