"""What all commands share: help, errors in one line, extras that are missing."""

import sys

import pytest

from dreamgym import cli


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert command in capsys.readouterr().out


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["dance"])
    assert stop.value.code != 0


def test_missing_tyro_names_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit, match=r'pip install "dreamgym\[cli\]"'):
        cli.main(["info"])


@pytest.mark.parametrize("error", [ValueError("a mend"), ImportError("a mend"), FileNotFoundError("a mend")])
def test_a_callers_mistake_ends_in_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        """Fails."""
        raise error

    monkeypatch.setattr(cli, "COMMANDS", {**cli.COMMANDS, "broken": broken})
    with pytest.raises(SystemExit, match="dreamgym: a mend"):
        cli.main(["broken"])
