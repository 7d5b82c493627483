"""Result files name the commit that measured them; a rebase gives that commit another name. This puts in the new one.

    python benchmarks/landed_commits.py

A rebase keeps a commit's author, time of writing and subject: by those the landed commit is found. Run it where the old
commits still exist, which is where they were made.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
COMMIT = re.compile(r'(?<="commit": ")[0-9a-f]{40}(?=")')
IDENTITY = "%an%x09%at%x09%s"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def history() -> dict[str, str]:
    """Commit -> author, time and subject, of all commits that HEAD stands on."""
    return dict(line.split("\t", 1) for line in git("log", f"--format=%H%x09{IDENTITY}").splitlines())


def named(file: Path) -> set[str]:
    """The commits that a result file names."""
    return set(COMMIT.findall(file.read_text()))


def landed(commit: str, known: dict[str, str]) -> str | None:
    """The commit of the history that is ``commit`` after a rebase; None: there is none, or more than one."""
    identity = git("log", "-1", f"--format={IDENTITY}", commit)
    found = [each for each, theirs in known.items() if theirs == identity]
    return found[0] if len(found) == 1 else None


def main() -> None:
    known = history()
    for file in sorted(RESULTS.glob("*.json")):
        text = file.read_text()
        for commit in sorted(named(file) - known.keys()):
            new = landed(commit, known)
            if new is None:
                print(f"{file.name}: {commit[:8]} never landed: measure its rows again")
                continue
            text = text.replace(commit, new)
            print(f"{file.name}: {commit[:8]} landed as {new[:8]}")
        if text != file.read_text():
            file.write_text(text)


if __name__ == "__main__":
    main()
