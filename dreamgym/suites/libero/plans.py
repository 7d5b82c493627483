"""From the facts of a goal to skills, one after the other, looking anew after each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dreamgym.sims.libero.problem import Fact
from dreamgym.suites.libero import skills
from dreamgym.suites.libero.grasps import Grasps
from dreamgym.suites.libero.sight import Sight
from dreamgym.suites.libero.skills import Habit, Skill

DRAGGED = ("plate",)  # kinds too flat to be lifted


def next_fact(sight: Sight) -> Fact | None:
    """What is to be done now: the first fact in a sensible order that does not hold yet; None where all do.

    Things are put away before what they are in is shut, and what others shall stand on is put down first.
    """
    facts = sorted(sight.goal, key=lambda fact: _rank(fact, sight.goal))
    return next((fact for fact in facts if not sight.holds(fact)), None)


def _rank(fact: Fact, goal: tuple[Fact, ...]) -> int:
    if fact[0] in ("turnon", "turnoff", "open"):
        return 0
    if fact[0] == "close":
        # Shut last, unless nothing is to go inside: then it may be in the way.
        inside = any(other[0] == "in" and other[2].startswith(fact[1]) for other in goal)
        return 4 if inside else 1
    carried = {other[1] for other in goal if len(other) == 3}
    return 3 if fact[2] in carried else 2


def skill(sight: Sight, fact: Fact, grasps: Grasps, habit: Habit) -> Skill:
    """What makes a fact hold."""
    predicate, name = fact[0], fact[1]

    def done() -> bool:
        return sight.holds(fact)

    if predicate in ("open", "close", "turnon", "turnoff"):
        yield from _move_joint(sight, predicate, name, done, grasps, habit)
        return
    region = fact[2]
    opened = ("open", region)
    if predicate == "in" and _can_open(sight, region) and not sight.holds(opened):
        yield from _move_joint(sight, "open", region, lambda: sight.holds(opened), grasps, habit)
    if sight.kind(name) in DRAGGED:
        yield from skills.drag(sight, name, lambda: sight.pose(region)[0], done, habit)
        return
    yield from skills.pick(sight, name, grasps, habit)
    yield from skills.place(sight, name, _spot(sight, region), habit)


def _can_open(sight: Sight, region: str) -> bool:
    try:
        sight.holds(("open", region))
    except ValueError:
        return False
    return bool(sight.joints(region))


def _spot(sight: Sight, target: str) -> Callable[[], np.ndarray]:
    """Where the origin of a thing is put: the middle of a region, or of a thing."""
    return lambda: sight.pose(target)[0]


def _move_joint(
    sight: Sight, predicate: str, name: str, done: Callable[[], bool], grasps: Grasps, habit: Habit
) -> Skill:
    for joint in sight.joints(name):
        key = sight.joint_name(joint)
        if key in grasps.turns:
            yield from skills.twist(sight, joint, done, grasps, habit, 1.0 if predicate == "turnon" else -1.0)
        elif predicate == "open":
            yield from skills.pull(sight, joint, done, grasps, habit, -1.0)
        else:
            yield from skills.push(sight, joint, done, grasps, habit, 1.0)
