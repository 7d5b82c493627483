"""``--import``: code of the user's own, known to the command that follows."""

import sys
from pathlib import Path

import pytest

from dreamgym import cli
from dreamgym.suites.registry import suites
from dreamgym.world_models.registry import family_names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working folder; modules that are imported from it are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def write(folder: Path, name: str, family: str) -> str:
    code = (
        "import dreamgym\nfrom dreamgym.testing import PointMassModel\n\n"
        f"class Mine(PointMassModel):\n    pass\n\ndreamgym.register_family({family!r}, Mine)\n"
    )
    (folder / name).write_text(code)
    return name


@pytest.mark.parametrize("number", range(4))
def test_a_family_of_a_script_is_known_to_the_command(folder: Path, number: int) -> None:
    (folder / "code").mkdir()
    file = write(folder, f"code/by_path_{number}.py", f"by_path_{number}")
    write(folder, f"by_name_{number}.py", f"by_name_{number}")
    words = [["--import", file], [f"--import={file}"], ["--import", str(folder / file)], ["--import", f"./{file}"]][
        number
    ]
    cli.main(["info", *words] if number % 2 else [*words, "--import", f"by_name_{number}", "info"])
    assert f"by_path_{number}" in family_names()
    assert (f"by_name_{number}" in family_names()) == (number % 2 == 0)
    cli.main([*words, "info"])  # a second time in one process


def test_a_suite_too(folder: Path) -> None:
    (folder / "own_suite.py").write_text(
        "import gymnasium\n"
        "from dreamgym.suites.base import Suite\n"
        "from dreamgym.suites.registry import register_suite\n"
        "from dreamgym.types import ActionSpec\n"
        "action = ActionSpec(low=(-1.0,), high=(1.0,))\n"
        "register_suite(Suite('own_cart', ('push',), action, 20.0, 100, simulator=gymnasium.make))\n"
    )
    cli.main(["--import", "own_suite", "info"])
    assert "own_cart" in suites()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\ny = {}['key']\n", r"failed at .*broken.py, line 2: y = {}\['key'\]: KeyError: 'key'"),
        ("def f():\n    raise ValueError('no tape')\nf()\n", r"line 2: raise ValueError\('no tape'\): Value.*no tape"),
        ("import json\njson.loads('{')\n", r"broken.py, line 2: json.loads\('{'\): JSONDecodeError"),
        ("x = (\n", r"--import broken.py failed: SyntaxError: .*broken.py, line 1"),
        ("import package_of_nobody\n", r"line 1: import package_of_nobody: ModuleNotFoundError"),
    ],
)
def test_an_error_shows_the_users_line_in_short(folder: Path, code: str, message: str) -> None:
    (folder / "broken.py").write_text(code)
    with pytest.raises(SystemExit, match=message):
        cli.main(["info", "--import", "broken.py"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--import", "nowhere.py"], r"--import nowhere.py: there is no such file"),
        (["--import", "module_of_nobody"], r"no module of that name.*--import path/to/module_of_nobody.py"),
        (["--import"], "--import takes a module's name or the path"),
        (["--import", "json.py"], "a module 'json' is loaded already.*another name"),
    ],
)
def test_what_cannot_be_imported_is_named(folder: Path, words: list[str], message: str) -> None:
    (folder / "json.py").touch()
    with pytest.raises(SystemExit, match=message):
        cli.main(["info", *words])
