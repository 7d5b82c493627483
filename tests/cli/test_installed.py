"""Commands that other packages bring by entry points."""

import sys
import textwrap

import pytest

pytest.importorskip("tyro")

from dreamgym.cli import main
from dreamgym.cli.installed import installed_commands


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with the entry points that are given, as pip leaves one behind."""

    def install(code: str, **entries: str) -> None:
        (tmp_path / "fake_agent.py").write_text(textwrap.dedent(code))
        about = tmp_path / "fake_agent-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-agent\nVersion: 1.0\n")
        lines = [f"{name.replace('_', '-')} = {value}" for name, value in entries.items()]
        (about / "entry_points.txt").write_text("\n".join(["[dreamgym.commands]", *lines]) + "\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("fake_agent", None)


CODE = '''
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Options:
        """Options.

        Attributes:
            steps: how many.
        """

        steps: int = 3

    def train(options: Options, seed: int = 0) -> None:
        """Trains it."""
        print(f"trained {options.steps} steps from seed {seed}")

    def greet() -> None:
        """Greets whoever asks."""
        print("hello")

    COMMANDS = {"train": train, "greet": greet}
'''


def listing(capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_subcommands_of_another_package_run_with_their_options(package, capsys):
    package(CODE, my_agent="fake_agent:COMMANDS")
    main(["my-agent", "train", "--steps", "7", "--seed", "1"])
    assert capsys.readouterr().out == "trained 7 steps from seed 1\n"
    assert "my-agent Subcommands: train, greet." in listing(capsys)


def test_a_function_is_one_command(package, capsys):
    package(CODE, hail="fake_agent:greet")
    main(["hail"])
    assert capsys.readouterr().out == "hello\n"
    assert "hail Greets whoever asks." in listing(capsys)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("COMMANDS = 3", "TypeError: expected a function or a mapping of functions by name, got int"),
    ],
)
def test_a_broken_package_is_named_in_one_line_and_breaks_nothing_else(code, why, package, capsys):
    package(code, my_agent="fake_agent:COMMANDS")
    told = f"my-agent (fake_agent:COMMANDS) cannot be loaded: {why}"
    assert told in listing(capsys)
    with pytest.raises(SystemExit) as stop:
        main(["my-agent", "train"])
    assert stop.value.code == f"dreamgym: {told}"
    main(["info"])


def test_a_package_cannot_replace_a_command(package, capsys):
    package(CODE, info="fake_agent:greet")
    main(["info"])
    assert "environments:" in capsys.readouterr().out


def test_a_package_is_imported_only_when_its_command_runs(package):
    package("1 / 0", my_agent="fake_agent:COMMANDS")
    assert "my-agent" in installed_commands()
    main(["info"])
    assert "fake_agent" not in sys.modules


def test_the_agents_that_ship_are_listed(capsys):
    shown = listing(capsys)
    assert "diffusion-ppo Subcommands: clone, tune, ship, demo." in shown
    assert "warpd Subcommands: train." in shown
