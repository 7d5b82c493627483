"""Scripted operators of robosuite's Lift and Can: of three proficiencies as in robomimic's sets, and a clumsy one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import numpy as np

from dreamgym.sims.robosuite import POSE, TURNING, RobosuiteEnv

STEP = 0.05  # metres that an action of 1 moves the gripper
TURN = 0.5  # radians that an action of 1 turns it
OPEN, CLOSE = -1.0, 1.0


@dataclass(frozen=True)
class Proficiency:
    """How well an operator works.

    Attributes:
        gain: share of the remaining way that a step goes; less is slower.
        speed: largest entry of an action.
        noise: standard deviation of the noise on an action's translation; slow, as a hand's.
        twist: of the noise on its rotation: without it an imitator never sees how to turn back.
        height: metres above the object at which the approach ends.
        aim: standard deviation in metres of where it thinks the object is, drawn once an attempt.
        hesitation: probability a step of standing still for a moment.
        detour: probability of going to a needless place first.
        level: standard deviation in metres of how much too high or low it takes the object to be.
    """

    gain: float
    speed: float
    noise: float
    twist: float
    height: float
    aim: float
    hesitation: float
    detour: float
    level: float = 0.0


PROFICIENCIES = {
    "better": Proficiency(0.9, 1.0, 0.02, 0.02, 0.06, 0.001, 0.0, 0.0),
    "okay": Proficiency(0.6, 0.6, 0.08, 0.06, 0.09, 0.004, 0.03, 0.2),
    "worse": Proficiency(0.4, 0.4, 0.16, 0.08, 0.13, 0.008, 0.06, 0.6),
    # Closes centimetres beside or above the object as often as about it, and tries again, as cloned policies do.
    "clumsy": Proficiency(0.7, 0.7, 0.1, 0.15, 0.07, 0.02, 0.02, 0.3, level=0.015),
}


class Sight(Protocol):
    """What an operator looks at: the simulator, or a state of it (`StateSight`); see `RobosuiteEnv`."""

    @property
    def episode_task(self) -> str: ...
    @property
    def gripper_pose(self) -> tuple[np.ndarray, np.ndarray]: ...
    @property
    def object_pose(self) -> tuple[np.ndarray, np.ndarray]: ...
    @property
    def bin(self) -> np.ndarray: ...
    @property
    def base_rotation(self) -> np.ndarray: ...


@dataclass
class StateSight:
    """Poses read from a state vector, as an env or a dream shows it, so that an operator needs no simulator there.

    Attributes:
        episode_task: "lift" or "can".
        robot: whose base the actions are relative to.
        state: (21 + g,), see `RobosuiteEnv`; to be set before each action.

    Raises:
        ValueError: an arm whose states do not tell the frame of its actions.
    """

    episode_task: str
    robot: str = "Panda"
    state: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if self.robot in TURNING:
            raise ValueError(
                f"the actions of {' and '.join(TURNING)} are in a frame that turns with the first joint, which a state "
                f"does not show: give the operator the simulator, or take another arm than {self.robot}"
            )

    @property
    def gripper_pose(self) -> tuple[np.ndarray, np.ndarray]:
        return _pose(self.state[:POSE])

    @property
    def object_pose(self) -> tuple[np.ndarray, np.ndarray]:
        return _pose(self.state[-POSE - 3 : -3])

    @property
    def bin(self) -> np.ndarray:
        return _fixed(self.episode_task, self.robot)[1]

    @property
    def base_rotation(self) -> np.ndarray:
        return _fixed(self.episode_task, self.robot)[0]


@cache
def _fixed(task: str, robot: str) -> tuple[np.ndarray, np.ndarray]:
    """What no episode changes: the base's rotation, and where the can belongs (nowhere for "lift")."""
    env = RobosuiteEnv(task, robot)
    env.reset(seed=0)
    found = env.base_rotation, env.bin if task == "can" else np.zeros(3)
    env.close()
    return found


