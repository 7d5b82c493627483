"""Which errors end a command in one line: those that its caller can mend. Others are defects, with a traceback."""

from __future__ import annotations

import errno
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OF_MEMORY = re.compile("can't allocate memory|out of memory")
"""What torch says where there is too little, of a CPU and of an accelerator."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a spent quota, a limit on the size of files."""


def in_one_line(error: BaseException) -> str | None:
    """What to tell of an error that the caller can mend; None for a defect."""
    if isinstance(error, OSError):
        return _full(_told(error)) if error.errno in FULL else _told(error)
    if isinstance(error, ImportError | ValueError | FloatingPointError) or _is_gymnasiums(error):
        return _told(error)
    if type(error).__name__ == "SafetensorError" and "os error" in str(error):  # writes weights, in Rust
        return _full(_told(error)) if any(f"os error {number})" in str(error) for number in FULL) else _told(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and OF_MEMORY.search(str(error))):
        return f"the memory does not suffice ({_told(error)}): ask for less (smaller batches, shorter windows or clips)"
    if type(error).__name__ == "CollectError":
        return _told(error)
    return None


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Within the block a thread that met a full disk ends without a traceback.

    TensorBoard writes in a thread of its own and raises the same error again where it is next asked to write.
    """
    before = threading.excepthook

    def told(args: threading.ExceptHookArgs) -> None:
        if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in FULL):
            before(args)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before


def _full(reason: str) -> str:
    return (
        f"the disk is full, or files may not become larger ({reason}): free room; what was finished is kept, and the "
        "same command goes on with it"
    )


def _told(error: BaseException) -> str:
    """Its message, which may quote several lines of another library's, as one."""
    return " ".join(line.strip() for line in str(error).splitlines()) or type(error).__name__


def _is_gymnasiums(error: BaseException) -> bool:
    """An unknown environment id and the like; where Gymnasium was not imported it is none of its own."""
    errors = sys.modules.get("gymnasium.error")
    return errors is not None and isinstance(error, errors.Error)
