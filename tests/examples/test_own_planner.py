"""The planner of docs/evaluate.md plans: what it imagines helps it in both worlds."""

import importlib.util
from pathlib import Path

import pytest

from dreamgym.evaluation.policies.load import load_policy
from dreamgym.testing import PointMassModel, point_mass_checkpoint

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_planner.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("own_planner", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point")), episodes=6)


def test_it_is_short():
    policy = EXAMPLE.read_text().split("# [planner]\n")[1].split("# [end]")[0]
    assert len([line for line in policy.splitlines() if line.strip()]) <= 14


def test_it_reaches_in_dream_and_twin_what_random_actions_do_not(results):
    planned, random = results
    assert planned.dream.rate == planned.twin.rate == 1
    assert max(random.dream.rate, random.twin.rate) < 0.5


def test_the_command_line_finds_it_by_its_file():
    assert callable(load_policy(f"{EXAMPLE}:Planner", PointMassModel().spec).bind)
