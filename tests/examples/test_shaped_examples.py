"""The examples that learn Metaworld from nothing run; `benchmarks/results/shaped_rewards.json` says what they reach."""

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("metaworld")
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


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


def test_the_page_says_what_was_measured():
    rows = json.loads((ROOT / "benchmarks/results/shaped_rewards.json").read_text())["rows"]
    found = {row["example"]: row for row in rows if row["task"] == "button_press" and row["seed"] == 0}
    first, *rest = (found[name] for name in ("sb3_sac", "sb3_ppo", "torchrl_sac"))
    done = [round(row["simulator"] * row["episodes"]) for row in (first, *rest)]
    spent = [round(row["cpu_seconds"]) for row in (first, *rest)]
    page = " ".join((ROOT / "docs/environments.md").read_text().split())
    assert f"from {done[0]}, {done[1]} and {done[2]} of {first['episodes']} test starts" in page
    still, chance = (round(found[name]["simulator"] * found[name]["episodes"]) for name in ("hold", "random"))
    assert f"holding still and random actions succeed from {still} and {chance} of them" in page
    assert all(row["hashes"] for row in found.values())
    assert f"after {spent[0]}, {spent[1]} and {spent[2]} seconds of processor time" in page
