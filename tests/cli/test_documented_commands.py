"""Every `dreamgym` command of the README and the documentation has options that exist."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dreamgym import cli

pytest.importorskip("tyro")

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(?:bash|sh|text)?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Commands of a page's code blocks, continued lines joined; those with a placeholder for options left out."""
    found = []
    for _, block in BLOCK.findall(page.read_text()):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        found += [line for line in lines if line.startswith("dreamgym ") and "..." not in line and "|" not in line]
    return found


DOCUMENTED = [pytest.param(command, id=f"{page.stem}: {command}") for page in PAGES for command in commands(page)]


def idle(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the same options that does nothing."""

    @functools.wraps(call)
    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    return nothing


@pytest.mark.parametrize("command", DOCUMENTED)
def test_options_exist(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = cli.load_command

    def load_idle(entry: Any) -> Any:
        found = load(entry)
        return {name: idle(call) for name, call in found.items()} if isinstance(found, Mapping) else idle(found)

    idle_commands = {name: idle(call) for name, call in cli.COMMANDS.items()}
    positional = tuple(idle_commands[name] for name, call in cli.COMMANDS.items() if call in cli.POSITIONAL)
    monkeypatch.setattr(cli, "COMMANDS", idle_commands)
    monkeypatch.setattr(cli, "POSITIONAL", positional)
    monkeypatch.setattr(cli, "load_command", load_idle)
    monkeypatch.setattr(cli, "import_code", lambda name: None)
    cli.main(shlex.split(command, comments=True)[1:])


def test_pages_have_commands() -> None:
    assert len(DOCUMENTED) > 30
