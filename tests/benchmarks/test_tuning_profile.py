"""The profile of a fine-tuning iteration adds up."""

import importlib.util
from pathlib import Path

import pytest
from point_policies import make_policy

from dreamgym.training.checkpoint import load

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "tuning_profile.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("tuning_profile", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_an_inner_part_takes_is_not_the_outer_ones(script, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(script, "clock", lambda: next(ticks))
    watch = script.Stopwatch()
    inner = watch("inner", lambda: None)
    watch("outer", lambda: [inner(), inner()])()
    # A reading of the clock at every beginning and end: in, in, out, in, out, out.
    assert dict(watch.seconds) == {"outer": 3, "inner": 2}


def test_the_shares_of_an_iteration_add_up(script, point_checkpoint):
    iterations = script.Iterations(make_policy(), load(point_checkpoint), "reach_right", num_envs=8, horizon=8)
    told = script.shares(iterations, repeats=1)
    assert set(told["share"]) == set(script.PARTS)
    assert sum(told["share"].values()) == pytest.approx(1, abs=1e-3)
    assert min(told["share"].values()) > 0
    assert told["env_steps_per_iteration"] == 64
    python = script.python_share(iterations)
    assert 0 < python["share"] < 1
    assert sum(python["share_of_iteration_by_part"].values()) == pytest.approx(python["share"], abs=1e-3)
    assert min(python["share_of_iteration_by_part"].values()) >= 0
