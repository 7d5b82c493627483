"""From a folder of rows to benchmarks/results/lac_*.json.

python benchmarks/lac/results.py WORK           # then: python benchmarks/figures.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
KINDS = {
    "rollouts": ("model", "split", "seed"),
    "selection": ("method", "split", "seed"),
    "probe": ("embedding", "seed"),
    "transfer": ("embedding", "seed"),
}
"""Kinds of rows, and what tells one row of a kind from another."""
HEAD = ("machine", "library_version")


def gathered(folder: Path, kind: str) -> dict[str, Any] | None:
    """The rows of a kind under one header; None where there is none.

    Raises:
        ValueError: rows that were made with other settings, which no table may mix.
    """
    rows = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{kind}.*.json"))]
    if not rows:
        return None
    settings = rows[0]["settings"]
    if other := [row for row in rows if row["settings"] != settings]:
        raise ValueError(f"{kind} was run with {other[0]['settings']} and with {settings}: make the rows of one anew")
    rows.sort(key=lambda row: [str(row[key]) for key in KINDS[kind]])
    head = {key: ", ".join(sorted({row[key] for row in rows})) for key in HEAD}
    return {**head, "settings": settings, "rows": [_without(row, ("settings", *HEAD)) for row in rows]}


def _without(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in keys}


def main(args: list[str] | None = None) -> None:
    (folder,) = sys.argv[1:] if args is None else args
    for kind in KINDS:
        found = gathered(Path(folder), kind)
        if found is not None:
            file = RESULTS / f"lac_{kind}.json"
            file.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{file}: {len(found['rows'])} rows")


if __name__ == "__main__":
    main()
