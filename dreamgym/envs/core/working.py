"""The context in which a core computes: gradients as asked for, its own number of threads, and ordinary tensors.

A class, not a generator: entering costs a tenth of a small model's step otherwise.
"""

from __future__ import annotations

import os
from types import TracebackType

import torch


class Working:
    """A reusable context manager; it must not be entered within itself.

    Ordinary tensors whatever mode the caller is in: counters that were made in a caller's inference mode could not be
    written to outside it.

    Args:
        gradients: whether autograd records.
        threads: torch's number of threads inside; None: as it is. Outside, the process's own number stands again.
    """

    def __init__(self, gradients: bool, threads: int | None) -> None:
        self._gradients, self._threads = gradients, threads
        self._ordinary: torch.inference_mode | None = None
        self._recorded = False
        self._outside: int | None = None

    def __enter__(self) -> None:
        if self._threads is not None:
            found = torch.get_num_threads()
            if found != self._threads:
                torch.set_num_threads(self._threads)
                self._outside = found
        gradients = self._gradients
        if torch.is_inference_mode_enabled():
            self._ordinary, gradients = torch.inference_mode(False), False
            self._ordinary.__enter__()
        self._recorded = torch.is_grad_enabled()
        if self._recorded != gradients:
            torch.set_grad_enabled(gradients)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorded != torch.is_grad_enabled():
            torch.set_grad_enabled(self._recorded)
        if self._ordinary is not None:
            self._ordinary.__exit__(kind, error, trace)
            self._ordinary = None
        if self._outside is not None:
            torch.set_num_threads(self._outside)
            self._outside = None


def _one_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # A forked child has lost the threads that torch believes it has, and its first parallel loop would wait for them
    # for ever: Gymnasium's AsyncVectorEnv forks.
    os.register_at_fork(after_in_child=_one_thread)
