"""Result files of the WARPD experiments: JSON with rows, written whole, so that a killed experiment goes on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).resolve().parent.parent / "results"


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "cpu": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def commit() -> str:
    """The commit that is checked out, with a plus where the tree differs from it."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


class Rows:
    """The rows of one file, each known by some of its fields."""

    def __init__(self, path: Path, key: tuple[str, ...], about: Mapping[str, Any] | None = None) -> None:
        self.path, self.key = path, key
        self.data: dict[str, Any] = {"rows": []}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))
        self.data |= {"machine": machine(), **(about or {})}

    def _of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self.key)

    def has(self, **row: Any) -> bool:
        return any(self._of(r) == self._of(row) for r in self.data["rows"])

    def put(self, **row: Any) -> None:
        """Adds a row, or replaces the one of the same key, and writes the file."""
        row["commit"] = commit()
        self.data["rows"] = [r for r in self.data["rows"] if self._of(r) != self._of(row)] + [row]
        self.write()

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        rows = ",\n  ".join(json.dumps(r) for r in self.data["rows"])
        head = json.dumps({k: v for k, v in self.data.items() if k != "rows"}, indent=1)[:-2]
        temporary.write_text(f'{head},\n "rows": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
        temporary.replace(self.path)
