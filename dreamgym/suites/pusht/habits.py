"""A scripted pusher whose action is a function of the state and of preferences that are drawn once.

`Pusher` draws a contact and keeps to it until pushing there helps no longer. The state does not show that plan, so an
imitator that sees states alone has to guess it. `HabitualPusher` has no plan: at every step it takes the contact with
the largest gain a step, weighted by its preference for that face, and the way round that its preference for a side
makes shorter. From one state different pushers go different ways, each of them consistently.
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
    FACE,
    FACES,
    NORMALS,
    RING,
    angle_of,
    gains,
    limit,
    on_ring,
    place,
    pose_of,
    rotate,
    trembling,
    wrap,
)

TURNED = 0.3  # a push that brings the pose nearer by less (pixels) is none
TOUCHING = 5.0  # pixels between disc and face at which the push begins


@dataclass(frozen=True)
class Habits:
    """What pushers have in common, and how far their tastes differ.

    Attributes:
        taste: standard deviation of the logarithm of how much a pusher likes a face.
        handedness: how much longer the way round against a pusher's hand seems to it, as a share.
        speed: pixels a step while going round.
        push_speed: pixels a step while pushing.
        corridor: pixels off a contact's normal within which the disc goes straight to it.
        noise: standard deviation of the target in pixels: noise shows imitators how the pusher recovers.
    """

    taste: float = 0.5
    handedness: float = 0.6
    speed: float = 34.0
    push_speed: float = 14.0
    corridor: float = 20.0
    noise: float = 6.0


class HabitualPusher:
    """Pushes until the block lies on its outline, by its own habits. Call `act` once a step.

    Args:
        rng: draws the tastes.
        habits: of which kind.
    """

    def __init__(self, rng: np.random.Generator, habits: Habits | None = None) -> None:
        self.habits = habits or Habits()
        self.taste = np.exp(self.habits.taste * rng.standard_normal(len(FACES)))[FACE]
        self.hand = 1.0 if rng.random() < 0.5 else -1.0

    def act(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The disc's next target (2,) in pixels for ``state`` (6,) of `PushTEnv`."""
        disc, pose = state[:2].astype(np.float64), pose_of(state)
        return trembling(self._target(disc, pose), self.habits.noise, rng)

    def _target(self, disc: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Where to go, without noise."""
        habits = self.habits
        normals = rotate(pose[2], NORMALS)
        touch = place(pose, CONTACTS) + normals * (DISC + 2.0)  # the disc's centre when it has arrived
        centre = place(pose, CENTRE[None])[0]
        outward = disc - centre
        distance = float(np.linalg.norm(outward))
        depth = ((disc - touch) * normals).sum(1)
        aside = disc - touch - normals * depth[:, None]
        straight = (np.linalg.norm(aside, axis=1) < habits.corridor) & (depth > -TOUCHING) & (depth < RING)
        gates = on_ring(touch, normals, centre)
        way, path = self._way(angle_of(gates - centre) - angle_of(outward))
        around = 4 + (max(RING - distance, 0.0) + path * RING) / habits.speed
        gain, ahead = gains(pose)
        steps = 1 + ahead / habits.push_speed
        steps = steps + np.where(straight, np.maximum(depth, 0.0) / (0.7 * habits.speed), around)
        outside = ((touch < EDGE) | (touch > 512 - EDGE)).any(1)
        score = np.where(ahead > TURNED, gain / steps * self.taste * np.where(outside, 0.05, 1.0), -np.inf)
        best = int(np.argmax(score))
        if straight[best]:
            if depth[best] < TOUCHING:
                # The disc lags its target by about two steps; what is left shrinks as the block turns with it.
                push = min(2 * habits.push_speed, 2.0 + 0.8 * float(ahead[best]))
                return disc - normals[best] * push - aside[best] * 0.5
            return disc + limit(touch[best] - disc, 0.7 * habits.speed)
        if distance < RING - 10.0:
            return disc + limit(outward / max(distance, 1e-6) * (RING + 4.0 - distance), habits.speed)
        if abs(way[best]) < 0.2:
            return disc + limit(gates[best] - disc, habits.speed)
        angle = float(angle_of(outward)) + math.copysign(min(abs(way[best]), habits.speed / RING), way[best])
        return centre + RING * np.array([math.cos(angle), math.sin(angle)])

    def _way(self, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signed angles [N] to go round by, and how long they seem, for gates that lie ``turn`` [N] away."""
        short = wrap(turn)
        long = short - 2 * math.pi * np.where(short >= 0, 1.0, -1.0)
        seems = [
            np.abs(a) * np.where(np.sign(a) == self.hand, 1.0, 1.0 + self.habits.handedness) for a in (short, long)
        ]
        return np.where(seems[0] <= seems[1], short, long), np.minimum(*seems)
