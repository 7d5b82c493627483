"""Batches prepared ahead by a thread, in order."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Protocol

from torch import Tensor

from dreamgym.training.processes import Processes


class Sampler(Protocol):
    """Anything that gives batch i as a function of i alone (`dreamgym.data.SequenceSampler` does)."""

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of update ``step``: tensors [B, T, ...]."""
        ...


class Prefetcher:
    """A context manager whose `next` gives the batches of updates ``start`` .. ``stop - 1``; errors surface there.

    Args:
        sampler: where from.
        start, stop: updates.
        rank, world: of several processes, each takes its share of every batch, so that a batch is the same whatever
            their number. Each reads the whole batch, which is memory-mapped.
        depth: batches kept ready.
    """

    def __init__(self, sampler: Sampler, start: int, stop: int, rank: int = 0, world: int = 1, depth: int = 2) -> None:
        self._queue: queue.Queue[dict[str, Tensor] | BaseException] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        args = (sampler, range(start, stop), rank, world)
        self._thread = threading.Thread(target=self._run, args=args, name="prefetch", daemon=True)

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def next(self) -> dict[str, Tensor]:
        """The next batch."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _run(self, sampler: Sampler, numbers: range, rank: int, world: int) -> None:
        for number in numbers:
            try:
                item: dict[str, Tensor] | BaseException = _share(sampler.batch(number), rank, world)
            except BaseException as error:  # handed to the training thread, which raises it
                item = error
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set() or isinstance(item, BaseException):
                return


def _share(batch: dict[str, Tensor], rank: int, world: int) -> dict[str, Tensor]:
    """The rows of a batch that are one process's."""
    if world == 1:
        return batch
    size = Processes(rank, world).share(len(next(iter(batch.values()))), "batch_size")
    return {key: value[rank * size : (rank + 1) * size] for key, value in batch.items()}
