"""The example of docs/evaluate.md is true: a policy in ten lines is scored in both worlds."""

import importlib.util
from pathlib import Path

import pytest

from dreamgym.evaluation.policies.load import load_policy
from dreamgym.testing import PointMassModel, point_mass_checkpoint

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_policy.py"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("own_policy", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point")), episodes=8)


def test_the_policy_takes_no_more_than_ten_lines():
    policy = EXAMPLE.read_text().split("# [policy]\n")[1].split("# [end]")[0]
    assert len([line for line in policy.splitlines() if line.strip()]) <= 10


def test_it_is_scored_in_both_worlds(result):
    told = result.summary()
    assert (told["twin"]["num_episodes"], told["dream"]["num_episodes"]) == (8, 40)
    assert told["twin"]["success_rate"] > 0.8
    assert told["estimate"]["low"] <= told["estimate"]["rate"] <= told["estimate"]["high"]


def test_the_command_line_finds_it_by_its_file():
    assert load_policy(f"{EXAMPLE}:Right", PointMassModel().spec).dim == 3
