"""The examples that learn Metaworld from nothing run; `benchmarks/results/shaped_rewards.json` says what they reach."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("metaworld")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "needs", "budget"),
    [
        ("sb3_ppo", "stable_baselines3", {"steps": 600, "num_envs": 8}),
        ("sb3_sac", "stable_baselines3", {"steps": 620, "num_envs": 4}),
        ("torchrl_sac", "torchrl", {"updates": 8, "num_envs": 2}),
    ],
)
def test_it_learns_and_is_scored(name, needs, budget):
    pytest.importorskip(needs)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rates = module.score(module.train("button_press", **budget), "button_press", episodes=2)
    assert rates.keys() == {"dream", "simulator"}
    assert all(0 <= rate <= 1 for rate in rates.values())
