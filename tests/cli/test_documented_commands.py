"""Every `dreamgym` command of the README and the documentation has options that exist."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.run import parse_args

from dreamgym import cli

pytest.importorskip("tyro")

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(?:bash|sh|text)?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
STARTS = ("dreamgym ", "torchrun ")


def commands(page: Path) -> list[str]:
    """Commands of a page's code blocks, continued lines joined; those with a placeholder for options left out."""
    found, text = [], page.read_text()
    for block in [block for _, block in BLOCK.findall(text)] + INDENTED.findall(BLOCK.sub("", text)):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines()]
        found += [line for line in lines if line.startswith(STARTS) and "..." not in line and "|" not in line]
    return found


def words(command: str) -> list[str]:
    """What the command hands to dreamgym, read by torchrun first where that starts it."""
    program, *found = shlex.split(command, comments=True)
    if program == "dreamgym":
        return found
    started = parse_args(found)
    assert started.module
    assert started.training_script == "dreamgym"
    return list(started.training_script_args)


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
    alone = {idle_commands[name]: cli.WORDS[call] for name, call in cli.COMMANDS.items() if call in cli.WORDS}
    monkeypatch.setattr(cli, "COMMANDS", idle_commands)
    monkeypatch.setattr(cli, "WORDS", alone)
    monkeypatch.setattr(cli, "load_command", load_idle)
    monkeypatch.setattr(cli, "import_code", lambda name: None)
    cli.main(words(command))


def test_pages_have_commands() -> None:
    assert len(DOCUMENTED) > 30
