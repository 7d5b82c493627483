"""Runs a selection of these tests and writes what they took into `benchmarks/results/robustness.json`, a row each::

    python tests/robustness/measured.py "short form" tests/robustness -m "not slow"
    python tests/robustness/measured.py "20 kills of fit" tests/robustness/test_kills.py -m slow -k fit

A row of the same name is replaced.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from dreamgym.provenance import provenance

ROWS = Path(__file__).parents[2] / "benchmarks" / "results" / "robustness.json"


def measure(words: list[str]) -> dict[str, Any]:
    """Outcome, processor seconds of all processes, and the largest of them, of one run of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    run = subprocess.run(command, capture_output=True, text=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", run.stdout.splitlines()[-1])}
    seconds = round(used.ru_utime + used.ru_stime, 1)
    return {"words": words, "outcome": counts, "cpu_s": seconds, "largest_gib": round(used.ru_maxrss / 2**20, 2)}


def main() -> None:
    """Measures, writes the row, and exits with 1 where a test failed."""
    name, *words = sys.argv[1:]
    row = {"name": name, **measure(words), **provenance()}
    rows = json.loads(ROWS.read_text())["rows"] if ROWS.exists() else []
    kept = [other for other in rows if other["name"] != name]
    ROWS.write_text(json.dumps({"rows": [*kept, row]}, indent=1) + "\n")
    sys.stdout.write(f"{name}: {row['outcome']}, {row['cpu_s']} s, {row['largest_gib']} GiB\n")
    sys.exit(set(row["outcome"]) != {"passed"})


if __name__ == "__main__":
    main()
