"""Skills: generators of where the hand is to be, step by step, with feedback on the measured poses."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from dreamgym.suites.libero.grasps import Grasp, Grasps, Pose, rotation_matrix, rotation_vector
from dreamgym.suites.libero.sight import Sight

OPEN, CLOSE = -1.0, 1.0
DOWN = np.array([0.0, 0.0, 1.0])
FINGER_TIP = 0.01  # m from the point between the finger tips to their ends
DRAG = 0.03  # m by which the hand is ahead of where it is when it drags


@dataclass(frozen=True)
class Target:
    """Where the hand is to be.

    Attributes:
        position: (3,) m, of the point between the finger tips.
        rotation: (3, 3).
        fingers: `OPEN` or `CLOSE`.
        speed: at most this share of the largest action.
    """

    position: np.ndarray
    rotation: np.ndarray
    fingers: float
    speed: float = 1.0


Skill = Generator[Target, None, None]


class SkillFailed(Exception):
    """A skill has come to nothing; the operator looks anew and may try again."""


@dataclass
class Habit:
    """How a skill is done this time.

    Attributes:
        rng: draws the way.
        aim: (3,) m, error in where the thing is held.
        height: m before a thing at which the approach ends.
        variety: how much chance decides between ways of holding, in the unit of their costs.
        tried: how often each way of holding has failed, by (thing, index).
    """

    rng: np.random.Generator
    aim: np.ndarray
    height: float
    variety: float
    tried: dict[tuple[str, int], int]


def reach(
    sight: Sight,
    target: Callable[[], Pose],
    fingers: float,
    *,
    tolerance: float = 0.01,
    turn: float = 0.12,
    speed: float = 1.0,
    patience: int = 80,
) -> Generator[Target, None, bool]:
    """Goes to a place that may move; ends there, or where the hand comes no nearer for 12 steps.

    Returns:
        Whether it got there: within ``tolerance`` m and ``turn`` rad.
    """
    best, idle = np.inf, 0
    for _ in range(patience):
        position, rotation = target()
        hand = sight.hand
        away = float(np.linalg.norm(position - hand[0]))
        turned = float(np.linalg.norm(rotation_vector(rotation @ hand[1].T)))
        if away < tolerance and turned < turn:
            return True
        left = away + 0.1 * turned
        idle = 0 if left < best - 0.001 else idle + 1
        best = min(best, left)
        if idle > 12:
            return False
        yield Target(position, rotation, fingers, speed)
    return False


def hold(sight: Sight, fingers: float, steps: int) -> Skill:
    """Stays where it is."""
    position, rotation = sight.hand
    for _ in range(steps):
        yield Target(position, rotation, fingers)


def travel(
    sight: Sight, goal: Callable[[], Pose], fingers: float, held: str | None = None, clearance: float = 0.03
) -> Generator[Target, None, bool]:
    """Goes to a place above everything on its way: up, across, and down to it."""
    place = goal()[0]
    start = sight.hand[0]
    top = sight.highest(start, place, () if held is None else (held,)) + clearance

    def height() -> float:  # what is held may turn in the fingers
        below = 0.0 if held is None else float(sight.hand[0][2] - sight.extent(held)[0][2])
        return max(top + max(FINGER_TIP, below), float(place[2]))

    if np.linalg.norm((place - start)[:2]) > 0.03:
        if start[2] < height() - 0.02:
            turned = sight.hand[1]
            yield from reach(
                sight, lambda: (np.array([*start[:2], height()]), turned), fingers, tolerance=0.03, turn=4.0
            )

        def over() -> Pose:
            position, rotation = goal()
            return np.array([*position[:2], max(height(), position[2])]), rotation

        yield from reach(sight, over, fingers, tolerance=0.025, turn=0.15)
    return (yield from reach(sight, goal, fingers, tolerance=0.015, turn=0.12))


def choose(sight: Sight, name: str, frame: Pose, ways: Sequence[Grasp], without: tuple[str, ...], habit: Habit) -> int:
    """The index of the pose, among all of ``ways``, that turns the hand least and keeps it clear of other things."""
    hands = [(frame[0] + frame[1] @ point, frame[1] @ rotation) for way in ways for point, rotation in way.poses()]
    costs = []
    for index, (point, rotation) in enumerate(hands):
        turned = float(np.linalg.norm(rotation_vector(rotation @ sight.home.T)))
        far = float(np.linalg.norm(point[:2] - sight.hand[0][:2]))
        cost = 0.3 * turned + 1.0 * max(0.0, turned - 1.7) + far + habit.variety * habit.rng.random()
        costs.append(cost + 0.5 * habit.tried.get((name, index), 0))
    best, least = 0, np.inf
    for index in np.argsort(costs):
        if costs[index] >= least:
            break
        cost = costs[index] + 200 * _crowded(sight, hands[index], without)
        if cost < least:
            best, least = int(index), cost
    return best


def _crowded(sight: Sight, hand: Pose, without: tuple[str, ...]) -> float:
    """By how many m a hand, and one on its way there, come too near to anything."""
    ways = [sight.clearance((hand[0] - back * hand[1][:, 2], hand[1]), without) for back in (0.0, 0.06, 0.12)]
    return max(0.0, 0.006 - ways[0]) + max(0.0, 0.006 - min(ways[1:]))


def pick(sight: Sight, name: str, grasps: Grasps, habit: Habit) -> Skill:
    """Takes a thing and lifts it.

    Raises:
        SkillFailed: it is not in the hand afterwards.
        ValueError: nobody says how a thing of its kind is held.
    """
    kind = sight.kind(name)
    if kind not in grasps.things:
        raise ValueError(f"no grasp is known of {kind!r} ({name}): add one to a file for read_grasps")
    ways = grasps.things[kind]
    index = choose(sight, name, sight.pose(name), ways, (name,), habit)
    point, turned = [pose for way in ways for pose in way.poses()][index]
    turned = _righted(sight.pose(name)[1] @ turned, sight.pose(name)[1])
    point = point + habit.aim

    def at(back: float) -> Callable[[], Pose]:
        def pose() -> Pose:
            position, frame = sight.pose(name)
            rotation = frame @ turned
            return position + frame @ point - back * rotation[:, 2], rotation

        return pose

    yield from travel(sight, at(habit.height), OPEN)
    before = sight.pose(name)[0][2]
    yield from reach(sight, at(0.0), OPEN, tolerance=0.006, turn=0.1, speed=0.6, patience=50)
    yield from _grip(sight)
    yield from _lift(sight, name)
    if sight.pose(name)[0][2] < before + 0.03 or not sight.is_gripped(name):
        habit.tried[name, index] = habit.tried.get((name, index), 0) + 1
        yield from hold(sight, OPEN, 6)
        raise SkillFailed(f"{name} slipped")


def _lift(sight: Sight, name: str) -> Skill:
    """Up with what has been gripped, first out from under what hangs over it."""
    start, rotation = sight.hand
    aside = np.array([*sight.overhang(name), 0.0])
    if aside.any():
        free = start + aside + 0.02 * DOWN
        yield from reach(sight, lambda: (start + 0.02 * DOWN, rotation), CLOSE, tolerance=0.01, patience=12)
        yield from reach(sight, lambda: (free, rotation), CLOSE, tolerance=0.015, patience=25)
    up = start + aside + 0.07 * DOWN
    yield from reach(sight, lambda: (up, rotation), CLOSE, tolerance=0.02, patience=25)


def _righted(world: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A hand's rotation in a frame, with the hand upright in the world where it nearly is."""
    if world[2, 2] > -0.9:
        return frame.T @ world
    closing = np.array([*world[:2, 0], 0.0])
    closing /= np.linalg.norm(closing)
    return frame.T @ np.stack([closing, np.cross(-DOWN, closing), -DOWN], axis=1)


