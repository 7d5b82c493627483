"""Marks the loading of pretrained weights, whose size is that of their own files.

`dreamgym.training.checkpoint` limits what a stranger's config may build to the size of the checkpoint's files; parts
that come from elsewhere are not in those files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOADING: ContextVar[bool] = ContextVar("pretrained weights are being loaded", default=False)


@contextmanager
def loading_pretrained() -> Iterator[None]:
    """Within the block modules are built and run that have the size of weights which stand elsewhere."""
    token = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(token)


def are_loading() -> bool:
    """Whether this thread is within `loading_pretrained`."""
    return _LOADING.get()
