"""What a reset needs, worked out ahead: at a step at which two of 64 envs end, drawing and scoring two starts by
themselves would cost a tenth of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dreamgym.envs.core.starts import StartBank
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.world_models.base import WorldModel

EPISODES = 16
MOST_ENVS = 256
"""With more, so many end together that drawing theirs alone is cheaper than drawing ahead for all."""
MOST_ROWS = 8192
MOST_BYTES = 64 * 2**20

Draw = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(seed, env [K], episode [K]) -> (task [K], bank row [K]), a pure function."""


class StartsAhead:
    """Tasks and bank rows of the next few episodes of every env.

    Draws depend on (seed, env, episode) alone, so drawing them early changes none of them. Two gathers then serve a
    reset; a block serves as many resets as it holds episodes, since no reset begins more than one in any env.
    """

    def __init__(self, draw: Draw, num_envs: int) -> None:
        self._draw, self._env = draw, torch.arange(num_envs)
        self._left = 0

    def forget(self) -> None:
        """To be called where episodes begin in another way, or another seed counts."""
        self._left = 0

    def __call__(self, seed: int, episode: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Task and bank row [K] of the envs ``rows`` [K]; ``episode`` [B] as for `Beginner.begin`."""
        if self._left == 0:
            self._fill(seed, episode)
        self._left -= 1
        place = (episode + self._offset).index_select(0, rows)
        return self._task.index_select(0, place), self._start.index_select(0, place)

    def _fill(self, seed: int, episode: Tensor) -> None:
        number = episode.unsqueeze(1) + torch.arange(EPISODES)
        env = self._env.unsqueeze(1).expand_as(number)
        self._task, self._start = self._draw(seed, env.flatten(), number.flatten())
        self._offset = self._env * EPISODES - episode
        self._left = EPISODES


class Memories:
    """What the reward model remembers of each start of the bank, so that a reset gathers instead of computing.

    Made at the first reset that asks. When weights or starts were written to since, the next reset asks the reward
    model itself, and the table is made anew at the first reset before which they rested (a whole reset does not wait).
    Serves banks in which every row belongs to one task of the pool, up to ``MOST_ROWS`` rows and ``MOST_BYTES``.

    Args:
        model, reward, bank: the dream's.
        pool: (task number, its rows [C] of the bank) for every task that episodes draw from.
    """

    def __init__(
        self, model: WorldModel, reward: RewardModel, bank: StartBank, pool: Sequence[tuple[int, Tensor]]
    ) -> None:
        self._model, self._reward, self._bank, self._pool = model, reward, bank, pool
        rows = torch.cat([r for _, r in pool])
        self._serves = len(bank) <= MOST_ROWS and len(rows.unique()) == len(rows)
        self._table: Memory | None = None
        self._watched: list[Tensor] = []
        self._places: list[int] = []
        self._writes = -1

    def __call__(self, start: Tensor) -> Memory | None:
        """The memory of envs that begin at rows ``start`` [K], fresh tensors; None: the reward model must be asked."""
        if not self._serves:
            return None
        if not self._watched:
            self.look()
        writes = self._count_writes()
        if writes != self._writes:
            self._table, self._writes = None, writes
            return None
        if self._table is None:
            self._make()
        return None if self._table is None else {k: v.index_select(0, start) for k, v in self._table.items()}

    def look(self) -> None:
        """To be called at a whole reset: looks for weights that were replaced, too."""
        if not self._serves:
            return
        modules = (self._model, self._reward)
        tensors = [t for m in modules for group in (m.parameters(), m.buffers()) for t in group]
        tensors += self._bank.states.values()
        self._watched = [t for t in tensors if not t.is_inference()]  # those count no writes
        places, writes = [t.data_ptr() for t in tensors], self._count_writes()
        if (places, writes) != (self._places, self._writes):
            self._table, self._places, self._writes = None, places, writes

    def _count_writes(self) -> int:
        return sum([t._version for t in self._watched])

    @torch.no_grad()
    def _make(self) -> None:
        table: Memory = {}
        for task, rows in self._pool:
            for some in rows.split(256):
                state = self._bank.state(some)
                memory = self._reward.start(self._model, state, torch.full_like(some, task))
                for key, value in memory.items():
                    if key not in table:
                        table[key] = value.new_zeros((len(self._bank), *value.shape[1:]))
                    table[key].index_copy_(0, some, value)
                if sum(v.nbytes for v in table.values()) > MOST_BYTES:
                    self._serves = False
                    return
        self._table = table
