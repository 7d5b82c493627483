"""Batches prepared ahead by a thread, in order."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Protocol

from torch import Tensor


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
        rank, world: of several processes, each takes its own batch: ``step * world + rank``.
        depth: batches kept ready.
    """

    def __init__(self, sampler: Sampler, start: int, stop: int, rank: int = 0, world: int = 1, depth: int = 2) -> None:
        self._queue: queue.Queue[dict[str, Tensor] | BaseException] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        numbers = range(start * world + rank, stop * world + rank, world)
        self._thread = threading.Thread(target=self._run, args=(sampler, numbers), name="prefetch", daemon=True)

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

    def _run(self, sampler: Sampler, numbers: range) -> None:
        for number in numbers:
            try:
                item: dict[str, Tensor] | BaseException = sampler.batch(number)
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
