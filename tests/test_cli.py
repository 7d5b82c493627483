"""The command line."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("tyro")

from dreamgym import __version__, cli


def test_info_names_the_version_and_every_extra(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info"])
    out = capsys.readouterr().out
    assert f"dreamgym {__version__}" in out
    assert all(extra in out for extra in cli.EXTRAS)


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


def test_collect_fills_a_store_and_continues_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pybullet")
    words = ["collect", "--store", str(tmp_path / "play"), "--image-size", "16", "--episode-steps", "8", "--num-steps"]
    cli.main([*words, "8"])
    assert "1 episodes, 8 steps, 1 new" in capsys.readouterr().out
    cli.main([*words, "16"])
    assert "2 episodes, 16 steps, 1 new" in capsys.readouterr().out
