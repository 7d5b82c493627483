"""Operators of several ways: all succeed, each in its own way, repeatable."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import scene_obs_success
from dreamgym.suites.calvin.operators import OPERATORS, OperatorConfig
from dreamgym.suites.calvin.play import PlayConfig

CONFIG = OperatorConfig(PlayConfig(cameras=(), snapshots=False), tasks=("turn_on_led",), num_train=12, num_val=6)


@pytest.fixture(scope="module")
def shown():
    generator = CONFIG(3)
    return [generator.episode(i) for i in range(CONFIG.num_episodes)]


def mean_length(shown, operator: str) -> float:
    return float(np.mean([len(e["action"]) for e, meta in shown if meta["operator"] == operator]))


def hand_speed(shown, operator: str) -> float:
    moved = [
        np.linalg.norm(np.diff(e["robot_obs"][:, :3], axis=0), axis=1) for e, m in shown if m["operator"] == operator
    ]
    return float(np.mean(np.concatenate(moved)))


def test_all_end_in_a_success_that_lasts_as_the_oracle_says(shown):
    for episode, meta in shown:
        scene = episode["scene_obs"]
        oracle = [scene_obs_success(meta["task"], scene[0], row) for row in scene]
        np.testing.assert_array_equal(episode["success"], oracle)
        assert meta["success"] and episode["success"][-3:].all() and not episode["success"][0]
        assert len(scene) <= CONFIG.max_steps


def test_operators_take_turns_in_both_splits(shown):
    held = Counter((meta["split"], meta["operator"]) for _, meta in shown)
    assert all(held["train", name] == 2 and held["val", name] == 1 for name in OPERATORS)


def test_their_ways_differ(shown):
    assert hand_speed(shown, "slow") < 0.8 * hand_speed(shown, "expert") < hand_speed(shown, "hasty")
    # Starts differ, so that one operator's few lengths say little: the four that take longer are taken together.
    longer = [mean_length(shown, name) for name in ("pausing", "detouring", "retrying", "slow")]
    assert np.mean(longer) > 1.1 * mean_length(shown, "expert")


def test_a_demonstration_is_a_function_of_seed_and_index(shown):
    again, _ = CONFIG(3).episode(5)
    np.testing.assert_array_equal(again["action"], shown[5][0]["action"])


def test_unknown_operators_are_named():
    with pytest.raises(ValueError, match="operators: expected some of"):
        OperatorConfig(operators=("drunk",))
