"""robosuite's Lift and Can as a suite, with any of seven arms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamgym.suites.base import Measure, Suite
from dreamgym.types import ActionSpec

ROBOTS = ("Panda", "Sawyer", "IIWA", "Jaco", "Kinova3", "UR5e", "XArm7")
ACTION = ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,), hold=(0.0,) * 6 + (-1.0,))


def simulator_kwargs(info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The arm that a store was recorded with, where it names one."""
    return {"robot": info["robot"]} if "robot" in info else {}


SUITE = Suite(
    name="robosuite",
    tasks=("lift", "can"),
    action=ACTION,
    frame_rate=20.0,
    horizon=400,  # the operators need 250 steps at most
    simulator="dreamgym.sims.robosuite:make_env",
    extra="robosuite",
    module="robosuite",
    robots=dict.fromkeys(ROBOTS, ACTION),
    # The length of the state depends on the gripper: the object is counted from its end.
    measures=(
        Measure("gripper", "state", (0, 1, 2), "cm", scale=100.0, moved=0.03),
        Measure("object", "state", (-12, -11, -10), "cm", scale=100.0, moved=0.01),
    ),
    simulator_kwargs=simulator_kwargs,
)
