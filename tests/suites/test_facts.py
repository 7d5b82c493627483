"""What a store says of itself, and what is concluded where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from dreamgym.data import EpisodeStore
from dreamgym.suites import store_facts, suite
from dreamgym.types import ActionSpec, ObservationSpec

STATE = {
    "state": ((6,), "float32"),
    "action": ((2,), "float32"),
    "success": ((), "bool"),
    "snapshot": ((3,), "float64"),
}


def store(path, keys, info=None, metas=({},), action=None):
    made = EpisodeStore.create(path, keys, info)
    for meta in metas:
        rows = {k: np.zeros((5, *shape), dtype) for k, (shape, dtype) in keys.items()}
        if action is not None:
            rows["action"] = np.asarray(action, np.float32)
        made.append([(rows, meta)])
    return made


def test_a_store_of_a_suite_has_the_suites_facts(tmp_path):
    facts = store_facts(store(tmp_path / "s", STATE, {"suite": "pusht"}, [{"task": "push_t"}]))
    assert facts.suite is suite("pusht")
    assert facts.sensors == {"state": ObservationSpec("vector", (6,))}  # neither marks nor snapshots are sensed
    assert facts.action == suite("pusht").action
    assert (facts.frame_rate, facts.tasks) == (10.0, ("push_t",))
    assert facts.layouts == {"state": (("linear", 6),)}
    assert facts.hints == {"state": {"position": (0, 1), "body": (2, 3, 4, 5)}}


def test_what_the_store_recorded_goes_before_what_the_suite_says(tmp_path):
    action = {"low": [0, 0], "high": [9, 9], "binary": [1], "hold": [3, 0]}
    facts = store_facts(store(tmp_path / "s", STATE, {"suite": "pusht", "action": action, "frame_rate": 5}))
    assert facts.action == ActionSpec((0, 0), (9, 9), (1,), (3, 0))
    assert facts.frame_rate == 5


def test_a_store_of_ones_own_names_its_robot_and_what_its_entries_are(tmp_path):
    hints = {"state": {"end_effector": [0, 1]}, "elsewhere": {"position": [0]}}
    facts = store_facts(store(tmp_path / "s", STATE, {"robot": "arm", "hints": hints}))
    assert (facts.robot, facts.hints) == ("arm", {"state": {"end_effector": [0, 1]}})
    with pytest.raises(ValueError, match="'hints' of its info.json are what is known of each sensor"):
        store_facts(store(tmp_path / "t", STATE, {"hints": {"state": 3}}))


def test_a_calvin_store_of_before_the_name_was_recorded_is_known_by_its_sensors(tmp_path):
    keys = {"robot_obs": ((15,), "float32"), "scene_obs": ((24,), "float32"), "action": ((7,), "float32")}
    keys["rgb_static"] = ((8, 6, 3), "uint8")
    skills = [["idle", 0, 2, True], ["turn_on_led", 2, 4, True], ["open_drawer", 4, 5, False]]
    facts = store_facts(store(tmp_path / "s", keys, {"seed": 0}, [{"skills": skills}]))
    assert facts.suite is suite("calvin")
    assert facts.sensors["rgb_static"] == ObservationSpec("image", (3, 8, 6))
    assert facts.tasks == ("turn_on_led",)  # achieved, and a task
    assert facts.layouts["scene_obs"][:2] == (("linear", 4), ("binary", 2))


def test_foreign_actions_have_the_bounds_that_they_show(tmp_path):
    keys = {"observation": ((4,), "float32"), "action": ((5,), "float32")}
    rows = [[0.5, 3, 0, 7, 0.95], [-0.5, -1, 1, 7, -0.3], [0.1, 2, 1, 7, 0], [0, 0, 0, 7, 0.1], [0, 1, 0, 7, 0.2]]
    facts = store_facts(store(tmp_path / "s", keys, {"frame_rate": 50}, [{"task": "b"}, {"task": "a"}], rows))
    assert facts.suite is None
    assert facts.action.low == pytest.approx((-0.55, -1.2, 0, 6, -1))
    assert facts.action.high == pytest.approx((0.55, 3.2, 1, 8, 1))
    assert facts.action.binary == (2,)
    assert facts.action.hold == (0, 0, 0, 7, 0)
    assert (facts.frame_rate, facts.tasks) == (50.0, ("b", "a"))
    assert facts.layouts == {"observation": (("linear", 4),)}


def test_one_sensor_alone_tells_no_suite(tmp_path):
    facts = store_facts(store(tmp_path / "s", STATE))
    assert (facts.suite, facts.hints) == (None, {})


def test_a_store_of_an_arm_has_that_arm(tmp_path):
    keys = STATE | {"state": ((23,), "float32"), "action": ((7,), "float32")}
    facts = store_facts(store(tmp_path / "s", keys, {"suite": "robosuite", "robot": "UR5e"}))
    assert facts.robot == "UR5e"
    assert facts.action == suite("robosuite").robots["UR5e"]
    assert facts.layouts == {"state": (("linear", 23),)}


def test_a_store_without_actions_or_of_an_unknown_suite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no key 'action'"):
        store_facts(store(tmp_path / "a", {"state": ((6,), "float32")}))
    with pytest.raises(ValueError, match="unknown suite 'chess'"):
        store_facts(store(tmp_path / "b", STATE, {"suite": "chess"}))


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"suite": "metaworld"}, r"shape \(2,\), the suite 'metaworld' says 4 entries"),
        ({"action": {"low": [-1] * 3, "high": [1] * 3}}, r"shape \(2,\), its info says 3 entries"),
    ],
)
def test_actions_of_another_size_than_the_store_says_are_refused(tmp_path, info, told):
    with pytest.raises(ValueError, match=told):
        store_facts(store(tmp_path / "s", STATE, info))
