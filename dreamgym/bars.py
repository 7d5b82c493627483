"""Progress of long work: a bar on a terminal or in a notebook; elsewhere, as in a log file, a line a minute."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Self

from tqdm.auto import tqdm

EVERY = 60.0
"""Seconds between lines."""

_log = logging.getLogger(__name__)


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    initial: float = 0,
    desc: str = "",
    unit: str = "it",
    shown: bool = True,
    leave: bool = False,
) -> Any:
    """What counts a loop: iterate over it, or call ``update(n)`` on it; a context manager.

    Args:
        iterable: what to loop over, if anything.
        total: how much there is to do; by default the length of ``iterable``.
        initial: how much of it was done before.
        desc: what is under way.
        unit: of what is counted.
        shown: False: counts without a word.
        leave: whether the bar stays on the terminal once all is done.

    Returns:
        A tqdm bar, or `Lines` where standard error is no terminal.
    """
    if not shown or sys.stderr.isatty() or _in_notebook():
        return tqdm(
            iterable, total=total, initial=initial, desc=desc, unit=unit, disable=not shown, leave=leave,
            dynamic_ncols=True, mininterval=0.5,
        )  # fmt: skip
    return Lines(iterable, total, initial, desc, unit)


def _in_notebook() -> bool:
    """Whether this runs in a cell; that somebody imported a kernel's package says nothing."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Lines:
    """The same as lines of the log, at level INFO: one a minute, and a last one where there was one before.

    Args:
        iterable, total, initial, desc, unit: as for `progress_bar`.

    Attributes:
        n: how much is done.
        total: how much there is to do, or None; may be set.
    """

    def __init__(
        self, iterable: Iterable[Any] | None, total: float | None, initial: float, desc: str, unit: str
    ) -> None:
        self._iterable, self._desc, self._unit = iterable, desc or "progress", unit
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.n = self._initial = initial
        self._postfix = ""
        self._began = self._told = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self._iterable or ():
                yield item
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def update(self, n: float = 1) -> None:
        """Counts ``n`` more as done."""
        self.n += n
        if time.monotonic() - self._told >= EVERY:
            self._tell()

    def set_postfix(self, refresh: bool = True, **values: Any) -> None:
        """Values to tell beside the count."""
        self._postfix = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())

    def close(self) -> None:
        """Tells where it ended, if anything was told before."""
        if self._told > self._began:
            self._tell()
            self._told = self._began

    def _tell(self) -> None:
        self._told = time.monotonic()
        meter = tqdm.format_meter(
            self.n, self.total or 0, self._told - self._began, ncols=0, prefix=self._desc, unit=self._unit,
            initial=self._initial, postfix=self._postfix or None,
        )  # fmt: skip
        _log.info("%s", meter)
