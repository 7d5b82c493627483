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

from dreamgym.suites.pusht.contacts import (
    CENTRE,
    CONTACTS,
    DISC,
    EDGE,
    NORMALS,
    RING,
    angle_of,
    error_of,
    gains,
    limit,
    on_ring,
    place,
    pose_of,
    rotate,
    trembling,
    twists,
    wrap,
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
        agent, pose = state[:2].astype(np.float64), pose_of(state)
        if self._phase == "choose":
            self._choose(agent, pose, rng)
        target = self._push(agent, pose) if self._phase == "push" else self._approach(agent, pose)
        return trembling(target, self.style.noise, rng)

    def _choose(self, agent: np.ndarray, pose: np.ndarray, rng: np.random.Generator) -> None:
        """Draws the contact of the next push by what it would gain a step, and the way round."""
        gain, ahead = gains(pose)
        ends = place(pose, CONTACTS + NORMALS * DISC)
        centre = place(pose, CENTRE[None])[0]
        around = np.abs(wrap(angle_of(ends - centre) - angle_of(agent - centre)))
        steps = 4 + around * RING / self.style.speed + ahead / self.style.push_speed
        outside = ((ends < EDGE) | (ends > 512 - EDGE)).any(1)
        score = np.where(outside | (ahead <= 0), -np.inf, gain / steps)
        if not np.isfinite(score).any():
            score = np.where(ahead <= 0, -np.inf, gain / steps)
        weight = np.exp((score / max(float(score.max()), 1e-9) - 1) / max(self.style.temperature, 1e-3))
        chosen = int(rng.choice(len(score), p=weight / weight.sum()))
        self._contact, self._normal = CONTACTS[chosen], NORMALS[chosen]
        way = float(wrap(angle_of(ends[chosen] - centre) - angle_of(agent - centre)))
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
        centre = place(pose, CENTRE[None])[0]
        normal = rotate(pose[2], self._normal[None])[0]
        touch = place(pose, self._contact[None])[0] + normal * (DISC + 2.0)
        gate = on_ring(touch, normal, centre)
        out = agent - centre
        distance = float(np.linalg.norm(out))
        lateral = agent - touch - normal * float((agent - touch) @ normal)
        if np.linalg.norm(lateral) < 6.0 and (agent - touch) @ normal > -4.0:
            if np.linalg.norm(agent - touch) < 5.0:
                self._phase, self._steps = "push", 0
            return agent + limit(touch - agent, 0.7 * speed)
        if distance < RING - 14.0 and self._phase == "retreat" and self._steps < 12:
            return centre + out / max(distance, 1e-6) * (RING + 4.0)
        if self._phase == "retreat":
            self._phase = "round"
        way = float(wrap(angle_of(gate - centre) - angle_of(out)))
        if abs(way) < 0.2:
            return agent + limit(gate - agent, speed)
        if way * self._turn < 0 and abs(way) > 0.5:
            way = self._turn * (2 * math.pi - abs(way))
        angle = angle_of(out) + math.copysign(min(abs(way), speed / RING), way)
        return centre + RING * np.array([math.cos(angle), math.sin(angle)])

    def _push(self, agent: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Along the normal while it brings the pose nearer; slower towards the end."""
        assert self._contact is not None
        self._steps += 1
        error = error_of(pose)
        twist = twists(self._contact[None], self._normal[None])[0]
        unit = twist / np.linalg.norm(twist)
        normal = rotate(pose[2], self._normal[None])[0]
        left = -float(rotate(pose[2], unit[None, :2])[0] @ error[:2] + unit[2] * error[2])
        slid = agent - place(pose, self._contact[None])[0]
        slid = slid - normal * float(slid @ normal)
        if left < 0.6 or self._steps > 40 or np.linalg.norm(slid) > 14.0:
            self._phase = "choose"
            return agent + normal * 6.0
        # The disc lags its target by about two steps; what is left shrinks as the block turns with it.
        ahead = min(2 * self.style.push_speed, 2.0 + 0.8 * left)
        return agent - normal * ahead - slid * 0.5
