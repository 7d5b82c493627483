"""Result files of the WARPD experiments: JSON with rows, written whole, so that a killed experiment goes on.

python benchmarks/warpd/rows.py OUT IN...     # the rows of parts (--out of several processes) into one file
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamgym.provenance import commit, machine

RESULTS = Path(__file__).resolve().parent.parent / "results"


class Rows:
    """The rows of one file, each known by some of its fields."""

    def __init__(self, path: Path, key: tuple[str, ...], about: Mapping[str, Any] | None = None) -> None:
        self.path, self.key = path, key
        self.data: dict[str, Any] = {"rows": []}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))
        self.data |= {"machine": machine(), "key": list(key), **(about or {})}

    def _of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in self.key)

    def has(self, settings: Mapping[str, Any] | None = None, **row: Any) -> bool:
        """Whether the row is there.

        Raises:
            ValueError: it is, made with other settings.
        """
        for there in (r for r in self.data["rows"] if self._of(r) == self._of(row)):
            held = there.get("settings", {})
            if any(held[k] != v for k, v in (settings or {}).items() if k in held):  # later ones say more
                raise ValueError(
                    f"{self.path} holds {dict(zip(self.key, self._of(row), strict=True))} made with "
                    f"{held}, not {dict(settings or {})}: give another --out and --runs"
                )
            return True
        return False

    def put(self, **row: Any) -> None:
        """Adds a row, or replaces the one of the same key, and writes the file."""
        self.replace({**row, "commit": commit()})
        self.write()

    def replace(self, row: Mapping[str, Any]) -> None:
        """`put` without writing; the row comes with its commit."""
        self.data["rows"] = [r for r in self.data["rows"] if self._of(r) != self._of(row)] + [dict(row)]

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        rows = ",\n  ".join(json.dumps(r) for r in self.data["rows"])
        head = json.dumps({k: v for k, v in self.data.items() if k != "rows"}, indent=1)[:-2]
        temporary.write_text(f'{head},\n "rows": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
        temporary.replace(self.path)


def merge(out: Path, parts: Sequence[Path]) -> int:
    """Adds the rows of ``parts`` to those of ``out``, the later one of a key in place of the earlier; how many."""
    count = 0
    for part in parts:
        data = json.loads(part.read_text(encoding="utf-8"))
        rows = Rows(out, tuple(data["key"]), {k: v for k, v in data.items() if k not in ("rows", "key")})
        for row in data["rows"]:
            rows.replace(row)
            count += 1
        rows.write()
    return count


if __name__ == "__main__":
    merge(Path(sys.argv[1]), [Path(a) for a in sys.argv[2:]])
