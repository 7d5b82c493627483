"""The short form of `corruption.py`, for CI, and the long one."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from corruption import Judge, attack, judge, rollout
from mutations import sign
from worlds import make_world, worlds

SHORT = 5
LONG = 1000


@pytest.fixture(scope="module")
def judged() -> Iterator[Judge]:
    one = Judge()
    yield one
    one.close()


@pytest.mark.parametrize("kind", ["plain", "resigned"])
@pytest.mark.parametrize("world", worlds())
def test_damage_is_refused_or_changes_nothing(judged: Judge, world: str, kind: str, tmp_path: Path) -> None:
    tally = attack(judged, world, kind, SHORT, 7, tmp_path)
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.counts["refused"] > SHORT / 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "resigned"])
@pytest.mark.parametrize("world", worlds())
def test_much_damage_is_refused_or_changes_nothing(judged: Judge, world: str, kind: str, tmp_path: Path) -> None:
    tally = attack(judged, world, kind, LONG, 11, tmp_path)
    assert not tally.failures, "\n".join(tally.failures)


def test_the_harness_notices_a_silent_change(tmp_path: Path) -> None:
    """A gain that is another finite number opens, and gives another rollout."""
    from safetensors.torch import load_file, save_file

    folder = make_world("toy point_mass", tmp_path / "whole")
    whole = rollout(folder)
    assert judge(folder, whole)[0] == "unchanged"
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v * 1.5 for k, v in tensors.items()}, folder / "model.safetensors")
    sign(folder, json.loads((folder / "config.json").read_text()))
    assert judge(folder, whole)[0] == "changed"


def test_damage_repeats_under_its_seed(tmp_path: Path) -> None:
    from mutations import plain, resigned

    whole = make_world("toy joint_point", tmp_path / "whole")
    for damage in (plain, resigned):
        seen = []
        for i in range(2):
            folder = Path(shutil.copytree(whole, tmp_path / f"{damage.__name__}{i}"))
            damage(folder, random.Random(3), whole)
            seen.append({f.name: f.read_bytes() for f in folder.iterdir()})
        assert seen[0] == seen[1]


def test_the_table_in_the_docs_is_that_of_the_figures() -> None:
    from reliability_table import PAGE, page

    assert PAGE.read_text() == page()