def _grip(sight: Sight, steps: int = 14) -> Skill:
    """Closes until the fingers stand still."""
    position, rotation = sight.hand
    last = np.inf
    for step in range(steps):
        yield Target(position, rotation, CLOSE)
        if step > 5 and abs(sight.opening - last) < 0.0005:
            return
        last = sight.opening


def place(
    sight: Sight, name: str, goal: Callable[[], np.ndarray], habit: Habit, without: tuple[str, ...] = ()
) -> Skill:
    """Puts a held thing down with its origin over ``goal()`` (3,), and lets it go where it first touches something.

    Raises:
        SkillFailed: it fell on the way.
    """
    rotation = sight.hand[1]

    def over(height: float) -> Callable[[], Pose]:
        def pose() -> Pose:
            hand, target = sight.hand[0], goal()
            offset = hand - sight.pose(name)[0]
            return np.array([*(target + offset)[:2], max(target[2] + offset[2], hand[2] - 1.0) + height]), rotation

        return pose

    yield from travel(sight, over(0.06), CLOSE, name)
    _check_held(sight, name)
    yield from reach(sight, over(0.05), CLOSE, tolerance=0.008, patience=30)
    yield from _lower(sight, name, goal, rotation, without)
    yield from hold(sight, OPEN, 7)
    start = sight.hand[0]
    away = start + (0.09 + 0.03 * habit.rng.random()) * DOWN
    yield from reach(sight, lambda: (away, rotation), OPEN, tolerance=0.03, patience=20)


