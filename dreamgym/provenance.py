"""Where a figure comes from: the commit, the machine and the hashes of the files that it was measured with.

Every result file carries `provenance`; the library, the agents and the benchmarks share it.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dreamgym.version import __version__

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def commit() -> str:
    """The commit of the checkout that this package runs from, with a plus where its files were changed since.

    Looked up once a process: later edits do not change the code that is running. "" for an installed package.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        try:
            # A fixed git command: nothing of a caller or of a file goes into it.
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
        except OSError:
            return ""  # no git

    # A virtual environment may lie inside somebody else's repository.
    if not (ROOT / "dreamgym").is_dir() or Path(git("rev-parse", "--show-toplevel") or "/").resolve() != ROOT:
        return ""
    # Not `describe --dirty`: it writes the index, and a kill or a full disk meanwhile leaves a lock on the checkout.
    changed = git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + ("+" if changed else "")


def machine() -> str:
    """The machine in words: processor, cores, threads that torch uses."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads"


def provenance(hashes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a result file says of its origin, JSON-ready.

    Args:
        hashes: sha256 of the files that were used, by role ("model", "rewards", "starts").

    Returns:
        "commit", "machine", "library_version", "hashes".
    """
    return {
        "commit": commit(),
        "machine": machine(),
        "library_version": __version__,
        "hashes": dict(hashes or {}),
    }
