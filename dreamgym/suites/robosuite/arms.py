"""Several robots at one table of robosuite as a suite: an object is lifted and put down beside where it lay."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from dreamgym.sims.robosuite_arms.embodiments import EMBODIMENTS
from dreamgym.sims.robosuite_arms.objects import CATEGORIES, INSTANCES
from dreamgym.suites.base import Act, Measure, Suite
from dreamgym.suites.scripted import RandomWalk, ScriptedEpisodes

TASKS = tuple(f"move_{category}" for category in CATEGORIES)
# Entries of "state" that a model may learn motion from: what moves, from where it is seen, how far the hand is closed.
MOTION = {
    "end_effector": tuple(range(9)),
    "fingers": (9,),
    "camera": tuple(range(19, 28)),
}


def simulator_kwargs(info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The robot that a store was recorded with, where it names one."""
    return {"robot": info["robot"]} if "robot" in info else {}


def operator(env: Any, rng: np.random.Generator, proficiency: str) -> Act:
    """A scripted operator of the episode that ``env`` has just begun; it looks at the simulator's poses."""
    from dreamgym.suites.robosuite.arm_operators import ArmOperator

    return ArmOperator(env, proficiency, rng).act


def demonstrations(
    suite: Suite,
    *,
    tasks: tuple[str, ...] = (),
    operators: tuple[str, ...] = (),
    robot: str | None = None,
    max_steps: int | None = None,
    linger: int = 10,
    whole: bool = False,
    instances: str = "train",
) -> ScriptedEpisodes:
    """The collector, with objects of the instances "train", "held_out" or "all"; see `ScriptedEpisodes`.

    Raises:
        ValueError: other instances.
    """
    if instances not in INSTANCES:
        raise ValueError(f"instances: expected one of {INSTANCES}, got {instances!r}")
    other = {} if instances == INSTANCES[0] else {"instances": instances}
    left = None if whole else linger
    return ScriptedEpisodes(suite, tasks, operators, robot, max_steps, left, simulator=other)


SUITE = Suite(
    name="robosuite_arms",
    tasks=TASKS,
    action=EMBODIMENTS["panda_joints"].action,
    frame_rate=20.0,
    horizon=250,
    simulator="dreamgym.sims.robosuite_arms.env:make_env",
    extra="robosuite",
    module="robosuite",
    robots={name: embodiment.action for name, embodiment in EMBODIMENTS.items()},
    instructions={task: f"lift the {task.removeprefix('move_')} and put it down elsewhere" for task in TASKS},
    layouts={"state": (("linear", 31),)},
    measures=(
        Measure("hand", "state", (0, 1, 2), "cm", scale=100.0, moved=0.03),
        Measure("object", "state", (10, 11, 12), "cm", scale=100.0, moved=0.02),
    ),
    hints={"state": MOTION},
    operators={
        **{name: partial(operator, proficiency=name) for name in ("better", "okay", "worse", "clumsy")},
        "random": RandomWalk,
    },
    collectors={"demonstrations": demonstrations},
    simulator_kwargs=simulator_kwargs,
    cameras={"rgb_static": "static"},
    settings={"robot": str, "cameras": tuple[str, ...], "image_size": int, "instances": str},
)
