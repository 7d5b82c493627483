"""Fine-tuning in dreams of states: what is measured."""

import argparse
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("dreamgym_agents")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "state_tuning.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("state_tuning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(script, controls):
    """(part, task, seed, policy) of everything that is asked for, none of which is measured."""
    args = argparse.Namespace(tasks=["a", "b"], seeds=[3, 4], controls=controls, operator="operator:better")
    return [(part, key["task"], key["seed"], key.get("policy")) for part, key, _ in script.wanted(args, "hash")]


def test_rows_are_of_every_task_and_seed(script):
    assert asked(script, False) == [("rows", task, seed, None) for task in "ab" for seed in (3, 4)]


def test_what_no_seed_changes_is_measured_once_a_task(script):
    found = asked(script, True)
    assert [f for f in found if f[3] == script.LONGER] == [
        ("controls", t, s, script.LONGER) for t in "ab" for s in (3, 4)
    ]
    assert [f for f in found if f[3] != script.LONGER] == [
        ("controls", t, 3, policy) for t in "ab" for policy in ("hold", "operator:better")
    ]
