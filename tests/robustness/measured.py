"""Runs a selection of these tests and writes what they took into `benchmarks/results/robustness.json`, a row each::

    python tests/robustness/measured.py "short form" tests/robustness -m "not slow"
    python tests/robustness/measured.py "20 kills of fit" tests/robustness/test_kills.py -m slow -k fit

What the tests recorded with pytest's `record_property` stands in the row too, by test. A row of the same name is
replaced.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dreamgym.provenance import provenance

ROWS = Path(__file__).parents[2] / "benchmarks" / "results" / "robustness.json"


def measure(words: list[str]) -> dict[str, Any]:
    """Outcome, figures, processor seconds of all processes, and the largest of them, of one run of pytest."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "junit_family=xunit1"]
        run = subprocess.run([sys.executable, "-m", "pytest", *options, *words], capture_output=True, text=True)
        found = figures(ElementTree.parse(report))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(run.stdout)
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", run.stdout.splitlines()[-1])}
    seconds, size = round(used.ru_utime + used.ru_stime, 1), round(used.ru_maxrss / 2**20, 2)
    return {"words": words, "outcome": counts, "figures": found, "cpu_s": seconds, "largest_gib": size}


def figures(report: ElementTree.ElementTree) -> dict[str, dict[str, float]]:
    """What each test recorded, by its name."""
    told = {
        case.attrib["name"]: {entry.attrib["name"]: float(entry.attrib["value"]) for entry in case.iter("property")}
        for case in report.iter("testcase")
    }
    return {name: values for name, values in told.items() if values}


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
