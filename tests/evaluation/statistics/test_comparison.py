import json

import numpy as np
import pytest
from trajectories import made_up

from dreamgym.evaluation.statistics.comparison import compare as compare_by
from dreamgym.suites import suite


def compare(*played):
    return compare_by(*played, suite("calvin").measures)


def test_the_error_is_the_difference_and_the_baseline_stands_still():
    curve = compare(*made_up()).curves["drawer"]
    np.testing.assert_allclose(curve.model, 0.002 * np.arange(1, 21), rtol=1e-4)
    np.testing.assert_allclose(curve.repeat, 0.01 * np.arange(1, 21), rtol=1e-4)


def test_verdicts_agree_until_one_of_the_two_calls_it_done():
    verdicts = compare(*made_up()).verdicts
    # The dream passes 0.12 m after step 10, the simulator after step 12; every other episode never succeeds.
    assert verdicts[9] == 1
    assert verdicts[10] == verdicts[11] == pytest.approx(0.5)
    assert verdicts[12] == 1


def test_steps_beyond_the_end_of_a_sequence_do_not_count():
    real, dream, sequences = made_up()
    before = compare(real, dream, sequences).curves["drawer"].model
    dream.state["scene_obs"][3, 18:] = 99.0  # sequence 3 has 17 actions
    assert compare(real, dream, sequences).curves["drawer"].model == before


def test_episodes_say_when_they_succeeded():
    episodes = compare(*made_up()).episodes
    assert episodes[0] == {
        "task": "open_drawer",
        "length": 20,
        "success_step_real": 13,
        "success_step_dream": 11,
        "last_probability": 1.0,
    }
    assert episodes[1]["success_step_real"] is None


def test_the_summary_is_json():
    agreement = compare(*made_up())
    text = json.loads(json.dumps(agreement.to_dict([1, 10, 20])))
    assert text["horizons"]["10"]["drawer"] == pytest.approx(0.02, rel=1e-4)
    assert set(text["horizons"]["1"]) == {
        "rgb_static", "rgb_gripper", "drawer", "slider", "tcp", "bulb", "led", "verdicts", "uncertainty",
    }  # fmt: skip


def test_a_dream_that_decodes_no_camera_is_compared_by_state_alone():
    real, dream, sequences = made_up()
    dream.frames.clear()
    assert set(compare(real, dream, sequences).curves) == {"drawer", "slider", "tcp", "bulb", "led"}