def _lower(
    sight: Sight, name: str, goal: Callable[[], np.ndarray], rotation: np.ndarray, without: tuple[str, ...]
) -> Skill:
    """Down until the thing touches something, stands at its goal's height, or the hand would touch something."""
    for _ in range(60):
        _check_held(sight, name)
        hand, thing, target = sight.hand[0], sight.pose(name)[0], goal()
        if sight.touches_world(name) or thing[2] < target[2] - 0.02:
            return
        if sight.clearance((hand - 0.004 * DOWN, rotation), (name, *without)) < 0.004:
            return
        aside = (target - thing)[:2]
        yield Target(np.array([*(hand[:2] + aside), hand[2] - 0.025]), rotation, CLOSE, 0.5)


def _check_held(sight: Sight, name: str) -> None:
    if not sight.is_gripped(name):
        raise SkillFailed(f"{name} fell")


def pull(sight: Sight, joint: int, done: Callable[[], bool], grasps: Grasps, habit: Habit, sign: float) -> Skill:
    """Holds a handle and moves it along its joint in the direction ``sign`` until ``done``.

    Raises:
        SkillFailed: the hand slipped off.
        ValueError: nobody says how the handle is held.
    """
    key = sight.joint_name(joint)
    if key not in grasps.pulls:
        raise ValueError(f"no way to pull the {key[1]} of {key[0]!r} is known: add one to a file for read_grasps")
    at = _on_joint(sight, joint, grasps.pulls[key], habit)
    yield from travel(sight, lambda: at(0.08), OPEN)
    yield from reach(sight, lambda: at(0.0), OPEN, tolerance=0.008, speed=0.5, patience=50)
    yield from _grip(sight)
    yield from _along(sight, joint, sign, done, lambda: at(0.0), CLOSE, 0.06)
    yield from hold(sight, OPEN, 6)
    position, rotation = sight.hand
    away = position - 0.08 * rotation[:, 2]
    yield from reach(sight, lambda: (away, rotation), OPEN, tolerance=0.02, patience=25)
    yield from rise(sight, OPEN)
    if not done():
        raise SkillFailed("the handle slipped")


def push(sight: Sight, joint: int, done: Callable[[], bool], grasps: Grasps, habit: Habit, sign: float) -> Skill:
    """Pushes what a joint moves in the direction ``sign`` until ``done``.

    Raises:
        SkillFailed: it does not get there.
        ValueError: nobody says where it is pushed.
    """
    key = sight.joint_name(joint)
    if key not in grasps.pushes:
        raise ValueError(f"no way to push the {key[1]} of {key[0]!r} is known: add one to a file for read_grasps")
    at = _on_joint(sight, joint, grasps.pushes[key], habit)
    yield from travel(sight, lambda: at(0.06), CLOSE)
    yield from reach(sight, lambda: at(0.02), CLOSE, tolerance=0.015, patience=40)
    yield from _along(sight, joint, sign, done, lambda: at(-0.01), CLOSE, 0.04)
    position, rotation = sight.hand
    away = position - 0.06 * rotation[:, 2]
    yield from reach(sight, lambda: (away, rotation), CLOSE, tolerance=0.02, patience=20)
    if not done():
        raise SkillFailed("pushed in vain")


