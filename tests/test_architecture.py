"""docs/architecture.md walks one action and one episode through functions that then run."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

import dreamgym

ROOT = Path(__file__).resolve().parents[1]
PAIR = re.compile(r"`([\w/]+\.py)`\s+`([\w.]+)`")


def walk(title: str) -> list[tuple[str, str]]:
    """The functions that a section names, each with its file before it."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    section = page.partition(f"### {title}\n")[2].partition("\n### ")[0]
    numbered = section[section.index("1. ") :].partition("\n\n")[0]
    return PAIR.findall(numbered)


@pytest.fixture(scope="module")
def ran() -> Iterator[dict[str, list[str]]]:
    """The functions that a reset and a step run at which envs end and begin anew, by file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        crossed = importlib.import_module("files_crossed").crossed
    envs = gym.make_vec("Dream-PlayTable-v0", num_envs=2, horizon=1, fast=False)

    def work() -> None:
        envs.reset(seed=0)
        assert envs.step(envs.action_space.sample())[3].all()

    yield crossed(Path(dreamgym.__file__).parent, work)
    envs.close()


@pytest.mark.parametrize("title", ["The walk of one action", "The walk of one episode"])
def test_the_walk_is_what_runs(title: str, ran: dict[str, list[str]]) -> None:
    named = walk(title)
    assert len(named) > 5
    for file, function in named:
        functions = [f for path, found in ran.items() if path.endswith(file) for f in found]
        assert any(f == function or f.endswith(f".{function}") for f in functions), (file, function)
