"""Reset-free play: one fact after another is made to hold in a scene, by chance, without a reset in between."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng, split_of
from dreamgym.sims.libero.assets import task_file
from dreamgym.sims.libero.problem import Fact, Problem, read_problem
from dreamgym.sims.libero.tasks import SUITES
from dreamgym.suites.base import Suite
from dreamgym.suites.libero.grasps import Grasps
from dreamgym.suites.libero.operators import PROFICIENCIES, Operator
from dreamgym.suites.libero.plans import DRAGGED
from dreamgym.suites.libero.sight import Sight

SCENE = re.compile(r".*_SCENE\d+_")
PATIENCE = 250  # steps after which something else is tried
FAILURES = 2  # of skills, likewise
OPPOSITE = {"open": "close", "close": "open", "turnon": "turnoff", "turnoff": "turnon"}


@dataclass(frozen=True)
class PlayEpisodes:
    """Which play to make; the picklable factory that `collect` takes.

    Attributes:
        suite: LIBERO's.
        tasks: whose scenes are played in, in turn.
        operators: proficiencies, in turn.
        robot: the arm.
        episode_steps: rows of an episode.
        image_size: pixels of the square frames of both cameras; 0 for none.

    Raises:
        ValueError: an unknown task, operator or robot, or too few steps.
    """

    suite: Suite
    tasks: tuple[str, ...]
    operators: tuple[str, ...]
    robot: str | None = None
    episode_steps: int = 1000
    image_size: int = 128

    def __post_init__(self) -> None:
        if unknown := [task for task in self.tasks if task not in self.suite.tasks]:
            raise ValueError(f"tasks: expected LIBERO's, got {unknown}")
        if unknown := [name for name in self.operators if name not in PROFICIENCIES]:
            raise ValueError(f"operators: expected some of {list(PROFICIENCIES)}, got {unknown}")
        if self.robot is not None and self.robot not in self.suite.robots:
            raise ValueError(f"robot: expected one of {list(self.suite.robots)}, got {self.robot!r}")
        if self.episode_steps < 2:
            raise ValueError(f"episode_steps must be at least 2, got {self.episode_steps}")

    @property
    def simulator(self) -> dict[str, Any]:
        """Options of the simulator."""
        return {"cameras": ["static", "gripper"], "image_size": self.image_size} if self.image_size else {}

    def info(self) -> dict[str, Any]:
        """What the store remembers, JSON-ready."""
        arm = {} if self.robot is None else {"robot": self.robot}
        settings = {"operators": list(self.operators), "episode_steps": self.episode_steps}
        return {"tasks": list(self.tasks), **arm, "settings": {**settings, "simulator": self.simulator}}

    def __call__(self, worker_seed: int) -> PlayGenerator:
        return PlayGenerator(self, worker_seed)


class PlayGenerator:
    """Makes play episodes; episode i depends on the seed and i alone."""

    def __init__(self, config: PlayEpisodes, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        arm = {} if config.robot is None else {"robot": config.robot}
        self.env: Any = config.suite.make(horizon=None, **arm, **config.simulator)

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One reset, then play without a reset.

        Returns:
            The simulator's sensors, "action" [T, A] and "snapshot" [T, S]; and the meta, whose "skills" are
            [fact in words, first row, row after the last, whether it then held].
        """
        config, rng = self.config, episode_rng(self.worker_seed, episode_index)
        rest, place = divmod(episode_index, len(config.tasks))
        task, operator = config.tasks[place], config.operators[rest % len(config.operators)]
        obs, _ = self.env.reset(seed=int(rng.integers(2**31)), options={"task": task})
        rows: dict[str, list[Any]] = {}
        skills: list[list[Any]] = []
        hand = Operator(self.env, operator, rng)
        known = facts(self.env.assets, task)
        while (begun := len(rows.get("action", ()))) < config.episode_steps:
            fact = draw_fact(hand.sight, hand.grasps, known, rng)
            hand.pursue((fact,))
            for _ in range(min(PATIENCE, config.episode_steps - begun)):
                action = hand.act()
                for key, value in {**obs, "action": action, "snapshot": self.env.snapshot()}.items():
                    rows.setdefault(key, []).append(value)
                obs = self.env.step(action)[0]
                if hand.sight.holds(fact) or len(hand.failures) >= FAILURES:
                    break
            skills.append([" ".join(fact), begun, len(rows["action"]), hand.sight.holds(fact)])
        meta = {
            "kind": "play", "suite": config.suite.name, "task": task, "operator": operator,
            "split": split_of(episode_index), "skills": skills, "config": config.info()["settings"],
        }  # fmt: skip
        return {key: np.stack(values) for key, values in rows.items()}, meta


