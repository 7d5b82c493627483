"""How the help of every command reads."""

import re
from pathlib import Path
from typing import get_args, get_origin

import pytest
from test_bounds import commands, options

from dreamgym import cli

REPO = Path(__file__).resolve().parents[2]


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def told(text: str) -> dict[str, str]:
    """What stands beside each option, and each word without a flag, as one line."""
    found: list[str] = []
    for line in re.sub(r"[│╭╮╰╯─]", " ", text).splitlines():
        if re.match(r" {1,2}(--?\w|[A-Z]+( |$))", line):
            found.append(line)
        elif found and line.startswith("    "):
            found[-1] += "  " + line.strip()
    pairs = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in found]
    return {head: re.sub(r"\s+", " ", rest[0]) if rest else "" for head, *rest in pairs if not head.startswith("-h")}


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_told_in_a_sentence_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(name, capsys)
    assert "options options" not in text and "{None}" not in text and "default: None" not in text
    assert told(text)
    for option, words in told(text).items():
        sentence = re.sub(r" ?\((default: .*|required)\)$", "", words)
        assert len(sentence.split()) >= 2 and sentence.endswith("."), (option, words)
        assert not re.match(r"(of|that|with|for|from|the same)\b", sentence), (option, words)


OTHER_NAMES = {
    "demonstrations": "store", "demos": "store", "data": "store", "dataset": "store", "world_model": "checkpoint",
    "num_episodes": "episodes", "num": "episodes", "num_steps": "steps", "updates": "steps", "output": "out",
    "run_dir": "run", "num_threads": "threads", "random_seed": "seed", "workers": "num_workers",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(commands()))
def test_one_thing_has_one_name(name: str) -> None:
    assert {option: OTHER_NAMES[option] for option in options(commands()[name]) if option in OTHER_NAMES} == {}


@pytest.mark.parametrize("name", sorted(commands()))
def test_what_can_be_given_several_times_has_a_plural(name: str) -> None:
    """--task is one task and --tasks are several, as --store and --stores; --set and --map are told pair by pair."""
    for option, kind in options(commands()[name]).items():
        several = any(get_origin(one) is tuple for one in (kind, *get_args(kind)))
        assert not several or option.endswith("s") or option in ("set", "map"), (option, kind)


BENCHMARKS = sorted(file for file in (REPO / "benchmarks").rglob("*.py") if "add_argument(" in file.read_text())


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_benchmarks_call_things_what_the_commands_call_them(file: Path) -> None:
    names = {name.replace("-", "_") for name in re.findall(r'add_argument\("--([a-z-]+)"', file.read_text())}
    assert {name: OTHER_NAMES[name] for name in names if name in OTHER_NAMES} == {}


def test_words_without_a_flag_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("compare", capsys)
    assert "usage: dreamgym compare [-h] [COMPARE OPTIONS] OLD NEW" in text
    assert {"OLD", "NEW"} <= set(told(text))