def _on_joint(sight: Sight, joint: int, ways: Sequence[Grasp], habit: Habit) -> Callable[[float], Pose]:
    """Where the hand holds what a joint moves, so many metres back along its approach."""
    frame = sight.joint_frame(joint)[0]
    options = [pose for way in ways for pose in way.poses()]
    turned = [float(np.linalg.norm(rotation_vector(frame[1] @ rotation @ sight.home.T))) for _, rotation in options]
    point, rotation = options[int(np.argmin(turned))]
    point = point + habit.aim

    def at(back: float) -> Pose:
        (position, frame), _, _, _ = sight.joint_frame(joint)
        world = frame @ rotation
        return position + frame @ point - back * world[:, 2], world

    return at


def _along(
    sight: Sight,
    joint: int,
    sign: float,
    done: Callable[[], bool],
    at: Callable[[], Pose],
    fingers: float,
    lead: float,
) -> Skill:
    """Moves the hand ahead of what it holds, along a joint's slide or about its hinge, until ``done``."""
    slides = sight.scene.model.jnt_type[joint] == 2
    best, idle, extra = -np.inf, 0, 4
    for _ in range(150):
        if done():
            extra -= 1
            if extra < 0:
                return
        _, axis, anchor, now = sight.joint_frame(joint)
        idle = 0 if sign * now > best + 0.001 else idle + 1
        best = max(best, sign * now)
        if idle > 25:
            return
        position, rotation = at()
        if slides:
            ahead = position + sign * lead * axis
        else:
            radius = position - anchor - ((position - anchor) @ axis) * axis
            step = sign * min(lead / max(float(np.linalg.norm(radius)), 0.05), 0.4)
            turn = rotation_matrix(step * axis)
            ahead, rotation = anchor + turn @ (position - anchor), turn @ rotation
        yield Target(ahead, rotation, fingers, 0.7)


def twist(sight: Sight, joint: int, done: Callable[[], bool], grasps: Grasps, habit: Habit, sign: float) -> Skill:
    """Holds a knob and turns it about its axis in the direction ``sign`` until ``done``.

    Raises:
        SkillFailed: it does not get there.
        ValueError: nobody says how the knob is held.
    """
    key = sight.joint_name(joint)
    if key not in grasps.turns:
        raise ValueError(f"no way to turn the {key[1]} of {key[0]!r} is known: add one to a file for read_grasps")
    at = _on_joint(sight, joint, grasps.turns[key], habit)
    yield from travel(sight, lambda: at(habit.height), OPEN)
    yield from reach(sight, lambda: at(0.0), OPEN, tolerance=0.008, speed=0.6, patience=40)
    yield from _grip(sight)
    yield from _along(sight, joint, sign, done, lambda: at(0.0), CLOSE, 0.03)
    yield from hold(sight, OPEN, 6)
    yield from rise(sight, OPEN)
    if not done():
        raise SkillFailed("the knob slipped")


def rise(sight: Sight, fingers: float, height: float = 0.1) -> Skill:
    """Straight up."""
    position, rotation = sight.hand
    up = position + height * DOWN
    yield from reach(sight, lambda: (up, rotation), fingers, tolerance=0.03, patience=25)


def drag(sight: Sight, name: str, goal: Callable[[], np.ndarray], done: Callable[[], bool], habit: Habit) -> Skill:
    """Puts the closed fingers into a shallow dish and drags it by its rim until ``done``.

    Raises:
        SkillFailed: it does not get there.
    """
    closing = np.array([*sight.home[:2, 0], 0.0]) / np.linalg.norm(sight.home[:2, 0])
    rotation = np.stack([closing, np.cross(-DOWN, closing), -DOWN], axis=1)

    def over(height: float) -> Callable[[], Pose]:
        return lambda: (sight.pose(name)[0] + habit.aim + (height + FINGER_TIP) * DOWN, rotation)

    yield from travel(sight, over(habit.height), CLOSE)
    yield from reach(sight, over(0.004), CLOSE, tolerance=0.008, patience=30)
    extra = 5
    for _ in range(150):
        extra -= int(done())
        if extra < 0:
            break
        thing, hand = sight.pose(name)[0], sight.hand[0]
        away = (goal() - thing)[:2]
        step = away * min(1.0, DRAG / max(float(np.linalg.norm(away)), 1e-6))
        yield Target(np.array([*(hand[:2] + step), thing[2] + FINGER_TIP - 0.002]), rotation, CLOSE, 0.6)
    yield from rise(sight, CLOSE)
    if not done():
        raise SkillFailed(f"{name} was left behind")
