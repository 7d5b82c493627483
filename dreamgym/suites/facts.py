"""What a training recipe must know of a store: sensors, action, rate, suite, layouts, hints and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dreamgym.data.store import EpisodeView
from dreamgym.suites.base import Layout, Suite
from dreamgym.suites.registry import suite as suite_by_name
from dreamgym.suites.registry import suites
from dreamgym.types import ActionSpec, ObservationSpec

NOT_SENSORS = ("action", "success", "snapshot", "reward", "done", "terminated", "truncated")
"""Keys of a store that no robot senses."""

FRAME_RATE = 30.0
"""Hz of a store that does not say."""

MARGIN = 0.05
"""Share of an entry's range by which bounds that are read off the rows are wider than what was seen."""

FILLED = 0.9
"""An entry whose values lie in [-1, 1] and come this near to its ends has these bounds."""


@dataclass(frozen=True)
class StoreFacts:
    """What is known of a store.

    Attributes:
        sensors: images and vectors by name.
        action: bounds, two-valued entries and the action that keeps still.
        frame_rate: control steps a second, Hz.
        suite: the suite that it was recorded in; None for foreign data.
        layouts: segments of every vector sensor; linear where the suite says nothing.
        hints: what a family may use, by sensor: those in the store's info, else the suite's (`Suite.hints`).
        tasks: names of the tasks that its episodes are of, or that its play came to.
        robot: the suite's robot, where there are several; of foreign data what the store's info says.
        robots: actions by robot of a store that has episodes of several; their key "embodiment" says which.
    """

    sensors: Mapping[str, ObservationSpec]
    action: ActionSpec
    frame_rate: float
    suite: Suite | None = None
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    hints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    robot: str | None = None
    robots: Mapping[str, ActionSpec] = field(default_factory=dict)

    def sentences(self, task: str) -> tuple[str, ...]:
        """Sentences that say what ``task`` is: the suite's; of foreign data its name with blanks."""
        return (task.replace("_", " "),) if self.suite is None else self.suite.sentences(task)


def store_facts(view: EpisodeView) -> StoreFacts:
    """Reads the facts of a store: what its info says, else what its suite says, else what its rows show.

    Raises:
        ValueError: the store has no "action", or one of another size than it or its suite says; or it names a suite
            that is not registered.
    """
    if "action" not in view.keys:
        raise ValueError(f"{view.path} has no key 'action', only {sorted(view.keys)}: a world model needs actions")
    found = suite_of(view)
    sensors = _sensors(view)
    robot = view.info.get("robot") if found is None or found.robots else None
    vectors = {k: s.shape[0] for k, s in sensors.items() if s.kind == "vector"}
    known = {} if found is None else found.layouts
    action = _action(view, found, robot)
    if view.keys["action"][0] != (action.dim,):
        said = "its info" if "action" in view.info else f"the suite {view.info.get('suite')!r}"
        raise ValueError(
            f"{view.path} holds actions of shape {view.keys['action'][0]}, {said} says {action.dim} entries: collect "
            "or import it again, or mend 'action' in its info.json"
        )
    return StoreFacts(
        sensors=sensors,
        action=action,
        frame_rate=float(view.info.get("frame_rate", FRAME_RATE if found is None else found.frame_rate)),
        suite=found,
        layouts={k: known[k] if _size(known.get(k, ())) == n else (("linear", n),) for k, n in vectors.items()},
        hints={k: v for k, v in _hints(view, found).items() if k in sensors},
        tasks=store_tasks(view),
        robot=robot,
        robots={name: _spec(told) for name, told in view.info.get("robots", {}).items()},
    )


def suite_of(view: EpisodeView) -> Suite | None:
    """The suite that a store was recorded in; None where it does not say and its sensors do not tell.

    Sensors tell where a suite has layouts of several and the store has all of them, in those sizes: stores of before
    the name was recorded. One sensor alone ("state") may be anybody's.
    """
    if "suite" in view.info:
        return suite_by_name(view.info["suite"])
    for name in suites():
        candidate = suite_by_name(name)
        if len(candidate.layouts) > 1 and all(
            k in view.keys and view.keys[k][0] == (_size(layout),) for k, layout in candidate.layouts.items()
        ):
            return candidate
    return None


