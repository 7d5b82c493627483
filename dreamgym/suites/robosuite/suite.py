"""robosuite's Lift and Can as a suite, with any of seven arms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from dreamgym.suites.base import Act, Measure, Suite
from dreamgym.suites.scripted import RandomWalk, demonstrations
from dreamgym.types import ActionSpec

ROBOTS = ("Panda", "Sawyer", "IIWA", "Jaco", "Kinova3", "UR5e", "XArm7")
ACTION = ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,), hold=(0.0,) * 6 + (-1.0,))


def simulator_kwargs(info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The arm that a store was recorded with, where it names one."""
    return {"robot": info["robot"]} if "robot" in info else {}


def operator(env: Any, rng: np.random.Generator, proficiency: str) -> Act:
    """A scripted operator of the episode that ``env`` has just begun; it looks at the simulator's poses."""
    from dreamgym.suites.robosuite.operators import Operator  # robosuite is an extra

    hand = Operator(env, proficiency, rng)
    return lambda obs: hand.act()


SUITE = Suite(
    name="robosuite",
    tasks=("lift", "can"),
    action=ACTION,
    frame_rate=20.0,
    horizon=400,  # the operators need 250 steps at most
    simulator="dreamgym.sims.robosuite:make_env",
    extra="robosuite",
    module="robosuite",
    licence="robosuite MIT, MuJoCo Apache-2.0",
    robots=dict.fromkeys(ROBOTS, ACTION),
    # The length of the state depends on the gripper: the object is counted from its end.
    measures=(
        Measure("gripper", "state", (0, 1, 2), "cm", scale=100.0, moved=0.03),
        Measure("object", "state", (-12, -11, -10), "cm", scale=100.0, moved=0.01),
    ),
    operators={
        **{name: partial(operator, proficiency=name) for name in ("better", "okay", "worse", "clumsy")},
        "random": RandomWalk,
    },
    collectors={"demonstrations": demonstrations},
    simulator_kwargs=simulator_kwargs,
    draws=("state",),
    cameras={"rgb_static": "static"},
    axes=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    settings={"robot": str, "cameras": tuple[str, ...], "image_size": int, "camera_name": str},
)
