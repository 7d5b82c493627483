"""Task files: the Lisp that states a scene's things, where they begin, and the goal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREDICATES = {"on": 2, "in": 2, "up": 1, "open": 1, "close": 1, "turnon": 1, "turnoff": 1}
"""Arguments of each predicate."""
DEEPEST = 20
"""Lists within lists; task files have seven."""

Fact = tuple[str, ...]
"""A predicate in lower case and the names of its arguments."""

_Node = str | list


@dataclass(frozen=True)
class Region:
    """A place on a thing: rectangles on the work surface, or a site of a fixture or an object.

    Attributes:
        name: as facts call it: the target's name, "_", its own.
        target: the thing it lies on.
        ranges: rectangles (x low, y low, x high, y high) in metres from the middle of the work surface; none for a
            site.
        yaw: range of a fixture's rotation about z, radians.
    """

    name: str
    target: str
    ranges: tuple[tuple[float, float, float, float], ...] = ()
    yaw: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Problem:
    """What a task file says.

    Attributes:
        name: its kind of scene, in lower case ("libero_tabletop_manipulation").
        language: the sentence in the file.
        fixtures: kind by name, of what stands fixed; the work surface too.
        objects: kind by name, of what can be moved.
        regions: by name.
        init: facts that hold at the start.
        goal: facts that must hold together.
        interest: the things that the task is about.
    """

    name: str
    language: str
    fixtures: Mapping[str, str]
    objects: Mapping[str, str]
    regions: Mapping[str, Region]
    init: tuple[Fact, ...]
    goal: tuple[Fact, ...]
    interest: tuple[str, ...]


def read_problem(path: Path) -> Problem:
    """The problem in a task file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged; the message names the file and what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}")
    try:
        return parse_problem(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged task file {path}: {error}") from error


def parse_problem(text: str) -> Problem:
    """The problem that a text states.

    Raises:
        ValueError: the text is not balanced, lacks a part, or speaks of what it does not define.
    """
    define = _parse(text)
    if not define or define[0] != "define":
        raise ValueError("expected (define (problem NAME) ...)")
    parts: dict[str, list[_Node]] = {}
    for part in define[1:]:
        if not isinstance(part, list) or not part or not isinstance(part[0], str):
            raise ValueError(f"expected a list that begins with its kind, got {part!r:.200}")
        parts[part[0].lower()] = part[1:]
    for needed in ("problem", ":language", ":regions", ":fixtures", ":objects", ":init", ":goal"):
        if needed not in parts:
            raise ValueError(f"it has no ({needed} ...)")
    regions = [_region(node) for node in parts[":regions"]]
    problem = Problem(
        name=" ".join(_words(parts["problem"])).lower(),
        language=" ".join(_words(parts[":language"])),
        fixtures=_typed(parts[":fixtures"], ":fixtures"),
        objects=_typed(parts[":objects"], ":objects"),
        regions={region.name: region for region in regions},
        init=tuple(_fact(node) for node in parts[":init"]),
        goal=_goal(parts[":goal"]),
        interest=tuple(_words(parts.get(":obj_of_interest", []))),
    )
    _check(problem)
    return problem


def _parse(text: str) -> list[_Node]:
    """The one list that the text is."""
    # Nothing behind this looks deeper than a goal, so a deep nest is damage; Python itself gives up at a thousand.
    stack: list[list[_Node]] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if word == "(":
            stack.append([])
            if len(stack) > DEEPEST:
                raise ValueError(f"lists nested more than {DEEPEST} deep")
        elif word == ")":
            if len(stack) == 1:
                raise ValueError("a ) closes nothing")
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(word)
    if len(stack) > 1:
        raise ValueError(f"{len(stack) - 1} ( without their )")
    if len(stack[0]) != 1 or not isinstance(stack[0][0], list):
        raise ValueError(f"expected one list, got {len(stack[0])} things")
    return stack[0][0]


def _words(nodes: list[_Node]) -> list[str]:
    for node in nodes:
        if not isinstance(node, str):
            raise ValueError(f"expected words, got the list {node!r:.200}")
    return [str(node) for node in nodes]


def _typed(nodes: list[_Node], part: str) -> dict[str, str]:
    """``a b - kind c - other`` as kind by name."""
    found: dict[str, str] = {}
    waiting: list[str] = []
    words = iter(_words(nodes))
    for word in words:
        if word != "-":
            waiting.append(word)
            continue
        kind = next(words, None)
        if kind is None:
            raise ValueError(f"{part} ends after a -")
        found.update(dict.fromkeys(waiting, kind.lower()))
        waiting = []
    if waiting:
        raise ValueError(f"{part} does not say of what kind {', '.join(waiting)} are")
    return found


def _region(node: _Node) -> Region:
    if not isinstance(node, list) or len(node) < 2 or not isinstance(node[0], str):
        raise ValueError(f"expected a region (NAME (:target THING) ...), got {node!r:.200}")
    parts = {str(part[0]): part[1:] for part in node[1:] if isinstance(part, list) and part}
    target = _words(parts.get(":target", []))
    if len(target) != 1:
        raise ValueError(f"the region {node[0]!r} needs one (:target THING)")
    ranges = _rows(parts, ":ranges", 4, node[0])
    yaw = _rows(parts, ":yaw_rotation", 2, node[0])
    for x0, y0, x1, y1 in ranges:
        if x1 < x0 or y1 < y0:
            raise ValueError(f"the region {node[0]!r} has a range whose end lies before its beginning")
    return Region(
        name=f"{target[0]}_{node[0]}",
        target=target[0],
        ranges=tuple((a, b, c, d) for a, b, c, d in ranges),
        yaw=(yaw[0][0], yaw[0][1]) if yaw else (0.0, 0.0),
    )


def _rows(parts: Mapping[str, list[_Node]], key: str, width: int, region: str) -> list[list[float]]:
    """The rows of numbers in ``(key ((1 2 3 4) (5 6 7 8)))``."""
    found = []
    for rows in parts.get(key, []):
        for row in rows if isinstance(rows, list) else [rows]:
            try:
                numbers = [float(word) for word in _words(row)] if isinstance(row, list) else []
            except ValueError:
                numbers = []
            if len(numbers) != width or not all(map(math.isfinite, numbers)):
                raise ValueError(f"{key} of the region {region!r}: expected rows of {width} numbers, got {row!r:.200}")
            found.append(numbers)
    return found


def _fact(node: _Node) -> Fact:
    if not isinstance(node, list) or not node:
        raise ValueError(f"expected a fact (PREDICATE THING ...), got {node!r:.200}")
    predicate, *things = _words(node)
    predicate = predicate.lower()
    if PREDICATES.get(predicate) != len(things):
        known = ", ".join(f"{name} of {count}" for name, count in PREDICATES.items())
        raise ValueError(f"expected one of {known}; got ({' '.join(_words(node))})")
    return (predicate, *things)


def _goal(nodes: list[_Node]) -> tuple[Fact, ...]:
    if len(nodes) != 1 or not isinstance(nodes[0], list) or not nodes[0]:
        raise ValueError("expected one (:goal (And ...))")
    goal = nodes[0]
    if str(goal[0]).lower() != "and":
        return (_fact(goal),)
    if len(goal) == 1:
        raise ValueError("the goal asks for nothing")
    return tuple(_fact(node) for node in goal[1:])


def _check(problem: Problem) -> None:
    """Facts must speak of what the file defines. (Regions may not: files carry sites of things that a scene lacks.)"""
    things = {**problem.fixtures, **problem.objects}
    for fact in (*problem.init, *problem.goal):
        for name in fact[1:]:
            if name not in things and name not in problem.regions:
                raise ValueError(f"({' '.join(fact)}) speaks of {name!r}, which the file does not define")
