"""What a reward model remembers of the start bank's rows, kept, so that a reset gathers it instead of computing it."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamgym.envs.core.starts import StartBank
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.world_models.base import WorldModel

BLOCK = 64
"""Rows that are asked for together: for the few that one step begins, reading the weights is what costs."""
MOST_BYTES = 64 * 2**20


class StartMemories:
    """The memories of episodes that begin at rows of the bank with one task, the only one that the core draws.

    A block of rows is computed the first time that one of them is drawn. All are forgotten when weights or starts were
    written to, which tensors count; weights that were replaced by other tensors are looked for at whole resets.

    Args:
        model, reward, bank: the core's.
        task: the number of that task.
    """

    def __init__(self, model: WorldModel, reward: RewardModel, bank: StartBank, task: int) -> None:
        self._model, self._reward, self._bank = model, reward, bank
        self._task, self._size = task, len(bank)
        self._table: Memory = {}
        self._known: set[int] = set()
        self._serves = True
        self._watched: list[Tensor] = []
        self._places: list[int] = []
        self._writes = -1

    def look(self) -> None:
        """To be called at a whole reset: which tensors there are, and whether they are the same as before."""
        modules = (self._model, self._reward)
        tensors = [t for m in modules for group in (m.parameters(), m.buffers()) for t in group]
        tensors += self._bank.states.values()
        places = [t.data_ptr() for t in tensors]
        if places != self._places:
            self._known.clear()
        self._places = places
        self._watched = [t for t in tensors if not t.is_inference()]  # those count no writes

    def __call__(self, start: Tensor) -> Memory | None:
        """The memory of envs that begin at rows ``start`` [K], fresh tensors; None: the reward model must be asked."""
        if not self._serves:
            return None
        writes = sum([t._version for t in self._watched])
        if writes != self._writes:
            self._known.clear()
            self._writes = writes
        for block in {row // BLOCK for row in start.tolist()} - self._known:
            self._compute(block)
        return {k: v.index_select(0, start) for k, v in self._table.items()} if self._serves else None

    @torch.no_grad()
    def _compute(self, block: int) -> None:
        rows = torch.arange(block * BLOCK, min((block + 1) * BLOCK, self._size))
        memory = self._reward.start(self._model, self._bank.state(rows), torch.full_like(rows, self._task))
        if not self._table:
            self._serves = sum(v.nbytes for v in memory.values()) / len(rows) * self._size <= MOST_BYTES
            self._table = {k: v.new_empty((self._size, *v.shape[1:])) for k, v in memory.items() if self._serves}
        for key, table in self._table.items():
            table.index_copy_(0, rows, memory[key])
        self._known.add(block)
