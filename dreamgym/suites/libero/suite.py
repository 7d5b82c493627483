"""LIBERO's 130 tasks as a suite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from dreamgym.sims.libero import SUITES, TASKS, task_description
from dreamgym.sims.libero.assets import find_assets
from dreamgym.suites.base import Act, CollectionFactory, Measure, Suite
from dreamgym.suites.scripted import RandomWalk, ScriptedEpisodes
from dreamgym.types import ActionSpec

MAX_TRIES = 3
ROBOTS = ("Panda", "Sawyer", "IIWA", "Jaco", "Kinova3", "UR5e", "XArm7")
ACTION = ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,), hold=(0.0,) * 6 + (-1.0,))
OBJECTS, POSE, JOINTS = 8, 9, 4  # of scene_obs: poses of objects, and the fixtures' joints
_FIRST_JOINT = OBJECTS * POSE
TASK_SETS = {name: tuple(f"{name}/{task}" for task in tasks) for name, tasks in SUITES.items()}


def simulator_kwargs(info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """The arm and the cameras that a store was recorded with, where it names them."""
    arm = {"robot": info["robot"]} if "robot" in info else {}
    return {**arm, **info.get("settings", {}).get("simulator", {})}


def operator(env: Any, rng: np.random.Generator, proficiency: str) -> Act:
    """A scripted operator of the episode that ``env`` has just begun; it looks at the simulator's poses."""
    from dreamgym.suites.libero.operators import Operator  # robosuite is an extra

    hand = Operator(env, proficiency, rng)
    return lambda obs: hand.act()


def demonstrations(
    suite: Suite,
    *,
    tasks: tuple[str, ...] = (),
    operators: tuple[str, ...] = (),
    robot: str | None = None,
    max_steps: int | None = None,
    linger: int = 10,
    whole: bool = False,
    image_size: int = 128,
    initial_states: bool = False,
) -> ScriptedEpisodes:
    """Episodes of the operators with both cameras; what fails three times is kept as a failure.

    Args:
        suite: this one.
        tasks: names of tasks, or of LIBERO's suites of tasks ("libero_goal"); () for all 130.
        operators: names of operators, in turn; () for those that demonstrate.
        robot: the arm.
        max_steps: rows of an episode at most; None for the suite's horizon.
        linger: rows from the first success on.
        whole: go on to ``max_steps`` after success.
        image_size: pixels of the square frames; 0 for none.
        initial_states: begin from the benchmark's own initial states, one after the other.
    """
    named = tuple(task for name in tasks for task in TASK_SETS.get(name, (name,)))
    cameras = {"cameras": ["static", "gripper"], "image_size": image_size} if image_size else {}
    return ScriptedEpisodes(
        suite, named, operators, robot, max_steps, None if whole else linger, True, cameras, MAX_TRIES, True,
        initial_states,
    )  # fmt: skip


def play(
    suite: Suite,
    *,
    tasks: tuple[str, ...] = (),
    operators: tuple[str, ...] = (),
    robot: str | None = None,
    episode_steps: int = 1000,
    image_size: int = 128,
) -> CollectionFactory:
    """Long play without resets; see `dreamgym.suites.libero.play`."""
    from dreamgym.suites.libero.play import play as made  # robosuite is an extra

    return made(
        suite, tasks=tasks, operators=operators, robot=robot, episode_steps=episode_steps, image_size=image_size
    )


def _measures() -> tuple[Measure, ...]:
    hand = Measure("hand", "robot_obs", (0, 1, 2), "cm", scale=100.0, moved=0.03)
    things = (
        Measure(f"object {i + 1}", "scene_obs", tuple(range(i * POSE, i * POSE + 3)), "cm", scale=100.0, moved=0.01)
        for i in range(OBJECTS)
    )
    joints = (
        Measure(f"joint {i + 1}", "scene_obs", (_FIRST_JOINT + i,), "0.01 m or rad", scale=100.0, moved=0.02)
        for i in range(JOINTS)
    )
    return (hand, *things, *joints)


SUITE = Suite(
    name="libero",
    tasks=TASKS,
    action=ACTION,
    frame_rate=20.0,
    horizon=600,  # LIBERO's own evaluation
    simulator="dreamgym.sims.libero.env:LiberoEnv",
    extra="libero",
    module="robosuite",
    needs="DREAMGYM_LIBERO_ASSETS, the folder of LIBERO's models, textures and task files",
    find_assets=find_assets,
    licence="LIBERO MIT, robosuite MIT, MuJoCo Apache-2.0",
    robots=dict.fromkeys(ROBOTS, ACTION),
    task_sets=TASK_SETS,
    initial_states=50,
    settle_steps=10,  # LIBERO's own evaluation waits for 5 steps, OpenVLA's and others' for 10
    instructions={task: task_description(task) for task in TASKS},
    layouts={"robot_obs": (("linear", 18),), "scene_obs": (("linear", _FIRST_JOINT + JOINTS),)},
    measures=_measures(),
    proprioception="robot_obs",
    operators={
        **{name: partial(operator, proficiency=name) for name in ("better", "okay", "worse", "clumsy")},
        "random": RandomWalk,
    },
    collectors={"demonstrations": demonstrations, "play": play},
    simulator_kwargs=simulator_kwargs,
    cameras={"rgb_static": "static", "rgb_gripper": "gripper"},
    draws=("robot_obs", "scene_obs"),
    axes=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    settings={"robot": str, "cameras": tuple[str, ...], "image_size": int, "visuals": str},
)
