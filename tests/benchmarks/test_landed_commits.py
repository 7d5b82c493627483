"""Every commit that a result file names stands in the history that a reader clones."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import landed_commits as program


def whole_history():
    try:
        return program.git("rev-parse", "--is-shallow-repository") == "false"
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.mark.skipif(not whole_history(), reason="no git repository with its whole history")
def test_results_name_commits_of_the_history():
    known = program.history()
    lost = {file.name: sorted(program.named(file) - known.keys()) for file in program.RESULTS.glob("*.json")}
    assert not {name: commits for name, commits in lost.items() if commits}


def test_a_rebased_commit_is_found_by_author_time_and_subject(monkeypatch):
    monkeypatch.setattr(program, "git", lambda *arguments: "somebody\t5\tA subject")
    history = {"1" * 40: "somebody\t5\tA subject", "2" * 40: "somebody\t6\tA subject"}
    assert program.landed("3" * 40, history) == "1" * 40
    assert program.landed("3" * 40, {}) is None
