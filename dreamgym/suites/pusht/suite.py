"""PushT as a suite: a disc pushes a T onto its outline."""

from __future__ import annotations

import math

from dreamgym.suites.base import Measure, Suite
from dreamgym.types import ActionSpec

DISC, BLOCK, TURN = (0, 1), (2, 3), (4, 5)  # entries of the state: x, y; x, y; cosine, sine

SUITE = Suite(
    name="pusht",
    tasks=("push_t",),
    action=ActionSpec((0.0,) * 2, (512.0,) * 2),
    frame_rate=10.0,
    horizon=300,
    simulator="dreamgym.sims.pusht:make_env",
    extra="pusht",
    module="gym_pusht",
    layouts={"state": (("linear", 6),)},
    measures=(
        Measure("disc", "state", DISC, "px", moved=15.0),
        Measure("block", "state", BLOCK, "px", moved=5.0),
        Measure("block's angle", "state", TURN, "degrees", scale=180 / math.pi, kind="angle", moved=0.05),
    ),
    # Actions are places to go to, of a robot in a plane that pushes a body there.
    hints={"state": {"position": DISC, "body": BLOCK + TURN}},
)
