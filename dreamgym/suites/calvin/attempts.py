"""Clumsy attempts at single tasks: near misses, slips and second tries, with the frames of success marked.

Experts hardly ever come close to a handle and miss it. A reward model that is trained on them alone predicts success
from the hand's place. Cloned policies miss by centimetres all the time, so a reward that scores them must be trained on
misses too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dreamgym.data.store import Episode, Meta
from dreamgym.data.workers import episode_rng
from dreamgym.suites.calvin.demonstrations import DemonstrationConfig, DemonstrationGenerator, check_set, split_of_round
from dreamgym.suites.calvin.play import PlayConfig
from dreamgym.suites.calvin.skills import SKILLS, TASKS, SkillRun
from dreamgym.suites.calvin.skills_engine import CLOSE, Style, Waypoint


@dataclass(frozen=True)
class AttemptConfig:
    """Which attempts to make.

    Attributes:
        play: scene, cameras and drawing; its shares are not used.
        tasks: the tasks, each a name of SKILLS.
        num_train, num_val: attempts a task in either split; whether they succeed is left to chance.
        max_steps: rows of an episode at most.
        miss: standard deviation in metres of how far the contact points lie aside, in each direction.
        halt_share: share of the tries that stop half-way.
    """

    play: PlayConfig = field(default_factory=PlayConfig)
    tasks: tuple[str, ...] = TASKS
    num_train: int = 60
    num_val: int = 20
    max_steps: int = 64
    miss: float = 0.035
    halt_share: float = 0.15

    def __post_init__(self) -> None:
        check_set(self.tasks, self.num_train, self.num_val, self.max_steps)
        if self.miss < 0 or not 0 <= self.halt_share <= 1:
            raise ValueError(f"miss >= 0 and halt_share in [0, 1]; got {self.miss}, {self.halt_share}")

    @property
    def num_episodes(self) -> int:
        """How many episodes make a full set: pass it to `collect`."""
        return len(self.tasks) * (self.num_train + self.num_val)

    def entry(self, episode_index: int) -> tuple[str, str]:
        """(task, split) of an episode."""
        round_index, place = divmod(episode_index, len(self.tasks))
        return self.tasks[place], split_of_round(round_index, self.num_train, self.num_val)

    def info(self) -> dict[str, Any]:
        """What the store remembers: scene, tasks and settings, JSON-ready."""
        return {"scene": self.play.scene, "tasks": list(self.tasks), "settings": asdict(self)}

    def __call__(self, worker_seed: int) -> AttemptGenerator:
        """Build a generator: a config is the picklable factory that `collect` takes."""
        return AttemptGenerator(self, worker_seed)


class AttemptGenerator:
    """Makes the episodes of a set of attempts; episode i depends on the seed and i alone."""

    def __init__(self, config: AttemptConfig, worker_seed: int) -> None:
        self.config, self.worker_seed = config, worker_seed
        starts = DemonstrationConfig(config.play, config.tasks, max_steps=config.max_steps)
        self.starts = DemonstrationGenerator(starts, worker_seed)
        self.stage = self.starts.stage

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """One attempt with `success` bool [T]: the task is done at this row, compared with row 0."""
        rng = episode_rng(self.worker_seed, episode_index)
        task, split = self.config.entry(episode_index)
        self.starts.begin(task, rng)
        success, tries = self._attempt(task, rng)
        meta = {
            "kind": "attempt", "scene": self.config.play.scene, "task": task, "split": split,
            "success": bool(success.any()), "expert": False, "tries": tries, "config": asdict(self.config),
        }  # fmt: skip
        return {**self.stage.episode(), "success": success}, meta

    def _attempt(self, task: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Try, and try again or wait, until some rows after success or out of rows; marks of the rows, and tries."""
        stage, skill = self.stage, SKILLS[task]
        before = stage.view.scene_obs.copy()
        linger, tries, hold = int(rng.integers(6, 10)), 0, 0
        marks: list[bool] = []
        run: SkillRun | None = None
        while len(marks) < self.config.max_steps and linger > 0:
            marks.append(bool(skill.success(before, stage.view.scene_obs)))
            if run is None or (run.done and hold <= 0):
                halt = int(rng.integers(8, 40)) if rng.random() < self.config.halt_share else self.config.max_steps
                run = SkillRun(task, stage.hand, stage.view, rng, self._style(rng), halt)
                hold, tries = int(rng.integers(0, 12)), tries + 1
            if run.done:
                hold -= 1
                action = stage.hand.act(stage.view, Waypoint(stage.hand.reference.copy(), CLOSE), run.style)
            else:
                action = run.act()
            stage.step(action)
            run.settle()
            linger -= bool(skill.success(before, stage.view.scene_obs))
        return np.array(marks), tries

    def _style(self, rng: np.random.Generator) -> Style:
        miss = rng.normal(0.0, self.config.miss, 3) * rng.uniform(0.2, 1.5)
        return Style(
            speed=rng.uniform(0.010, 0.025),
            jitter=rng.uniform(0.0, 0.03),
            noise=abs(rng.normal(0.0, 0.003)),
            miss=(float(miss[0]), float(miss[1]), float(miss[2])),
        )
