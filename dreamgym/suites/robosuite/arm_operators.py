"""The scripted operator of the table that several robots share: lifts an object and puts it down elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dreamgym.suites.robosuite.operators import CLOSE, OPEN, PROFICIENCIES, STEP, TURN, axis_angle

HEIGHT = 0.14  # m above the grasp at which the object is carried
ASIDE = (0.125, 0.16)  # m: how far it is carried
REACH = np.array([[-0.16, 0.14], [-0.24, 0.24]])  # m, of the table's x and y: where it may be put
CLOSING, OPENING = 14, 6  # control steps
GRIP = 0.03  # m below an object's top at which tall objects are held: the palm must not touch them


class ArmOperator:
    """Works at one episode: over the object, down, close, up, across, down, open, up.

    It moves the hand and leaves it to the robot (`ArmsEnv.encode`) which action that is, so that every robot works
    alike. Where the object is lost it begins again.

    Args:
        env: an `ArmsEnv` that has just begun an episode; poses are read from it.
        proficiency: one of `PROFICIENCIES`.
        rng: of everything that it does by chance.
    """

    def __init__(self, env: Any, proficiency: str, rng: np.random.Generator) -> None:
        if proficiency not in PROFICIENCIES:
            raise ValueError(f"proficiency: expected one of {list(PROFICIENCIES)}, got {proficiency!r}")
        self.env, self.style, self.rng = env, PROFICIENCIES[proficiency], rng
        self.upright = env.gripper_pose[1]
        self._noise = np.zeros(6)
        self._still = self._wait = 0
        self._aim = self._draw_aim()
        self._phase = "detour" if rng.random() < self.style.detour else "over"
        self._detour = env.gripper_pose[0] + rng.uniform([-0.1, -0.15, -0.05], [0.1, 0.15, 0.1])
        self._grasped_at = np.zeros(3)
        self._place = self._draw_place()

    def act(self, obs: Any = None) -> np.ndarray:
        """The robot's next action (A,) in [-1, 1]."""
        target, fingers = self._target()
        position, rotation = self.env.gripper_pose
        style = self.style
        self._noise = 0.8 * self._noise + 0.6 * np.repeat([style.noise, style.twist], 3) * self.rng.standard_normal(6)
        if self._still == 0 and self.rng.random() < style.hesitation:
            self._still = int(self.rng.integers(2, 8))
        move = (target - position) / STEP * style.gain
        turn = axis_angle(self.upright @ rotation.T) / TURN * style.gain
        if self._still > 0:
            self._still -= 1
            move, turn = np.zeros(3), np.zeros(3)
        move = move * min(1.0, style.speed / max(float(np.abs(move).max()), 1e-9)) + self._noise[:3]
        found: np.ndarray = self.env.encode(move * STEP, (turn + self._noise[3:]) * TURN, fingers)
        return found

    def _draw_aim(self) -> np.ndarray:
        return np.array([*self.rng.normal(0.0, self.style.aim, 2), self.rng.normal(0.0, self.style.level)])

    def _draw_place(self) -> np.ndarray:
        """(2,): where on the table the object is to be put, m."""
        start = self.env.object_start[:2]
        for _ in range(100):
            angle, far = self.rng.uniform(0, 2 * math.pi), self.rng.uniform(*ASIDE)
            place: np.ndarray = start + far * np.array([math.cos(angle), math.sin(angle)])
            if np.all((place > REACH[:, 0]) & (place < REACH[:, 1])):
                break
        return place

    def _target(self) -> tuple[np.ndarray, float]:
        """Where the hand is to go, and its fingers; moves on to the next phase where this one is done."""
        position, _ = self.env.gripper_pose
        place, rotation = self.env.object_pose
        stands = rotation[2, 2] > 0.9
        thing = place + self._aim + [0, 0, max(0.0, self.env.object_height - GRIP) if stands else 0.0]
        if self._phase in ("detour", "over", "down", "close"):
            return self._grasp(position, thing)
        if self._phase in ("up", "across", "lower") and np.linalg.norm(place - position) > 0.12:
            self._phase, self._aim = "over", self._draw_aim()  # dropped
        return self._carry(position)

    def _grasp(self, position: np.ndarray, thing: np.ndarray) -> tuple[np.ndarray, float]:
        slack = self.style.noise * 0.05
        if self._phase == "detour":
            if np.linalg.norm(position - self._detour) < 0.04:
                self._phase = "over"
            return self._detour, OPEN
        if self._phase == "over":
            over = thing + [0, 0, self.style.height + 0.03]
            if np.linalg.norm((position - over)[:2]) < 0.01 + slack and abs(position[2] - over[2]) < 0.03:
                self._phase = "down"
            return over, OPEN
        if self._phase == "down":
            self._wait += 1
            if position[2] - thing[2] < 0.01 + slack or self._wait > 40:
                self._phase, self._wait = "close", 0
            return thing, OPEN
        self._wait += 1
        self._grasped_at = position.copy() if self._wait == 1 else self._grasped_at
        if self._wait > CLOSING:
            self._phase, self._wait = "up", 0
        return self._grasped_at, CLOSE

    def _carry(self, position: np.ndarray) -> tuple[np.ndarray, float]:
        high = self._grasped_at + [0, 0, HEIGHT]
        over = np.array([*self._place, high[2]])
        if self._phase == "up":
            if position[2] > high[2] - 0.03:
                self._phase = "across"
            return high, CLOSE
        if self._phase == "across":
            if np.linalg.norm((position - over)[:2]) < 0.015:
                self._phase, self._wait = "lower", 0
            return over, CLOSE
        low = np.array([*self._place, self._grasped_at[2] + 0.004])
        self._wait += 1
        if self._phase == "lower":
            if position[2] - low[2] < 0.012 or self._wait > 40:
                self._phase, self._wait = "release", 0
            return low, CLOSE
        return (low if self._wait <= OPENING else over), OPEN
