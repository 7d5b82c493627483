"""One training run on several processes: who this one is, and what they must agree on.

``torchrun`` and ``accelerate launch`` start the same command once a process and tell each by the environment; without
them there is one process and nothing here communicates.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: of this one, from 0.
        count: how many there are.
        device: this one's own; None: whatever the caller chooses, of one process.
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @classmethod
    def current(cls) -> Processes:
        """Those that this process was started among; they meet when it is first called.

        Raises:
            ImportError: there are several, and accelerate is not installed.
            ValueError: the environment names a number of processes that is none.
        """
        told = os.environ.get("WORLD_SIZE", "1")
        if not told.isdecimal() or int(told) < 1:
            raise ValueError(
                f"WORLD_SIZE says how many processes train together, a whole number of 1 or more: {told!r}"
            )
        if int(told) == 1:
            return cls()
        state = _join()
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def main(self) -> bool:
        """Whether this one writes files and talks to people."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all of them are here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, total: int, what: str) -> int:
        """How many of ``total`` are this one's.

        Raises:
            ValueError: they cannot be shared out evenly.
        """
        if total % self.count:
            raise ValueError(
                f"{what}={total} cannot be shared out among {self.count} processes: choose a multiple of {self.count}, "
                "or start another number of processes"
            )
        return total // self.count

    def mean(self, value: Tensor) -> Tensor:
        """The mean of every process's ``value``; the same on all."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def any(self, flag: bool) -> bool:
        """Whether it is true on some process: stopping must be agreed upon, or the others wait for ever."""
        if self.count == 1:
            return flag
        return bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Puts the mean of all processes' gradients into each; of parameters without one, nothing."""
        if self.count == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        mean = self.mean(torch.cat([g.flatten() for g in grads]))
        for grad, part in zip(grads, mean.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))


@cache
def _join() -> Any:
    """Accelerate's own view of the processes, which meet here; they leave together at exit."""
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise ImportError('several processes need accelerate: pip install "dreamgym[train]"') from error
    state = PartialState(cpu=not torch.accelerator.is_available())  # else it takes CPUs for one process
    atexit.register(_leave)
    return state


def _leave() -> None:
    """Ends the communication before Python takes its threads apart, which aborts."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
