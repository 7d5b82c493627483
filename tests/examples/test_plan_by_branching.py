"""Branching a dream finds the way in a world where the way is known."""

import importlib.util
from pathlib import Path

import pytest

from dreamgym.testing import point_mass_checkpoint

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plan_by_branching.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("plan_by_branching", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("task", ["reach_right", "reach_top"])
def test_the_planner_reaches_its_goal(example, tmp_path, task):
    folder = str(point_mass_checkpoint(tmp_path / "point"))
    # The goal is at most 0.9 away and a step is at most 0.1.
    assert 1 <= example.plan(folder, task) <= 14


def test_without_looking_ahead_it_does_not(example, tmp_path):
    assert example.plan(str(point_mass_checkpoint(tmp_path / "point")), "reach_right", branches=1, steps=14) == -1