def _pose(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position (3,) and rotation matrix (3, 3) of a pose (9,); a dream's columns are not quite orthonormal."""
    first, second = values[3:6], values[6:9]
    first = first / max(float(np.linalg.norm(first)), 1e-9)
    second = second - first * float(first @ second)
    second = second / max(float(np.linalg.norm(second)), 1e-9)
    return values[:3], np.stack([first, second, np.cross(first, second)], axis=1)


class Operator:
    """Works at one episode: over the object, down, close, up, and for the can over the bin and open.

    Args:
        env: the simulator or a `StateSight`; poses are read from it.
        proficiency: one of `PROFICIENCIES`.
        rng: of everything that it does by chance.
    """

    def __init__(self, env: Sight, proficiency: str, rng: np.random.Generator) -> None:
        if proficiency not in PROFICIENCIES:
            raise ValueError(f"proficiency: expected one of {list(PROFICIENCIES)}, got {proficiency!r}")
        self.env, self.style, self.rng = env, PROFICIENCIES[proficiency], rng
        self.upright = env.gripper_pose[1]  # kept throughout: both grippers and objects allow it
        self._noise = np.zeros(6)
        self._still = 0
        self._aim = self._draw_aim()
        self._phase = "detour" if rng.random() < self.style.detour else "over"
        self._wait = 0
        self._grasped_at = np.zeros(3)
        self._place = env.gripper_pose[0] + rng.uniform([-0.1, -0.15, -0.05], [0.1, 0.15, 0.1])

    def act(self) -> np.ndarray:
        """The next action (7,) in [-1, 1]."""
        target, fingers = self._target()
        position, rotation = self.env.gripper_pose
        style = self.style
        spread = np.repeat([style.noise, style.twist], 3)
        self._noise = 0.8 * self._noise + 0.6 * spread * self.rng.standard_normal(6)
        if self._still == 0 and self.rng.random() < style.hesitation:
            self._still = int(self.rng.integers(2, 8))
        base = self.env.base_rotation.T
        move = base @ (target - position) / STEP * style.gain
        turn = base @ axis_angle(self.upright @ rotation.T) / TURN * style.gain
        if self._still > 0:
            self._still -= 1
            move, turn = np.zeros(3), np.zeros(3)
        longest = float(np.abs(move).max())
        move = move * min(1.0, style.speed / max(longest, 1e-9)) + self._noise[:3]
        action: np.ndarray = np.clip([*move, *(turn + self._noise[3:]), fingers], -1.0, 1.0).astype(np.float32)
        return action

    def _draw_aim(self) -> np.ndarray:
        beside = self.rng.normal(0.0, self.style.aim, 2)
        return np.array([*beside, self.rng.normal(0.0, self.style.level) if self.style.level else 0.0])

    def _target(self) -> tuple[np.ndarray, float]:
        """Where the gripper is to go, and its fingers; moves on to the next phase where this one is done."""
        position, _ = self.env.gripper_pose
        thing = self.env.object_pose[0] + self._aim
        if self._phase == "detour":
            if np.linalg.norm(position - self._place) < 0.03:
                self._phase = "over"
            return self._place, OPEN
        if self._phase == "over":
            over = thing + [0, 0, self.style.height]
            if np.linalg.norm((position - over)[:2]) < 0.008 + self.style.noise * 0.05 and position[2] - over[2] < 0.02:
                self._phase = "down"
            return over, OPEN
        if self._phase == "down":
            # A can is held a little above its middle: the palm must not touch it.
            goal = thing + [0, 0, 0.0 if self.env.episode_task == "lift" else 0.015]
            if position[2] - goal[2] < 0.008 + self.style.noise * 0.03:
                self._phase, self._wait = "close", 0
            return goal, OPEN
        if self._phase == "close":
            self._wait += 1
            self._grasped_at = position.copy() if self._wait == 1 else self._grasped_at
            if self._wait > 9:
                self._phase = "up"
            return self._grasped_at, CLOSE
        return self._carry(position, thing)

    def _carry(self, position: np.ndarray, thing: np.ndarray) -> tuple[np.ndarray, float]:
        lost = np.linalg.norm((thing - position)[:2]) > 0.05 or position[2] - thing[2] > 0.08
        if lost and self._phase in ("up", "across"):
            self._phase, self._aim = "over", self._draw_aim()
        if self.env.episode_task == "lift":
            return self._grasped_at + [0, 0, 0.2], CLOSE
        place = self.env.bin
        if self._phase == "up":
            high = np.array([*self._grasped_at[:2], place[2] + 0.3])
            if position[2] > high[2] - 0.05:
                self._phase = "across"
            return high, CLOSE
        over = place + [0, 0, 0.3]
        if self._phase == "across":
            if np.linalg.norm((position - over)[:2]) < 0.03:
                self._phase = "lower"
            return over, CLOSE
        low = place + [0, 0, 0.14]
        if self._phase == "lower":
            if position[2] - low[2] < 0.02:
                self._phase, self._wait = "release", 0
            return low, CLOSE
        self._wait += 1
        return (low if self._wait < 5 else over), OPEN


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """(3,) of a rotation matrix, angles below pi."""
    cos = float(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0))
    angle = math.acos(cos)
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return np.zeros(3) if angle < 1e-6 else skew * (angle / max(2 * math.sin(angle), 1e-6))
