"""Metaworld's ten tasks of WARPD (Table 4) as a suite."""

from __future__ import annotations

from dreamgym.suites.base import Measure, Suite
from dreamgym.types import ActionSpec

TASKS = (
    "window_open",
    "door_open",
    "drawer_open",
    "dial_turn",
    "faucet_close",
    "button_press",
    "door_unlock",
    "handle_press",
    "plate_slide",
    "reach",
)

SUITE = Suite(
    name="metaworld",
    tasks=TASKS,
    action=ActionSpec((-1.0,) * 4, (1.0,) * 4, hold=(0.0, 0.0, 0.0, -1.0)),
    frame_rate=80.0,
    horizon=150,  # the experts need 91 steps at most
    simulator="dreamgym.sims.metaworld:MetaworldEnv",
    extra="metaworld",
    module="metaworld",
    layouts={"state": (("linear", 39),)},
    measures=(
        Measure("hand", "state", (0, 1, 2), "cm", scale=100.0, moved=0.03),
        Measure("first object", "state", (4, 5, 6), "cm", scale=100.0, moved=0.01),
    ),
)
