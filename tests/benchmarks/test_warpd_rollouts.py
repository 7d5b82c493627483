"""Episodes run side by side, in simulators that are kept."""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("diffusers")

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "warpd"))

import plot
from rollouts import Episode, Simulators, evaluate
from rows import Rows, merge


class Counting(gym.Env):
    """Ends after as many steps as its seed says; info tells how far, and whether the action was the seed."""

    observation_space = spaces.Dict({"state": spaces.Box(-1e3, 1e3, (2,))})
    action_space = spaces.Box(-1e3, 1e3, (1,))
    made = 0

    def __init__(self, task):
        type(self).made += 1
        self.task, self.pushed = task, 0.0

    def reset(self, *, seed=None, options=None):
        self.until, self.at = seed, 0
        return {"state": np.array([seed, 0], np.float32)}, {}

    def snapshot(self):
        return np.array([self.until, self.at], float)

    def perturb(self, rng, magnitude):
        self.pushed = magnitude

    def step(self, action):
        self.at += 1
        info = {"is_success": float(action[0]) == self.until, "far": self.at + 100 * self.pushed}
        self.pushed = 0.0
        return {"state": np.array([self.until, self.at], np.float32)}, 0.0, self.at >= self.until, False, info


class Echo:
    """Acts by what it saw first, which it carries."""

    def start(self, num_envs, generator=None):
        return {"seen": torch.zeros(num_envs)}

    def act(self, obs, carry, fresh, generator=None):
        seen = torch.where(fresh, obs[:, 0], carry["seen"])
        return seen[:, None], {"seen": seen}


def test_each_episode_keeps_its_own_row_when_others_have_ended():
    episodes = [Episode(n) for n in (9, 1, 2, 7, 1, 1)]
    far = evaluate(lambda task: Echo(), episodes, Simulators(Counting, 4), 0, measure="far")
    assert far.tolist() == [9, 1, 2, 7, 1, 1]
    assert evaluate(lambda task: Echo(), episodes, Simulators(Counting, 4), 0).tolist() == [1.0] * 6


def test_simulators_are_kept_by_task_and_the_policy_is_told_each_envs():
    asked, before = [], Counting.made
    simulators = Simulators(Counting, 2)
    episodes = [Episode(1, task) for task in ("a", "b", "a", "b")]
    for _ in range(2):
        evaluate(lambda task: asked.append(task) or Echo(), episodes, simulators, 0)
    assert asked == [["a", "b"]] * 4
    assert Counting.made - before == 2


def test_adversaries_are_those_of_each_episode():
    episodes = [Episode(40, perturbation=p) for p in (0.0, 1.0, 2.0)]
    far = evaluate(lambda task: Echo(), episodes, Simulators(Counting, 3), 0, measure="far")
    assert far[0] == 40
    assert (far[1] // 100, far[2] // 100) == (1, 2)


def test_the_page_of_results_holds_a_table_and_a_picture_of_every_file_there_is(tmp_path):
    row = {"method": "warpd", "horizon": 16, "seed": 0, "preset": "tiny", "success": 0.5, "spread": 0.1, "episodes": 9}
    rows = [{**row, "solved": 1 / 3, "perturbation": p} for p in (0, 9)]
    (tmp_path / "warpd_pusht.json").write_text(plot.json.dumps({"rows": rows}))
    rates = {"base": 0.2, "tuned": 0.6, "base_imagined": 0.3, "tuned_imagined": 0.8}
    tuning = {"task": "reach", "seed": 0, "episodes": 50, "dream_steps": 99_000, **rates}
    (tmp_path / "state_tuning.json").write_text(plot.json.dumps({"rows": [tuning]}))
    plot.render(tmp_path, tmp_path / "docs", "tiny")
    assert "| `reach` | 1 | 0.20&nbsp;(0.11&#8209;0.33) |" in (tmp_path / "docs" / "state_tuning.md").read_text()
    page = (tmp_path / "docs" / "warpd_pusht.md").read_text()
    assert page.count("| WARPD | 16 |") == 2
    assert "0.33&nbsp;(0.12&#8209;0.65)" in page  # of episodes solved: three of nine
    assert "![" in page
    for name in ("warpd_pusht", "warpd_pusht_solved"):
        assert (tmp_path / "docs" / f"{name}.png").stat().st_size > 0
    assert "was not measured yet" in (tmp_path / "docs" / "warpd_robosuite.md").read_text()


def test_the_aim_is_told_with_its_seeds_and_what_has_no_horizon_is_told_once(tmp_path):
    row = {"preset": "tiny", "perturbation": 3, "task": "lift", "episodes": 50}
    wins = {"warpd": (0.9, 0.7), "diffusion_policy": (0.1, 0.2), "mlp": (0.5, 0.5)}
    rows = [
        {**row, "method": m, "seed": s, "horizon": h, "success": of[s]}
        for m, of in wins.items() for s in (0, 1) for h in (16, 128)
    ]  # fmt: skip
    text = plot.robosuite(rows, tmp_path)
    assert "apart from each other (by seed 0.90, 0.70 and 0.10, 0.20)" in text
    assert text.count("| MLP | any | 0.50") == 1
    assert text.count("| 2 | 100 |") == 5


def test_the_rows_of_parts_come_together_and_the_later_one_of_a_key_counts(tmp_path):
    for name, seeds, success in (("a", (0, 1), 0.1), ("b", (1, 2), 0.2)):
        rows = Rows(tmp_path / f"{name}.json", ("seed", "method"))
        for seed in seeds:
            rows.put(seed=seed, method="warpd", success=success)
    Rows(tmp_path / "all.json", ("seed",)).put(seed=None, counted=True)
    assert merge(tmp_path / "all.json", [tmp_path / "a.json", tmp_path / "b.json"]) == 4
    found = plot.json.loads((tmp_path / "all.json").read_text())["rows"]
    assert [(r["seed"], r.get("success")) for r in found] == [(None, None), (0, 0.1), (1, 0.2), (2, 0.2)]