def store_instructions(view: EpisodeView) -> Mapping[str, str]:
    """The sentences that say what a store's tasks are, by task: its suite's, where it is of one."""
    found = suite_of(view)
    return {} if found is None else found.instructions


def store_tasks(view: EpisodeView) -> tuple[str, ...]:
    """Tasks of a store: those its info names, else its episodes' and those that skills of play achieved.

    Of a suite only the suite's own, in its order; of foreign data in the order of their first episode.
    """
    if view.info.get("tasks"):
        return tuple(view.info["tasks"])
    named = [meta["task"] for meta in view.metas if meta.get("task") is not None]
    skills = [run[0] for meta in view.metas for run in meta.get("skills", ()) if run[3]]
    present = tuple(dict.fromkeys([*named, *skills]))
    found = suite_of(view)
    return present if found is None else tuple(t for t in found.tasks if t in present)


def _sensors(view: EpisodeView) -> dict[str, ObservationSpec]:
    """Images [H, W, C] uint8 and vectors [d] of floats; the rest is nothing that a world model reads."""
    out = {}
    for name, (shape, dtype) in view.keys.items():
        if name in NOT_SENSORS:
            continue
        if dtype == np.uint8 and len(shape) == 3:
            out[name] = ObservationSpec("image", (shape[2], shape[0], shape[1]))
        elif dtype.kind == "f" and len(shape) == 1:
            out[name] = ObservationSpec("vector", shape)
    return out


def _hints(view: EpisodeView, found: Suite | None) -> Mapping[str, Mapping[str, Any]]:
    told = view.info.get("hints", {} if found is None else found.hints)
    if not isinstance(told, Mapping) or not all(isinstance(hint, Mapping) for hint in told.values()):
        raise ValueError(
            f"{view.path}: 'hints' of its info.json are what is known of each sensor, by name, got {told!r}"
        )
    return told


def _size(layout: Layout) -> int:
    return sum(n for _, n in layout)


def _action(view: EpisodeView, found: Suite | None, robot: str | None) -> ActionSpec:
    if "action" in view.info:
        return _spec(view.info["action"])
    if found is not None:
        return found.robots.get(robot or "", found.action)
    return action_from_rows(view)


def _spec(told: Mapping[str, Any]) -> ActionSpec:
    """An action as a store's info tells it."""
    return ActionSpec(**{k: tuple(v) for k, v in told.items()})


def action_from_rows(view: EpisodeView) -> ActionSpec:
    """Bounds that the recorded actions show.

    An entry that takes two values is two-valued, exactly these. One that fills [-1, 1] (all of it inside, some beyond
    0.9) has these bounds. Any other has its least and largest value, each moved out by `MARGIN` of the range. The
    action that keeps still is 0, or the middle of the bounds where 0 lies outside.

    Raises:
        ValueError: there is no episode, or the action of a row is no vector.
    """
    shape, _ = view.keys["action"]
    if not len(view) or len(shape) != 1:
        raise ValueError(f"{view.path}: the bounds of its action need episodes with actions [T, A], got rows {shape}")
    actions = np.concatenate([np.asarray(view.episode(i, ["action"])["action"]) for i in range(len(view))])
    two = [k for k in range(shape[0]) if len(np.unique(actions[:, k])) == 2]
    low, high = actions.min(0).astype(float), actions.max(0).astype(float)
    for k in range(shape[0]):
        if k in two:
            continue
        if FILLED < max(abs(low[k]), abs(high[k])) <= 1:
            low[k], high[k] = -1.0, 1.0
        else:
            room = MARGIN * (high[k] - low[k]) or 1.0
            low[k], high[k] = low[k] - room, high[k] + room
    hold = np.where((low <= 0) & (high >= 0), 0.0, (low + high) / 2)
    hold[two] = low[two]
    return ActionSpec(tuple(low.tolist()), tuple(high.tolist()), tuple(two), tuple(hold.tolist()))
