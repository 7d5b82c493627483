"""Scripted operators of LIBERO's tasks: they read the goal, and do it with skills, well or less well."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamgym.sims.libero.osc import POSITION_SCALE, ROTATION_SCALE
from dreamgym.sims.libero.problem import Fact
from dreamgym.suites.libero.grasps import Grasps, read_grasps, rotation_vector
from dreamgym.suites.libero.plans import next_fact, skill
from dreamgym.suites.libero.sight import Sight
from dreamgym.suites.libero.skills import OPEN, Habit, SkillFailed, Target

SETTLING = 12  # steps at most in which an operator waits for things to come to rest


@dataclass(frozen=True)
class Proficiency:
    """How well an operator works.

    Attributes:
        gain: share of the remaining way that an action asks for; above 1 since the arm lags behind.
        speed: largest entry of an action.
        noise, twist: standard deviations of slow noise on an action's translation and rotation.
        aim: standard deviation in m of where it thinks a thing is held, drawn at each try.
        height: lowest and highest m before a thing at which an approach ends.
        variety: how much chance decides between ways of holding a thing.
        hesitation: probability a step of standing still for a moment.
    """

    gain: float
    speed: float
    noise: float
    twist: float
    aim: float
    height: tuple[float, float]
    variety: float
    hesitation: float


PROFICIENCIES = {
    "better": Proficiency(2.0, 1.0, 0.03, 0.01, 0.001, (0.05, 0.08), 0.15, 0.0),
    "okay": Proficiency(1.5, 0.7, 0.08, 0.03, 0.003, (0.05, 0.11), 0.5, 0.02),
    "worse": Proficiency(1.2, 0.5, 0.15, 0.05, 0.006, (0.06, 0.14), 1.0, 0.04),
    # Closes centimetres beside the thing as often as about it, and tries again, as cloned policies do.
    "clumsy": Proficiency(1.5, 0.7, 0.1, 0.05, 0.02, (0.05, 0.11), 1.0, 0.02),
}


class Operator:
    """Works at the goal of the episode that an environment has just begun.

    Args:
        env: a `LiberoEnv`.
        proficiency: one of `PROFICIENCIES`.
        rng: of everything that it does by chance.
        grasps: how things are held; None: the shipped ones.

    Raises:
        ValueError: there is no such proficiency.
    """

    def __init__(self, env: Any, proficiency: str, rng: np.random.Generator, grasps: Grasps | None = None) -> None:
        if proficiency not in PROFICIENCIES:
            raise ValueError(f"proficiency: expected one of {list(PROFICIENCIES)}, got {proficiency!r}")
        self.style, self.rng = PROFICIENCIES[proficiency], rng
        self.grasps = grasps or read_grasps()
        self.sight = Sight(env)
        self.failures: list[str] = []
        self._targets = self._work()
        self._noise, self._still = np.zeros(6), 0

    def act(self) -> np.ndarray:
        """The next action (7,) in [-1, 1]."""
        target, style = next(self._targets), self.style
        position, rotation = self.sight.hand
        move = (target.position - position) / POSITION_SCALE * style.gain
        turn = rotation_vector(target.rotation @ rotation.T) / ROTATION_SCALE * style.gain
        top = style.speed * target.speed
        move *= min(1.0, top / max(float(np.abs(move).max()), 1e-9))
        turn *= min(1.0, top / max(float(np.abs(turn).max()), 1e-9))
        if self._still == 0 and self.rng.random() < style.hesitation:
            self._still = int(self.rng.integers(2, 8))
        if self._still > 0:
            self._still -= 1
            move, turn = np.zeros(3), np.zeros(3)
        spread = np.repeat([style.noise, style.twist], 3)
        self._noise = 0.8 * self._noise + 0.6 * spread * self.rng.standard_normal(6)
        action = np.concatenate([move, turn]) + self._noise
        return np.clip([*action, target.fingers], -1.0, 1.0).astype(np.float32)

    def pursue(self, goal: tuple[Fact, ...]) -> None:
        """Works at another goal from now on, whatever is under way."""
        self.sight.goal = goal
        self.failures = []
        self._targets = self._work()

    def _habit(self, tried: dict[tuple[str, int], int]) -> Habit:
        aim = np.array([*self.rng.normal(0.0, self.style.aim, 2), 0.0])
        return Habit(self.rng, aim, self.rng.uniform(*self.style.height), self.style.variety, tried)

    def _work(self) -> Generator[Target, None, None]:
        """Does fact after fact; stands still when all hold."""
        tried: dict[tuple[str, int], int] = {}
        for step in range(SETTLING):  # things may begin in the air
            if step > 2 and self.sight.rests():
                break
            yield Target(*self.sight.hand, OPEN)
        while True:
            fact = next_fact(self.sight)
            if fact is None:
                yield Target(*self.sight.hand, OPEN)
                continue
            try:
                yield from skill(self.sight, fact, self.grasps, self._habit(tried))
            except SkillFailed as failure:
                self.failures.append(str(failure))
                position, rotation = self.sight.hand
                for _ in range(8):
                    yield Target(position + [0.0, 0.0, 0.06], rotation, OPEN)