@cache
def facts(assets: Path, task: str) -> tuple[Fact, ...]:
    """What can be played for in a task's scene: the goals of all tasks there, their opposites, and how things began."""
    own = read_problem(task_file(assets, task))
    suite = task.split("/")[0]
    problems = [read_problem(task_file(assets, f"{suite}/{name}")) for name in SUITES[suite]]
    found = dict.fromkeys(fact for problem in problems if _same_scene(own, problem) for fact in problem.goal)
    found |= dict.fromkeys((OPPOSITE[fact[0]], fact[1]) for fact in tuple(found) if fact[0] in OPPOSITE)
    return (*found, *(fact for fact in own.init if len(fact) == 3 and fact[1] in own.objects))


def _same_scene(a: Problem, b: Problem) -> bool:
    return (a.name, a.fixtures, a.objects) == (b.name, b.fixtures, b.objects)


def draw_fact(sight: Sight, grasps: Grasps, known: tuple[Fact, ...], rng: np.random.Generator) -> Fact:
    """One of those that do not hold yet and that the hand knows a way to.

    Raises:
        ValueError: there is none.
    """
    options = [fact for fact in known if _is_open_to(sight, grasps, known, fact)]
    if not options:
        raise ValueError(f"nothing can be played for in {sight.scene.problem.language!r}")
    return options[int(rng.integers(len(options)))]


def _is_open_to(sight: Sight, grasps: Grasps, known: tuple[Fact, ...], fact: Fact) -> bool:
    try:
        if sight.holds(fact):
            return False
        if len(fact) == 2:
            # A drawer at 0 is neither open nor shut to LIBERO's oracle: shut is what has been open.
            undone = fact[0] in ("open", "turnon") or sight.holds((OPPOSITE[fact[0]], fact[1]))
            return undone and all(_is_moved(sight, grasps, fact, joint) for joint in sight.joints(fact[1]))
        inside = [other[2] for other in known if other[:2] == ("in", fact[1]) and sight.holds(other)]
        shut = any(_is_shut(sight, region) for region in (*inside, *(fact[2:] if fact[0] == "in" else ())))
    except ValueError:  # another task's region, which this scene lacks
        return False
    return not shut and (sight.kind(fact[1]) in grasps.things or sight.kind(fact[1]) in DRAGGED)


def _is_moved(sight: Sight, grasps: Grasps, fact: Fact, joint: int) -> bool:
    """Whether a way is known to move a joint so that a fact about it holds."""
    key = sight.joint_name(joint)
    return key in (grasps.pulls if fact[0] == "open" else grasps.pushes) or key in grasps.turns


def _is_shut(sight: Sight, region: str) -> bool:
    try:
        return not sight.holds(("open", region))
    except ValueError:  # it is no part that opens
        return False


def play(
    suite: Suite,
    *,
    tasks: tuple[str, ...] = (),
    operators: tuple[str, ...] = (),
    robot: str | None = None,
    episode_steps: int = 1000,
    image_size: int = 128,
) -> PlayEpisodes:
    """Play in LIBERO's scenes.

    Args:
        suite: this one.
        tasks: whose scenes, by name or by set of tasks; () for the first task of each of libero_90's twenty scenes.
        operators: proficiencies, in turn; () for "better", "okay", "worse" and "clumsy".
        robot: the arm.
        episode_steps: rows of an episode.
        image_size: pixels of the square frames; 0 for none.
    """
    scenes = {SCENE.match(task)[0]: task for task in reversed(suite.task_sets["libero_90"])}  # type: ignore[index]
    named = tuple(task for name in tasks for task in suite.task_sets.get(name, (name,)))
    return PlayEpisodes(
        suite, named or tuple(sorted(scenes.values())), operators or tuple(PROFICIENCIES),
        robot or next(iter(suite.robots)), episode_steps, image_size,
    )  # fmt: skip
