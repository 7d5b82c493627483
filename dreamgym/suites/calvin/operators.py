"""Demonstrations by operators of several proficiencies and ways, as a data set of several people would hold them.

One script that always goes the same way makes a data set that is easier to clone than any that people record. Here six
operators take turns: an expert, a slow and a hasty one, one that pauses, one that takes detours, and one whose first
try misses. All of them succeed in the end, and the skills themselves go at a handle from either side.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.suites.calvin.demonstrations import (
    MAX_TRIES,
    DemonstrationConfig,
    DemonstrationGenerator,
    check_set,
    split_of_round,
)
from dreamgym.suites.calvin.play import PlayConfig
from dreamgym.suites.calvin.skills import SKILLS, TASKS, SkillRun
from dreamgym.suites.calvin.skills_engine import CLOSE, Style, Waypoint


@dataclass(frozen=True)
class Operator:
    """How somebody demonstrates; numbers are drawn anew for each demonstration.

    Attributes:
        speed: range of metres a step.
        jitter: most that waypoints in free air stray, a standard deviation in metres.
        noise: standard deviation of the hand's own, in metres.
        pause: chance a step that the hand stops for 3 to 10 steps.
        detour: whether it first goes to some place in free air.
        miss: range of metres by which the first try's contact points lie aside; None: the first try is meant to
            succeed.
    """

    speed: tuple[float, float] = (0.013, 0.023)
    jitter: float = 0.02
    noise: float = 0.0012
    pause: float = 0.0
    detour: bool = False
    miss: tuple[float, float] | None = None

    def style(self, rng: np.random.Generator, first: bool) -> Style:
        """A way to carry out one try."""
        aside = np.zeros(3)
        if first and self.miss is not None:
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(*self.miss)
            aside = np.array([length * np.cos(angle), -abs(length * np.sin(angle)), rng.uniform(0.0, 0.02)])
        return Style(
            speed=rng.uniform(*self.speed),
            jitter=rng.uniform(0.0, self.jitter),
            noise=abs(rng.normal(0.0, self.noise)),
            miss=(float(aside[0]), float(aside[1]), float(aside[2])),
        )


OPERATORS = {
    "expert": Operator(),
    "retrying": Operator(miss=(0.02, 0.05)),
    "hasty": Operator(speed=(0.023, 0.03), jitter=0.035, noise=0.003),
    "pausing": Operator(pause=0.06),
    "detouring": Operator(speed=(0.018, 0.026), detour=True),
    "slow": Operator(speed=(0.009, 0.013), jitter=0.01),
}


@dataclass(frozen=True)
class OperatorConfig:
    """Which demonstrations to make; operators take turns within each task.

    Attributes:
        play: scene, cameras and drawing; its shares are not used.
        tasks: the tasks, each a name of SKILLS.
        operators: names of OPERATORS.
        num_train, num_val: successes a task in either split.
        max_steps: rows of an episode at most.
    """

    play: PlayConfig = field(default_factory=PlayConfig)
    tasks: tuple[str, ...] = TASKS
    operators: tuple[str, ...] = tuple(OPERATORS)
    num_train: int = 50
    num_val: int = 10
    max_steps: int = 64

    def __post_init__(self) -> None:
        check_set(self.tasks, self.num_train, self.num_val, self.max_steps)
        unknown = [name for name in self.operators if name not in OPERATORS]
        if unknown or not self.operators:
            raise ValueError(f"operators: expected some of {tuple(OPERATORS)}, got {tuple(self.operators)}")

    @property
    def num_episodes(self) -> int:
        """How many episodes make a full set: pass it to `collect`."""
        return len(self.tasks) * (self.num_train + self.num_val)

    def entry(self, episode_index: int) -> tuple[str, str, str]:
        """(task, operator, split) of an episode."""
        turn, place = divmod(episode_index, len(self.tasks))
        held = turn * self.num_val // max(1, self.num_train + self.num_val)  # val rounds before this one
        split = split_of_round(turn, self.num_train, self.num_val)
        # Counted within the split, or some operators would appear in one split alone.
        number = held if split == "val" else turn - held
        return self.tasks[place], self.operators[number % len(self.operators)], split

    def info(self) -> dict[str, Any]:
        """What the store remembers: scene, tasks and settings, JSON-ready."""
        return {"scene": self.play.scene, "tasks": list(self.tasks), "settings": asdict(self)}

    def __call__(self, worker_seed: int) -> OperatorGenerator:
        """Build a generator: a config is the picklable factory that `collect` takes."""
        return OperatorGenerator(self, worker_seed)


class OperatorGenerator:
    """Makes the episodes; episode i depends on the seed and i alone."""

    def __init__(self, config: OperatorConfig, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        starts = DemonstrationConfig(config.play, config.tasks, max_steps=config.max_steps)
        self.starts = DemonstrationGenerator(starts, worker_seed)
        self.stage = self.starts.stage

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One success with `success` bool [T]: the task is done at this row, compared with row 0.

        Raises:
            RuntimeError: no success in 60 tries; the operator does not fit the task.
        """
        rng = episode_rng(self.worker_seed, episode_index)
        task, name, split = self.config.entry(episode_index)
        operator = OPERATORS[name]
        for draws in range(1, MAX_TRIES + 1):
            self.starts.begin(task, rng)
            success, tries = self._demonstrate(task, operator, rng)
            # A second try that was not needed would be an expert's demonstration under another name.
            if success[-3:].all() and (operator.miss is None or tries > 1):
                meta = {
                    "kind": "demonstration", "scene": self.config.play.scene, "task": task, "split": split,
                    "success": True, "expert": True, "operator": name, "tries": draws, "config": asdict(self.config),
                }  # fmt: skip
                return {**self.stage.episode(), "success": success}, meta
        raise RuntimeError(f"no success of {name!r} at {task} in {MAX_TRIES} tries in {self.config.play.scene}")

    def _demonstrate(self, task: str, operator: Operator, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Tries until some rows after success or out of rows; the marks of the rows, and how many tries it took."""
        stage, succeeded = self.stage, SKILLS[task].success
        before = stage.view.scene_obs.copy()
        linger, tries, rest, gripper = int(rng.integers(6, 10)), 0, 0, CLOSE
        run = self._run("wander", operator, rng, tries) if operator.detour else None
        marks: list[bool] = []
        while len(marks) < self.config.max_steps and linger > 0:
            marks.append(bool(succeeded(before, stage.view.scene_obs)))
            if (run is None or run.done) and not marks[-1]:
                run, tries = self._run(task, operator, rng, tries), tries + 1
            rest = rest - 1 if rest > 0 else int(rng.random() < operator.pause) * int(rng.integers(3, 11))
            if run is None or run.done or rest > 0:
                style = operator.style(rng, first=False)
                action = stage.hand.act(stage.view, Waypoint(stage.hand.reference.copy(), gripper), style)
            else:
                action = run.act()
                gripper = float(action[6])
            stage.step(action)
            if run is not None and rest == 0:
                run.settle()
            linger -= bool(succeeded(before, stage.view.scene_obs))
        return np.array(marks), tries

    def _run(self, skill: str, operator: Operator, rng: np.random.Generator, tries: int) -> SkillRun:
        """One try; one that misses ends early, when the operator sees it."""
        miss = operator.miss is not None and tries == 0
        limit = int(rng.integers(14, 30)) if miss or skill == "wander" else self.config.max_steps
        return SkillRun(skill, self.stage.hand, self.stage.view, rng, operator.style(rng, tries == 0), limit)
