"""PushT as a suite: a disc pushes a T onto its outline."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dreamgym.suites.base import Act, Measure, Sensors, Suite
from dreamgym.suites.pusht.coverage import CoverageShaping
from dreamgym.suites.pusht.habits import Habits, HabitualPusher
from dreamgym.suites.pusht.pusher import Pusher
from dreamgym.suites.scripted import RandomWalk, demonstrations
from dreamgym.types import ActionSpec

DISC, BLOCK, TURN = (0, 1), (2, 3), (4, 5)  # entries of the state: x, y; x, y; cosine, sine


def planned(env: Any, rng: np.random.Generator) -> Act:
    """A pusher that plans a push at a time."""
    pusher = Pusher()
    return lambda obs: pusher.act(obs["state"], rng)


def habitual(env: Any, rng: np.random.Generator) -> Act:
    """A pusher without plans that a state does not show."""
    pusher = HabitualPusher(rng)
    return lambda obs: pusher.act(obs["state"], rng)


class Clumsy:
    """The habitual pusher with more noise, and with errors in the block's position and angle that it acts on."""

    SPREAD = np.array([8.0, 8.0, 0.12])  # pixels and radians, times 0 to 2 by turns

    def __init__(self, env: Any, rng: np.random.Generator) -> None:
        self.pusher = HabitualPusher(rng, Habits(noise=float(rng.uniform(4.0, 16.0))))
        self.rng, self._error, self._left = rng, np.zeros(3), 0

    def __call__(self, obs: Sensors) -> np.ndarray:
        """An action (2,)."""
        if self._left == 0:
            self._error = self.SPREAD * self.rng.uniform(0.0, 2.0) * self.rng.standard_normal(3)
            self._left = int(self.rng.integers(20, 80))
        self._left -= 1
        seen = obs["state"].astype(np.float64)
        cosine, sine = TURN
        turn = np.arctan2(seen[sine], seen[cosine]) + self._error[2]
        seen[list(BLOCK)] += self._error[:2]
        seen[list(TURN)] = np.cos(turn), np.sin(turn)
        return self.pusher.act(seen, self.rng)


SUITE = Suite(
    name="pusht",
    tasks=("push_t",),
    action=ActionSpec((0.0,) * 2, (512.0,) * 2),
    frame_rate=10.0,
    horizon=300,
    simulator="dreamgym.sims.pusht:make_env",
    extra="pusht",
    module="gym_pusht",
    licence="gym-pusht Apache-2.0, pymunk MIT",
    layouts={"state": (("linear", 6),)},
    measures=(
        Measure("disc", "state", DISC, "px", moved=15.0),
        Measure("block", "state", BLOCK, "px", moved=5.0),
        Measure("block's angle", "state", TURN, "degrees", scale=180 / math.pi, kind="angle", moved=0.05),
    ),
    # Actions are places to go to, of a robot in a plane that pushes a body there.
    hints={"state": {"position": DISC, "body": BLOCK + TURN}},
    shaping=CoverageShaping,
    operators={"pusher": planned, "habitual": habitual, "clumsy": Clumsy, "random": RandomWalk},
    collectors={"demonstrations": demonstrations},
    draws=("state",),
    cameras={"rgb_static": "static"},
    axes=("x", "y"),
    pointer=(0, 1),
    settings={"cameras": tuple[str, ...], "image_size": int, "success_coverage": float},
)
