"""What a reset needs, worked out ahead: at a step at which two of 64 envs end, drawing and scoring two starts by
themselves would cost a tenth of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.starts import StartBank
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.world_models.base import WorldModel

EPISODES = 16
MOST_ROWS = 8192
MOST_BYTES = 64 * 2**20

Draw = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(seed, env [K], episode [K]) -> (task [K], bank row [K]), a pure function."""


class StartsAhead:
    """Tasks and bank rows of the next few episodes of every env. For the CPU: it looks at values.

    Draws depend on (seed, env, episode) alone, so drawing them early changes none of them, and nothing needs to be
    thrown away when a dream is reset or restored: a block that does not hold an episode is drawn again.
    """

    def __init__(self, draw: Draw, num_envs: int) -> None:
        self._draw, self._num_envs = draw, num_envs
        self._seed: int | None = None
        self._first = np.zeros(num_envs, np.int64)

    def __call__(self, seed: int, episode: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Task and bank row [K] of the envs ``rows`` [K]; ``episode`` [B] as for `Beginner.begin`."""
        row, now = rows.numpy(), episode.numpy()
        place = now[row] - self._first[row]
        # As unsigned numbers, episodes before the block are far behind its end.
        if seed != self._seed or (len(place) and place.view(np.uint64).max() >= EPISODES):
            self._fill(seed, now)
            place = now[row] - self._first[row]
        return torch.from_numpy(self._task[row, place]), torch.from_numpy(self._start[row, place])

    def _fill(self, seed: int, episode: np.ndarray) -> None:
        self._seed, self._first = seed, episode.copy()
        env = np.repeat(np.arange(self._num_envs), EPISODES)
        number = (self._first[:, None] + np.arange(EPISODES)).ravel()
        task, start = self._draw(seed, torch.from_numpy(env), torch.from_numpy(number))
        self._task, self._start = (x.numpy().reshape(-1, EPISODES) for x in (task, start))


class Memories:
    """What the reward model remembers of each start of the bank, so that a reset gathers instead of computing.

    Made at the first reset that asks, and again when a weight has changed by the next whole reset. Serves banks in
    which every row belongs to one task of the pool, up to ``MOST_ROWS`` rows and ``MOST_BYTES`` of memory.

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
        self._made_of: list[tuple[int, int]] = []

    def __call__(self, start: Tensor) -> Memory | None:
        """The memory of envs that begin at rows ``start`` [K], fresh tensors; None: the reward model must be asked."""
        if self._table is None and self._serves:
            self._make()
        return None if self._table is None else {k: v.index_select(0, start) for k, v in self._table.items()}

    def look(self) -> None:
        """Forgets everything if a weight has changed."""
        if self._table is not None and self._made_of != self._weights():
            self._table = None

    def _weights(self) -> list[tuple[int, int]]:
        modules = (self._model, self._reward)
        tensors = (t for m in modules for group in (m.parameters(), m.buffers()) for t in group)
        return [(t.data_ptr(), -1 if t.is_inference() else t._version) for t in tensors]

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
        self._table, self._made_of = table, self._weights()
