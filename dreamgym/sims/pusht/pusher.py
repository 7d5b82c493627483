"""Scripted pushes that bring the T onto its outline, choosing faces and ways round at random.

Without friction a push moves the block along the normal n of the face that it touches, and turns it by (r x n) / c^2
(r from the centre of gravity to the contact, c^2 the moment of inertia over the mass). So every contact is a direction
in the space of poses, and pushing along it until it no longer helps is a line search. The pusher takes, again and
again, a good contact (not always the best: several will do, which makes demonstrations multimodal), goes round the
block to it, either way, and pushes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

GOAL = (256.0, 256.0, math.pi / 4)  # the outline's position and angle
CENTRE = np.array([0.0, 45.0])  # centre of gravity in the block's own frame
ARM_SQUARED = 3000.0  # c^2 in pixels^2: two bodies of 1500 about the origin, mass 1
DISC = 15.0  # radius of the disc
RING = 108.0  # the disc passes the block at this distance from its centre of gravity
EDGE = 17.0  # nearest that the disc comes to the table's edge
# Faces of the T in its own frame: outward normal, and contacts at which the disc touches nothing else.
_BAR, _STEM = 50.0, 110.0
FACES: tuple[tuple[tuple[float, float], tuple[tuple[float, float], ...]], ...] = (
    ((0.0, -1.0), tuple((x, 0.0) for x in np.linspace(-_BAR, _BAR, 11))),
    ((-1.0, 0.0), ((-60.0, 8.0), (-60.0, 15.0), (-60.0, 22.0))),
    ((1.0, 0.0), ((60.0, 8.0), (60.0, 15.0), (60.0, 22.0))),
    ((0.0, 1.0), ((-52.0, 30.0), (-43.0, 30.0), (-35.0, 30.0), (35.0, 30.0), (43.0, 30.0), (52.0, 30.0))),
    ((-1.0, 0.0), tuple((-15.0, y) for y in np.linspace(50, _STEM, 7))),
    ((1.0, 0.0), tuple((15.0, y) for y in np.linspace(50, _STEM, 7))),
    ((0.0, 1.0), ((-10.0, 120.0), (0.0, 120.0), (10.0, 120.0))),
)


@dataclass(frozen=True)
class Style:
    """How a pusher goes about it.

    Attributes:
        temperature: of the choice among contacts, as a share of what the best one gains a step; 0 takes the best.
        speed: pixels a step while going round.
        push_speed: pixels a step while pushing.
        noise: standard deviation of the target in pixels.
    """

    temperature: float = 0.15
    speed: float = 34.0
    push_speed: float = 12.0
    noise: float = 0.5


class Pusher:
    """Pushes until the block lies on its outline. Call `act` once a step.

    Args:
        style: how.
    """

    def __init__(self, style: Style | None = None) -> None:
        self.style = style or Style()
        self._contact: np.ndarray | None = None  # in the block's frame
        self._normal = np.zeros(2)
        self._phase = "choose"
        self._turn = 1.0
        self._steps = 0

    def act(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The disc's next target (2,) in pixels for ``state`` (6,) of `PushTEnv`."""
        agent, pose = state[:2].astype(np.float64), _pose(state)
        if self._phase == "choose":
            self._choose(agent, pose, rng)
        target = self._push(agent, pose) if self._phase == "push" else self._approach(agent, pose)
        target = target + self.style.noise * rng.standard_normal(2)
        clipped: np.ndarray = np.clip(target, EDGE, 512 - EDGE).astype(np.float32)
        return clipped

    def _choose(self, agent: np.ndarray, pose: np.ndarray, rng: np.random.Generator) -> None:
        """Draws the contact of the next push by what it would gain a step, and the way round."""
        error = _error(pose)
        contacts, normals = _contacts()
        twist = _twists(contacts, normals)
        unit = twist / np.linalg.norm(twist, axis=1, keepdims=True)
        world = _rotate(pose[2], unit[:, :2])
        along = -(world @ error[:2] + unit[:, 2] * error[2])
        size = float(np.linalg.norm(error))
        gain = size - np.sqrt(np.maximum(size**2 - np.maximum(along, 0.0) ** 2, 0.0))
        place = _place(pose, contacts - normals * -DISC)
        centre = _place(pose, CENTRE[None])[0]
        around = np.abs(_wrap(_angle(place - centre) - _angle(agent - centre)))
        steps = 4 + around * RING / self.style.speed + np.maximum(along, 0) / self.style.push_speed
        outside = ((place < EDGE) | (place > 512 - EDGE)).any(1)
        score = np.where(outside | (along <= 0), -np.inf, gain / steps)
        if not np.isfinite(score).any():
            score = np.where(along <= 0, -np.inf, gain / steps)
        weight = np.exp((score / max(float(score.max()), 1e-9) - 1) / max(self.style.temperature, 1e-3))
        chosen = int(rng.choice(len(score), p=weight / weight.sum()))
        self._contact, self._normal = contacts[chosen], normals[chosen]
        way = float(_wrap(_angle(place[chosen] - centre) - _angle(agent - centre)))
        # Either way round, the shorter one more often the shorter it is.
        longer = 0.5 * min(1.0, abs(way) / (0.7 * math.pi)) ** 4
        self._turn = math.copysign(1.0, way) * (-1.0 if rng.random() < longer else 1.0)
        self._phase, self._steps = "retreat", 0

    def _approach(self, agent: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Out to the ring, round it, and in along the face's normal."""
        assert self._contact is not None
        self._steps += 1
        if self._steps > 60:  # something is in the way: another contact
            self._phase = "choose"
        speed = self.style.speed
        centre = _place(pose, CENTRE[None])[0]
        normal = _rotate(pose[2], self._normal[None])[0]
        touch = _place(pose, self._contact[None])[0] + normal * (DISC + 2.0)
        gate = _on_ring(touch, normal, centre)
        out = agent - centre
        distance = float(np.linalg.norm(out))
        lateral = agent - touch - normal * float((agent - touch) @ normal)
        if np.linalg.norm(lateral) < 6.0 and (agent - touch) @ normal > -4.0:
            if np.linalg.norm(agent - touch) < 5.0:
                self._phase, self._steps = "push", 0
            return agent + _limit(touch - agent, 0.7 * speed)
        if distance < RING - 14.0 and self._phase == "retreat" and self._steps < 12:
            return centre + out / max(distance, 1e-6) * (RING + 4.0)
        if self._phase == "retreat":
            self._phase = "round"
        way = float(_wrap(_angle(gate - centre) - _angle(out)))
        if abs(way) < 0.2:
            return agent + _limit(gate - agent, speed)
        if way * self._turn < 0 and abs(way) > 0.5:
            way = self._turn * (2 * math.pi - abs(way))
        angle = _angle(out) + math.copysign(min(abs(way), speed / RING), way)
        return centre + RING * np.array([math.cos(angle), math.sin(angle)])

    def _push(self, agent: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Along the normal while it brings the pose nearer; slower towards the end."""
        assert self._contact is not None
        self._steps += 1
        error = _error(pose)
        twist = _twists(self._contact[None], self._normal[None])[0]
        unit = twist / np.linalg.norm(twist)
        normal = _rotate(pose[2], self._normal[None])[0]
        left = -float(_rotate(pose[2], unit[None, :2])[0] @ error[:2] + unit[2] * error[2])
        slid = agent - _place(pose, self._contact[None])[0]
        slid = slid - normal * float(slid @ normal)
        if left < 0.6 or self._steps > 40 or np.linalg.norm(slid) > 14.0:
            self._phase = "choose"
            return agent + normal * 6.0
        # The disc lags its target by about two steps; what is left shrinks as the block turns with it.
        ahead = min(2 * self.style.push_speed, 2.0 + 0.8 * left)
        return agent - normal * ahead - slid * 0.5


def _pose(state: np.ndarray) -> np.ndarray:
    """Position and angle (3,) of the block."""
    return np.array([state[2], state[3], math.atan2(state[5], state[4])], np.float64)


def _rotate(angle: float, vectors: np.ndarray) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return vectors @ np.array([[cos, sin], [-sin, cos]])


def _place(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, 2] of the block's frame on the table."""
    return _rotate(pose[2], points) + pose[:2]


def _error(pose: np.ndarray) -> np.ndarray:
    """(3,): how far the centre of gravity is from its goal, and the angle times c; all in pixels."""
    goal = np.array(GOAL)
    where = _place(pose, CENTRE[None])[0] - _place(goal, CENTRE[None])[0]
    return np.array([*where, _wrap(pose[2] - goal[2]) * math.sqrt(ARM_SQUARED)])


def _contacts() -> tuple[np.ndarray, np.ndarray]:
    """All contacts [N, 2] and the outward normals there [N, 2], in the block's frame."""
    contacts = [p for _, points in FACES for p in points]
    normals = [n for n, points in FACES for _ in points]
    return np.array(contacts), np.array(normals)


def _twists(contacts: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """[N, 3]: how a push at each contact moves the block, position in the block's frame and angle times c."""
    arm, force = contacts - CENTRE, -normals
    turn = (arm[:, 0] * force[:, 1] - arm[:, 1] * force[:, 0]) / math.sqrt(ARM_SQUARED)
    return np.concatenate([force, turn[:, None]], 1)


def _on_ring(touch: np.ndarray, normal: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where the ray from ``touch`` along ``normal`` leaves the ring."""
    from_centre = touch - centre
    b = float(from_centre @ normal)
    reach = -b + math.sqrt(max(b * b - float(from_centre @ from_centre) + RING**2, 0.0))
    out: np.ndarray = touch + normal * max(reach, 0.0)
    return out


def _angle(vector: np.ndarray) -> np.ndarray:
    return np.arctan2(vector[..., 1], vector[..., 0])


def _wrap(angle: np.ndarray | float) -> np.ndarray:
    return (np.asarray(angle) + math.pi) % (2 * math.pi) - math.pi


def _limit(vector: np.ndarray, length: float) -> np.ndarray:
    size = float(np.linalg.norm(vector))
    return vector if size <= length else vector * (length / size)
