"""Progress: a bar on a terminal, lines of the log elsewhere."""

import logging
import sys

import pytest

from dreamgym import bars
from dreamgym.bars import progress_bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_where_nobody_watches(
    clock: list[float], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with progress_bar(total=400, initial=100, desc="fit", unit="update") as bar:
        for _ in range(300):
            clock[0] += 0.5
            bar.set_postfix(refresh=False, loss=1.25)
            bar.update()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3  # 150 seconds: at one and two minutes, and where it ended
    assert told[0].startswith("fit:  55%") and "220/400" in told[0] and "loss=1.25" in told[0]
    assert "400/400" in told[-1]
    assert capsys.readouterr().err == ""


def test_short_work_and_what_is_not_shown_say_nothing(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(progress_bar(range(3), desc="short")) == [0, 1, 2]
    for _ in progress_bar(range(3), shown=False):
        clock[0] += 100
    assert not caplog.records


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress_bar(range(3), desc="watched", leave=True)) == [0, 1, 2]
    assert "watched: 100%" in capsys.readouterr().err
