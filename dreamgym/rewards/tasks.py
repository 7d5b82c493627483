"""DiWA's eight CALVIN tasks as changes of one entry of scene_obs.

`dreamgym.sims.calvin.scene_obs_success` judges recorded episodes, one task at a time; `TaskTable` holds the same rules
in a form that runs on a device, on decoded states, with a different task in each env.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SLIDER, DRAWER, BULB, LED = 0, 1, 4, 5  # entries of scene_obs
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
    "turn_on_lightbulb": TaskChange(BULB, 1.0, 1.0),
    "turn_off_lightbulb": TaskChange(BULB, -1.0, 1.0),
    "turn_on_led": TaskChange(LED, 1.0, 1.0),
    "turn_off_led": TaskChange(LED, -1.0, 1.0),
}
TASKS: tuple[str, ...] = tuple(CHANGES)


def check_tasks(tasks: Sequence[str]) -> tuple[str, ...]:
    """``tasks`` as a tuple; ValueError if it is empty or has a name that is not one of the eight."""
    unknown = [t for t in tasks if t not in CHANGES]
    if unknown or not tasks:
        raise ValueError(f"tasks must be some of {list(TASKS)}, got {list(tasks)}")
    return tuple(tasks)


def startable(task: str, scene_obs: np.ndarray) -> np.ndarray:
    """Whether ``task`` can be begun, bool [...]: undone, with the travel that it needs and `MARGIN` to spare."""
    change = CHANGES[task]
    value = scene_obs[..., change.index]
    if change.is_light:
        return value < 0.5 if change.amount > 0 else value >= 0.5
    room = change.full_range - value if change.amount > 0 else value
    return room >= abs(change.amount) + MARGIN


class TaskTable:
    """The eight rules as tensors, so that every env of a batch may have its own task.

    Attributes:
        index: int64 [N], entry of scene_obs.
        sign: float32 [N], direction of the change.
        amount: float32 [N], size of the change.
        light: bool [N].
    """

    def __init__(self, tasks: Sequence[str], device: torch.device | str = "cpu") -> None:
        changes = [CHANGES[t] for t in check_tasks(tasks)]
        self.index = torch.tensor([c.index for c in changes], device=device)
        self.sign = torch.tensor([1.0 if c.amount > 0 else -1.0 for c in changes], device=device)
        self.amount = torch.tensor([abs(c.amount) for c in changes], device=device)
        self.light = torch.tensor([c.is_light for c in changes], device=device)

    def progress(self, start: Tensor, scene_obs: Tensor, task: Tensor) -> Tensor:
        """Signed distance beyond the threshold of each env's task, [B]: above 0 where it is done.

        Joints: metres of change minus the metres needed. Lights: the value minus 0.5, in the task's direction; -1
        where the light stood in the wanted position from the start, for then there is nothing to do.

        Args:
            start: scene_obs at the start of the episode, [B, 24].
            scene_obs: now, [B, 24].
            task: int64 [B].
        """
        index = self.index[task].unsqueeze(1)
        first, now = start.gather(1, index).squeeze(1), scene_obs.gather(1, index).squeeze(1)
        sign, light = self.sign[task], self.light[task]
        base = torch.where(light, torch.full_like(first, 0.5), first + sign * self.amount[task])
        past = sign * (now - base)
        undone = sign * (first - 0.5) <= 0
        return torch.where(light & ~undone, torch.full_like(past, -1.0), past)
