"""The table of `docs/reliability.md` from the figures that `corruption.py --json` wrote:

python tests/robustness/reliability_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "benchmarks" / "results" / "corruption.json"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- corruption: begin -->\n", "<!-- corruption: end -->"
OUTCOMES = ("refused", "unchanged", "owner", "changed", "error", "died", "hung")


def table() -> str:
    """Markdown, a row a world and kind of damage."""
    outcomes = {k: v for series in json.loads(FIGURES.read_text())["series"] for k, v in series["outcomes"].items()}
    lines = [f"| Checkpoint, damage | {' | '.join(OUTCOMES)} |", f"|---|{'---:|' * len(OUTCOMES)}"]
    sums = [sum(counts.get(k, 0) for counts in outcomes.values()) for k in OUTCOMES]
    for name, counts in outcomes.items():
        lines.append(f"| {name} | {' | '.join(str(counts.get(k, 0)) for k in OUTCOMES)} |")
    lines.append(f"| **all** | {' | '.join(f'**{n:,}**' for n in sums)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with the table in its place."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page())
