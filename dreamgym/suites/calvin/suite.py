"""CALVIN's tables and the built-in PlayTable as a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dreamgym.sims.calvin.tasks import DRAWER, LED, LIGHTBULB, SLIDER
from dreamgym.suites.base import Layout, Measure, Suite, Trials
from dreamgym.suites.calvin.attempts import AttemptConfig
from dreamgym.suites.calvin.demonstrations import DemonstrationConfig
from dreamgym.suites.calvin.descriptions import describe
from dreamgym.suites.calvin.operators import OPERATORS, OperatorConfig
from dreamgym.suites.calvin.play import PlayConfig
from dreamgym.suites.calvin.tasks import SCENE, TASKS, Rules, startable, succeeded
from dreamgym.types import ActionSpec

ROBOT = "robot_obs"
# tcp position, tcp Euler angles, gripper width and 7 joints, the last gripper action.
ROBOT_OBS: Layout = (("linear", 3), ("euler", 3), ("linear", 8), ("sign", 1))
# Slider, drawer, button, switch, bulb, LED, then three blocks.
SCENE_OBS: Layout = (("linear", 4), ("binary", 2)) + (("linear", 3), ("euler", 3)) * 3


def simulator_kwargs(info: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Scene, image size, drawing and cameras that an episode was recorded with; None where no scene is named."""
    recorded = meta.get("config") or {}
    recorded = recorded.get("play", recorded)
    if "scene" in recorded:
        kwargs = {k: recorded[k] for k in ("scene", "image_size", "visuals") if k in recorded}
        return {**kwargs, "cameras": list(recorded.get("cameras", ()))}
    return {"scene": info["scene"]} if "scene" in info else None


def play(suite: Suite, *, scene: str = "playtable", image_size: int = 64, episode_steps: int = 1000) -> PlayConfig:
    """Long, task-agnostic play."""
    return PlayConfig(scene=scene, image_size=image_size, episode_steps=episode_steps)


def demonstrations(
    suite: Suite,
    *,
    scene: str = "playtable",
    image_size: int = 64,
    tasks: tuple[str, ...] = TASKS,
    num_train: int = 50,
    num_val: int = 20,
) -> DemonstrationConfig:
    """Experts and failures at single tasks."""
    return DemonstrationConfig(PlayConfig(scene=scene, image_size=image_size), tasks, num_train, num_val)


def attempts(
    suite: Suite,
    *,
    scene: str = "playtable",
    image_size: int = 64,
    tasks: tuple[str, ...] = TASKS,
    num_train: int = 50,
    num_val: int = 20,
) -> AttemptConfig:
    """Near misses and second tries."""
    return AttemptConfig(PlayConfig(scene=scene, image_size=image_size), tasks, num_train, num_val)


def operators(
    suite: Suite,
    *,
    scene: str = "playtable",
    image_size: int = 64,
    tasks: tuple[str, ...] = TASKS,
    operators: tuple[str, ...] = tuple(OPERATORS),
    num_train: int = 50,
    num_val: int = 10,
) -> OperatorConfig:
    """Successes of operators of several proficiencies and ways, in turn."""
    return OperatorConfig(PlayConfig(scene=scene, image_size=image_size), tasks, operators, num_train, num_val)


def trials(sensors: Sequence[str] = (), **kwargs: Any) -> Trials:
    """Scripted skills, in a simulator that draws those cameras alone which ``sensors`` name: drawing costs most."""
    from dreamgym.suites.calvin.trials import CalvinTrials  # pybullet is an extra

    return CalvinTrials(sensors, **kwargs)


INSTRUCTIONS = {
    "open_drawer": ("open the drawer", "pull the handle to open the drawer", "draw out the drawer"),
    "close_drawer": ("close the drawer", "push the drawer shut", "push in the drawer"),
    "move_slider_left": ("move the slider to the left", "slide the door to the left", "push the sliding door left"),
    "move_slider_right": ("move the slider to the right", "slide the door to the right", "push the sliding door right"),
    "turn_on_lightbulb": ("turn on the light bulb", "switch on the bulb", "move the switch up to light the bulb"),
    "turn_off_lightbulb": ("turn off the light bulb", "switch off the bulb", "move the switch down to darken the bulb"),
    "turn_on_led": ("turn on the led", "press the button to light the led", "switch the green light on"),
    "turn_off_led": ("turn off the led", "press the button to darken the led", "switch the green light off"),
}
"""Sentences of the tasks that scripted hands demonstrate; the first is the task's instruction."""

SUITE = Suite(
    name="calvin",
    tasks=TASKS,
    action=ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,), hold=(0.0,) * 6 + (1.0,)),
    frame_rate=30.0,
    horizon=64,
    simulator="dreamgym.sims.calvin:CalvinEnv",
    extra="calvin",
    module="pybullet",
    needs="DREAMGYM_CALVIN_ASSETS, the folder of calvin_env's data, for scenes A to D; PlayTable needs nothing",
    licence="PyBullet zlib, CALVIN's assets MIT, Panda Apache-2.0",
    layouts={ROBOT: ROBOT_OBS, SCENE: SCENE_OBS},
    measures=(
        Measure("drawer", SCENE, (DRAWER,), "m", moved=0.01),
        Measure("slider", SCENE, (SLIDER,), "m", moved=0.01),
        Measure("tcp", ROBOT, (0, 1, 2), "m", moved=0.03, label="hand (tcp)"),
        Measure("bulb", SCENE, (LIGHTBULB,), "share right", kind="flag", label="light bulb"),
        Measure("led", SCENE, (LED,), "share right", kind="flag", label="LED"),
    ),
    proprioception=ROBOT,
    instructions={task: sentences[0] for task, sentences in INSTRUCTIONS.items()},
    paraphrases={task: sentences[1:] for task, sentences in INSTRUCTIONS.items()},
    startable=startable,
    succeeded=succeeded,
    rules=Rules,
    collectors={"play": play, "demonstrations": demonstrations, "attempts": attempts, "operators": operators},
    simulator_kwargs=simulator_kwargs,
    cameras={"rgb_static": "static", "rgb_gripper": "gripper"},
    axes=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    settings={
        "scene": str,
        "image_size": int | tuple[int, int],
        "visuals": str,
        "cameras": tuple[str, ...],
    },
    trials=trials,
    describe=describe,
)
