"""Ctrl-C and SIGTERM as a request to save and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop(threading.Event):
    """Set once the process was told to stop.

    Attributes:
        signal: the number of the signal that did, or None.
    """

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What a command ends with, as shells report it: 130 after SIGINT, 143 after SIGTERM; 0 if not stopped."""
        return 0 if self.signal is None else 128 + self.signal


class Stopped(KeyboardInterrupt):
    """A signal ended a run before all of it was done; its progress is saved. A command ends with ``exit_code``.

    Args:
        message: where it stopped.
        stop: which signal it was.
    """

    def __init__(self, message: str, stop: Stop) -> None:
        super().__init__(f"{message}; the same command goes on")
        self.exit_code = stop.exit_code


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Within the block SIGTERM and SIGINT set the `Stop` that it gives, instead of ending the process."""
    stop = Stop()

    def heard(number: int, frame: Any) -> None:
        stop.signal = number
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    previous = {s: signal.signal(s, heard) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)
