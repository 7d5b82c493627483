"""Scripted skills for CALVIN's table: registry, choice and execution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dreamgym.sims.calvin.tasks import scene_obs_success
from dreamgym.suites.calvin import skills_blocks as blocks
from dreamgym.suites.calvin import skills_furniture as furniture
from dreamgym.suites.calvin.skills_engine import BLOCKS, Hand, Plan, Style, View, Waypoint

Planner = Callable[[View, np.random.Generator, Style], Plan]


@dataclass(frozen=True)
class Skill:
    """A scripted skill.

    Attributes:
        plan: makes the waypoints.
        applicable: whether the skill makes sense in a state.
        success: (scene_obs at the start, scene_obs now) -> done.
    """

    plan: Planner
    applicable: Callable[[View], bool]
    success: Callable[[np.ndarray, np.ndarray], bool]


# The eight of DiWA, in its order: waypoints, and where the task can be done.
_FURNITURE: dict[str, tuple[Planner, Callable[[View], bool]]] = {
    "open_drawer": (furniture.open_drawer, lambda v: v.drawer < 0.08),
    "close_drawer": (furniture.close_drawer, lambda v: v.drawer > 0.135),
    "move_slider_left": (furniture.move_slider_left, lambda v: v.slider < 0.11),
    "move_slider_right": (furniture.move_slider_right, lambda v: v.slider > 0.17),
    "turn_on_lightbulb": (furniture.turn_on_lightbulb, lambda v: not v.bulb),
    "turn_off_lightbulb": (furniture.turn_off_lightbulb, lambda v: v.bulb),
    "turn_on_led": (furniture.press_button, lambda v: not v.led),
    "turn_off_led": (furniture.press_button, lambda v: v.led),
}
TASKS = tuple(_FURNITURE)

SKILLS: dict[str, Skill] = {
    name: Skill(plan, applicable, partial(scene_obs_success, name)) for name, (plan, applicable) in _FURNITURE.items()
}


def _block_skills(name: str, index: int) -> dict[str, Skill]:
    x, z = 6 + 6 * index, 8 + 6 * index
    return {
        f"push_{name}_block_left": Skill(
            blocks.push_block(name, True),
            lambda v: blocks.on_table(v, name) and v.block(name)[0] > v.layout.table_low[0] + 0.13,
            lambda a, b: a[x] - b[x] > 0.1,
        ),
        f"push_{name}_block_right": Skill(
            blocks.push_block(name, False),
            lambda v: blocks.on_table(v, name) and v.block(name)[0] < v.layout.table_high[0] - 0.13,
            lambda a, b: b[x] - a[x] > 0.1,
        ),
        f"lift_{name}_block": Skill(
            blocks.lift_block(name),
            lambda v: blocks.on_table(v, name),
            lambda a, b: b[z] - a[z] > 0.05,
        ),
    }


for _index, _name in enumerate(BLOCKS):
    SKILLS.update(_block_skills(_name, _index))
BLOCK_SKILLS = tuple(name for name in SKILLS if name not in TASKS)
SKILLS["wander"] = Skill(blocks.wander, lambda v: True, lambda a, b: True)
SKILLS["idle"] = Skill(blocks.idle, lambda v: True, lambda a, b: True)


class SkillRun:
    """One skill under way: waypoints in, actions out.

    Args:
        name: a key of SKILLS.
        hand: the engine, shared by the skills of an episode.
        view: the newest observation, updated by the caller before each `act`.
        rng: draws the variations.
        style: how to go about it.
        max_steps: the run is done after so many actions.

    Attributes:
        success: whether the goal was reached at any step so far (a lifted block may have been put down again).
    """

    def __init__(
        self, name: str, hand: Hand, view: View, rng: np.random.Generator, style: Style, max_steps: int = 110
    ) -> None:
        self.name, self.hand, self.view, self.rng, self.style = name, hand, view, rng, style
        self.skill = SKILLS[name]
        self.start = view.scene_obs.copy()
        self.num_steps = 0
        self.max_steps = max_steps
        self.plan = self.skill.plan(view, rng, style)
        self.waypoint: Waypoint | None = None
        self.waited = self.patience = 0
        self.success = False
        self._advance()

    @property
    def done(self) -> bool:
        """Whether the plan is finished or out of steps."""
        return self.waypoint is None or self.num_steps >= self.max_steps

    def _advance(self) -> None:
        waypoint = next(self.plan, None)
        if waypoint is not None and self.style.jitter:
            # Free-air waypoints have wide tolerances and may stray; contact points hardly.
            spread = self.style.jitter if waypoint.tolerance >= 0.03 else 0.1 * self.style.jitter
            waypoint = replace(waypoint, position=waypoint.position + self.rng.normal(0.0, spread, 3))
        self.waypoint = waypoint
        self.waited = 0
        if waypoint is not None:
            distance = float(np.linalg.norm(waypoint.position - self.hand.reference))
            self.patience = int(1.5 * distance / (self.style.speed * waypoint.speed)) + waypoint.patience + 8

    def act(self) -> np.ndarray:
        """The next action (7,), from the newest observation. Call `settle` after the step."""
        assert self.waypoint is not None
        self.num_steps += 1
        return self.hand.act(self.view, self.waypoint, self.style)

    def settle(self) -> None:
        """Look at the observation after the step and go on to the next waypoint where this one is reached."""
        waypoint = self.waypoint
        self.success = self.success or bool(self.skill.success(self.start, self.view.scene_obs))
        if waypoint is None:
            return
        reached = np.linalg.norm(self.view.tcp - waypoint.position) < waypoint.tolerance
        self.waited += self.hand.arrived(waypoint)
        self.patience -= 1
        # A blocked hand gives up: its reference never arrives, so waiting for that would last to the end of the budget.
        given_up = self.waited > waypoint.patience or self.patience <= 0
        done = reached if waypoint.until is None else waypoint.until(self.view)
        if done or given_up:
            self._advance()
