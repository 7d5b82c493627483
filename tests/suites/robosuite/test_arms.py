"""The suite of several robots: what is collected of objects that training does not see."""

import pytest

from dreamgym.suites import suite


def test_objects_that_are_held_out_are_collected_by_name():
    arms = suite("robosuite_arms")
    held_out = arms.collector(tasks=("move_cube",), robot="xarm7_three_finger", instances="held_out")
    assert held_out.simulator == {"instances": "held_out"}
    assert held_out.info()["settings"]["simulator"] == {"instances": "held_out"}
    assert "simulator" not in arms.collector(instances="train").info()["settings"]
    with pytest.raises(ValueError, match="instances: expected one of"):
        arms.collector(instances="new")
    with pytest.raises(ValueError, match="demonstrations of pusht takes"):
        suite("pusht").collector(instances="held_out")
