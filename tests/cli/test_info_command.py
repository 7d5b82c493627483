"""`dreamgym info` and `dreamgym --version`."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from dreamgym import __version__, cli
from dreamgym.cli.info import EXTRAS
from dreamgym.suites.registry import suite, suites
from dreamgym.testing.two_robots import two_robots_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    cli.main([*words])
    return " ".join(capsys.readouterr().out.split())


def test_the_version_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--version") == f"dreamgym {__version__}"


def test_info_names_the_version_and_every_extra(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "info")
    assert f"dreamgym {__version__}" in out
    assert all(extra in out for extra in (*EXTRAS, "calvin", "metaworld", "pusht", "robosuite"))


def test_without_rich_a_table_is_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(SystemExit, match=r'tables need rich: pip install "dreamgym\[cli\]"'):
        cli.main(["info"])


def test_info_tells_of_every_suite(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "info")
    for found in map(suite, suites()):
        assert f"│ {found.name} │ {len(found.tasks)} │" in out
        assert f"│ {found.horizon} │" in out
    assert "zlib" in out and "DREAMGYM_LIBERO_ASSETS" in out


def test_every_shipped_suite_states_its_licence() -> None:
    assert all(suite(name).licence for name in ("calvin", "libero", "metaworld", "pusht", "robosuite"))


def test_a_dream_is_told_with_tasks_spaces_and_fidelity(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "info", "Dream-PushT-v0")
    for words in (
        "1 task push_t", "robots one, its own", "action Box [2] float32, 0 to 512", "obs='features' Box [6] float32",
        "horizon 300 control steps", "licence gym-pusht Apache-2.0", 'pip install "dreamgym[pusht]"',
        "open-loop fidelity, 256 held-out windows", "│ disc │ model │",
    ):  # fmt: skip
        assert words in out


def test_the_robots_of_a_model_that_was_not_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = told(capsys, "info", str(two_robots_checkpoint(tmp_path / "world")))
    assert "robots cart, crane" in out
    assert "fidelity not measured" in out


def test_a_twin_and_a_suite_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the real simulator libero" in told(capsys, "info", "Real-LIBERO-v0")
    out = told(capsys, "info", "libero")
    assert "130 tasks" in out and "and 106 more" in out
    assert "robots Panda, Sawyer" in out


def test_a_suite_is_told_with_what_it_measures_and_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = told(capsys, "info", "robosuite")
    for words in ("tasks lift, can", "measures ", "(cm)", "action Box [7]", "400 control steps"):
        assert words in out
    assert 'pip install "dreamgym[robosuite]" (installed)' in out
    monkeypatch.setattr("dreamgym.cli.describe.find_spec", lambda name: None)
    assert 'pip install "dreamgym[robosuite]" (missing)' in told(capsys, "info", "robosuite")


@pytest.mark.parametrize(
    ("id", "told"),
    [("Dream-v0", "dreamgym info CHECKPOINT"), ("nothing", "no suite .*no checkpoint of dreamgym.s .*playtable")],
)
def test_what_there_is_not_is_told(id: str, told: str) -> None:
    with pytest.raises(SystemExit, match=told):
        cli.main(["info", id])


def test_every_extra_for_users_is_told_here_and_in_the_quickstart():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(extras["all"][0].partition("[")[2].rstrip("]").split(","))
    assert named == {*EXTRAS, *(suite(name).extra for name in suites())} - {None}
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "quickstart.md").read_text(), re.MULTILINE)
    assert named <= set(re.findall(r"`([\w-]+)`", " ".join(table)))
