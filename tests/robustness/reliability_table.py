"""The tables of `docs/reliability.md` from the figures that `corruption.py --json` and `measured.py` wrote:

python tests/robustness/reliability_table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reliability.md"
OUTCOMES = ("refused", "unchanged", "owner", "changed", "error", "died", "hung")


def corruption() -> str:
    """A row a world and kind of damage: of its last series."""
    last: dict[str, dict[str, Any]] = {}
    for series in json.loads((RESULTS / "corruption.json").read_text())["series"]:
        for name, counts in series["outcomes"].items():
            last[name] = {**counts, "seed": series["seed"], "commit": series["commit"][:7]}
    lines = [
        f"| Checkpoint, damage | {' | '.join(OUTCOMES)} | seed | commit |",
        f"|---|{'---:|' * len(OUTCOMES)}---:|---|",
    ]
    for name, row in last.items():
        counts = " | ".join(str(row.get(k, 0)) for k in OUTCOMES)
        lines.append(f"| {name} | {counts} | {row['seed']} | {row['commit']} |")
    sums = [sum(row.get(k, 0) for row in last.values()) for k in OUTCOMES]
    return "\n".join([*lines, f"| **all** | {' | '.join(f'**{n:,}**' for n in sums)} | | |"]) + "\n"


def measured() -> str:
    """A row a run of tests."""
    rows = sorted(json.loads((RESULTS / "robustness.json").read_text())["rows"], key=lambda row: row["name"])
    lines = ["| What | Tests | Found | Processor time | Largest process | commit |", "|---|---|---|---:|---:|---|"]
    for row in rows:
        told = ", ".join(f"{n} {kind}" for kind, n in row["outcome"].items())
        seconds = f"{row['cpu_s']:.0f} s" if "cpu_s" in row else ""
        size = f"{row['largest_gib']:.1f} GiB" if "largest_gib" in row else ""
        found = found_in(row.get("figures", {}))
        lines.append(f"| {row['name']} | {told} | {found} | {seconds} | {size} | {row['commit'][:7]} |")
    return "\n".join(lines) + "\n"


def found_in(figures: dict[str, dict[str, float]]) -> str:
    """What the tests of a run recorded, summed: tries, calls, refusals."""
    names = dict.fromkeys(name for told in figures.values() for name in told)
    return ", ".join(f"{sum(told.get(name, 0) for told in figures.values()):,.0f} {name}" for name in names)


def page() -> str:
    """The page with the tables in their places."""
    text = PAGE.read_text()
    for name, table in (("corruption", corruption()), ("measured", measured())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + table + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
