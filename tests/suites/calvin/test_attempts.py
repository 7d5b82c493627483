"""Clumsy attempts: marked by the oracle, of either outcome, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import scene_obs_success
from dreamgym.suites.calvin.attempts import AttemptConfig
from dreamgym.suites.calvin.play import PlayConfig

CONFIG = AttemptConfig(PlayConfig(cameras=()), tasks=("open_drawer", "turn_on_led"), num_train=4, num_val=2)


@pytest.fixture(scope="module")
def attempts():
    generator = CONFIG(3)
    return [generator.episode(i) for i in range(CONFIG.num_episodes)]


def test_marks_are_the_oracles_and_some_fail(attempts):
    assert len(attempts) == 12
    for episode, meta in attempts:
        scene = episode["scene_obs"]
        oracle = [scene_obs_success(meta["task"], scene[0], row) for row in scene]
        np.testing.assert_array_equal(episode["success"], oracle)
        assert meta["success"] == any(oracle) and not meta["expert"] and meta["kind"] == "attempt"
        assert len(scene) == 64 or any(oracle)  # a failure is tried again until the rows are full
    assert 0 < sum(meta["success"] for _, meta in attempts) < 12


def test_splits_and_tasks_alternate(attempts):
    assert [meta["task"] for _, meta in attempts[:4]] == ["open_drawer", "turn_on_led"] * 2
    assert sum(meta["split"] == "val" for _, meta in attempts) == 4


def test_an_attempt_is_a_function_of_seed_and_index(attempts):
    again, _ = CONFIG(3).episode(5)
    other, _ = CONFIG(4).episode(5)
    np.testing.assert_array_equal(again["action"], attempts[5][0]["action"])
    assert len(other["action"]) != len(again["action"]) or not np.array_equal(other["action"], again["action"])


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="no skill is called"):
        AttemptConfig(tasks=("fly",))
    with pytest.raises(ValueError, match="halt_share in"):
        AttemptConfig(halt_share=2)
