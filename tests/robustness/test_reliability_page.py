"""The page on reliability names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = page[page.index("## Faults and their tests") :]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) > 26
    for row in rows:
        files = [
            ROOT / "tests" / name for name in re.findall(r"`((?:\w+/)+\w+\.py|test_package\.py|test_numbers\.py)`", row)
        ]
        assert all(file.is_file() for file in files), row
        known = "".join(file.read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`(test_\w+)`", row):
            assert f"def {name}(" in known, f"{name} of {row[:60]}"
