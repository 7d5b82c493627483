"""Expert demonstrations and failed attempts of single tasks from varied starts, with the frames of success marked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.suites.calvin.play import PlayConfig, Stage, draw_style
from dreamgym.suites.calvin.skills import SKILLS, TASKS, SkillRun
from dreamgym.suites.calvin.skills_blocks import random_place
from dreamgym.suites.calvin.skills_engine import CLOSE, OPEN, Style, Waypoint

MAX_TRIES = 60


def check_set(tasks: tuple[str, ...], num_train: int, num_val: int, max_steps: int) -> None:
    """Raises ValueError where a set of episodes cannot be made: unknown skills, or numbers that are too small."""
    if unknown := [task for task in tasks if task not in SKILLS]:
        raise ValueError(f"tasks: no skill is called {unknown}; skills are {tuple(SKILLS)}")
    if num_train < 0 or num_val < 0 or max_steps < 16:
        got = (num_train, num_val, max_steps)
        raise ValueError(f"num_train, num_val, max_steps: expected at least 0, 0 and 16, got {got}")


def split_of_round(index: int, num_train: int, num_val: int) -> str:
    """The split, "train" or "val", of a round of episodes; the held-out rounds lie evenly among the others."""
    rounds = max(1, num_train + num_val)
    return "val" if (index + 1) * num_val // rounds > index * num_val // rounds else "train"


@dataclass(frozen=True)
class DemonstrationConfig:
    """Which demonstrations to make.

    Attributes:
        play: scene, cameras and drawing; its shares are not used.
        tasks: the tasks, each a name of SKILLS.
        num_train: successes, and as many failed attempts, a task in the split "train".
        num_val: the same in the split "val".
        max_steps: rows of an episode at most (DiWA: 64).
    """

    play: PlayConfig = field(default_factory=PlayConfig)
    tasks: tuple[str, ...] = TASKS
    num_train: int = 50
    num_val: int = 20
    max_steps: int = 64

    def __post_init__(self) -> None:
        check_set(self.tasks, self.num_train, self.num_val, self.max_steps)

    @property
    def num_episodes(self) -> int:
        """How many episodes make a full set: pass it to `collect`."""
        return 2 * len(self.tasks) * (self.num_train + self.num_val)

    def entry(self, episode_index: int) -> tuple[str, bool, str]:
        """(task, whether it is to succeed, split) of an episode; kinds alternate, so that part of a set is balanced."""
        round_index, place = divmod(episode_index, 2 * len(self.tasks))
        expert, task = place % 2 == 0, self.tasks[place // 2]
        return task, expert, split_of_round(round_index, self.num_train, self.num_val)

    def info(self) -> dict[str, Any]:
        """What the store remembers: scene, tasks and settings, JSON-ready."""
        return {"scene": self.play.scene, "tasks": list(self.tasks), "settings": asdict(self)}

    def __call__(self, worker_seed: int) -> DemonstrationGenerator:
        """Build a generator: a config is the picklable factory that `collect` takes."""
        return DemonstrationGenerator(self, worker_seed)


class DemonstrationGenerator:
    """Makes the episodes of a demonstration set; episode i depends on the seed and i alone."""

    def __init__(self, config: DemonstrationConfig, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        self.stage = Stage(config.play)

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One attempt with `success` bool [T]: the task is done at this row, compared with row 0.

        Raises:
            RuntimeError: no attempt of the wanted kind in 60 tries; the skill does not fit the scene.
        """
        rng = episode_rng(self.worker_seed, episode_index)
        task, expert, split = self.config.entry(episode_index)
        for tries in range(1, MAX_TRIES + 1):
            self.begin(task, rng)
            success = self._attempt(task, expert, rng)
            if success.any() == expert and (not expert or success[-3:].all()):
                episode = {**self.stage.episode(), "success": success}
                meta = {
                    "kind": "demonstration", "scene": self.config.play.scene, "task": task, "split": split,
                    "success": expert, "expert": expert, "tries": tries, "config": asdict(self.config.play),
                }  # fmt: skip
                return episode, meta
        kind, scene = "success" if expert else "failure", self.config.play.scene
        raise RuntimeError(f"no {kind} of {task} in {MAX_TRIES} tries in {scene}: the skill does not fit the scene")

    def begin(self, task: str, rng: np.random.Generator) -> None:
        """A random scene in which the task can be done, the hand anywhere over the table; nothing is recorded."""
        stage = self.stage
        while True:
            stage.reset(rng, stage.draw_scene(rng))
            for _ in range(rng.integers(1, 3)):
                gripper = OPEN if rng.random() < 0.5 else CLOSE
                place = Waypoint(random_place(stage.view, rng), gripper, tolerance=0.03)
                stage.go(place, Style(speed=0.02), limit=30, record=False)
            for _ in range(rng.integers(0, 5)):
                stage.step(np.array([0, 0, 0, 0, 0, 0, gripper]), record=False)
            if SKILLS[task].applicable(stage.view):
                return

    def _attempt(self, task: str, expert: bool, rng: np.random.Generator) -> np.ndarray:
        """Carry the skill out and linger 5 to 8 rows after success, or fail at it; return the marks of the rows."""
        stage, linger = self.stage, int(rng.integers(6, 10))
        # A failed attempt reaches for a wrong place, or stops half-way: what looks most like success.
        halts = not expert and rng.random() < 0.4
        stop = int(rng.integers(15, 45)) if halts else self.config.max_steps
        run = SkillRun(task, stage.hand, stage.view, rng, draw_style(rng, not expert and not halts), stop)
        before = stage.view.scene_obs.copy()
        marks: list[bool] = []
        gripper = CLOSE
        while len(marks) < self.config.max_steps and linger > 0:
            marks.append(bool(SKILLS[task].success(before, stage.view.scene_obs)))
            if run.done:
                action = stage.hand.act(stage.view, Waypoint(stage.hand.reference.copy(), gripper), run.style)
            else:
                action = run.act()
                gripper = float(action[6])
            stage.step(action)
            run.settle()
            linger -= run.success or run.done
        return np.array(marks)
