"""The eight CALVIN tasks of DiWA as changes of one entry of scene_obs: when they can start, and when they are done.

`dreamgym.sims.calvin` judges all 34 tasks of CALVIN from the full simulator state. Only these eight have scripted
skills here and follow from scene_obs alone, which is what recordings hold and world models decode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.sims.calvin.tasks import DRAWER, LED, LIGHTBULB, SLIDER, scene_obs_success
from dreamgym.suites.base import Rows

SCENE = "scene_obs"
SLIDER_RANGE, DRAWER_RANGE = 0.28, 0.22  # metres
MARGIN = 0.015  # metres of travel that a start leaves beyond what the task needs


@dataclass(frozen=True)
class TaskChange:
    """A task: entry ``index`` of scene_obs changes by ``amount`` since the start of the episode.

    Attributes:
        index: entry of scene_obs.
        amount: signed change that counts as done: metres for joints; +1 or -1 for lights.
        full_range: the joint's travel in metres, or 1 for a light.
    """

    index: int
    amount: float
    full_range: float

    @property
    def is_light(self) -> bool:
        """Whether the entry is a light, 0 or 1."""
        return self.full_range == 1.0


CHANGES: dict[str, TaskChange] = {
    "open_drawer": TaskChange(DRAWER, 0.12, DRAWER_RANGE),
    "close_drawer": TaskChange(DRAWER, -0.12, DRAWER_RANGE),
    "move_slider_left": TaskChange(SLIDER, 0.15, SLIDER_RANGE),
    "move_slider_right": TaskChange(SLIDER, -0.15, SLIDER_RANGE),
    "turn_on_lightbulb": TaskChange(LIGHTBULB, 1.0, 1.0),
    "turn_off_lightbulb": TaskChange(LIGHTBULB, -1.0, 1.0),
    "turn_on_led": TaskChange(LED, 1.0, 1.0),
    "turn_off_led": TaskChange(LED, -1.0, 1.0),
}
TASKS: tuple[str, ...] = tuple(CHANGES)


def startable(task: str, rows: Rows) -> np.ndarray:
    """Whether ``task`` can begin, bool [...]: it is undone, and the joint has the travel it needs and `MARGIN` more.

    Args:
        task: one of `TASKS`.
        rows: recorded sensors with "scene_obs" [..., 24].
    """
    change = CHANGES[task]
    value = rows[SCENE][..., change.index]
    if change.is_light:
        return value < 0.5 if change.amount > 0 else value >= 0.5
    room = change.full_range - value if change.amount > 0 else value
    return room >= abs(change.amount) + MARGIN


def succeeded(task: str, start: Rows, now: Rows) -> np.ndarray:
    """The simulator's oracle on recorded "scene_obs" [..., 24], bool [...]."""
    done: np.ndarray = scene_obs_success(task, start[SCENE], now[SCENE])
    return done


class Rules:
    """The eight tasks as tensors, so that every env of a batch may have its own task; see `TaskRules`.

    Attributes:
        index: int64 [N], entry of scene_obs.
        sign: float32 [N], direction of the change.
        amount: float32 [N], size of the change.
        light: bool [N].

    Raises:
        ValueError: no task, or one that is not of the eight.
    """

    keys: tuple[str, ...] = (SCENE,)

    def __init__(self, tasks: Sequence[str], device: torch.device | str = "cpu") -> None:
        unknown = [t for t in tasks if t not in CHANGES]
        if unknown or not tasks:
            raise ValueError(f"tasks must be some of {list(TASKS)}, got {list(tasks)}")
        changes = [CHANGES[t] for t in tasks]
        self.index = torch.tensor([c.index for c in changes], device=device)
        self.sign = torch.tensor([1.0 if c.amount > 0 else -1.0 for c in changes], device=device)
        self.amount = torch.tensor([abs(c.amount) for c in changes], device=device)
        self.light = torch.tensor([c.is_light for c in changes], device=device)

    def progress(self, start: Mapping[str, Tensor], now: Mapping[str, Tensor], task: Tensor) -> Tensor:
        """Signed distance beyond the threshold of each env's task, [B]: above 0 where it is done.

        Joints: metres of change minus the metres needed. Lights: the value minus 0.5, in the task's direction; -1
        where the light stood in the wanted position from the start, for then there is nothing to do.

        Args:
            start: "scene_obs" [B, 24] at the start of the episode.
            now: the same now.
            task: int64 [B], indices into the tasks given.
        """
        index = self.index[task].unsqueeze(1)
        first, value = start[SCENE].gather(1, index).squeeze(1), now[SCENE].gather(1, index).squeeze(1)
        sign, light = self.sign[task], self.light[task]
        base = torch.where(light, torch.full_like(first, 0.5), first + sign * self.amount[task])
        past = sign * (value - base)
        undone = sign * (first - 0.5) <= 0
        return torch.where(light & ~undone, torch.full_like(past, -1.0), past)
