"""`dreamgym collect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dreamgym.cli.bounds import Count, PixelsOrNone, Seed, Whole

NUM_STEPS = 200_000
"""Rows that are collected where no target is given, of a kind that has no whole set."""

SETTINGS = (
    "tasks", "operators", "scene", "robot", "episode_steps", "max_steps", "linger", "whole", "num_train", "num_val",
    "image_size", "initial_states", "instances",
)  # fmt: skip
"""Options that are settings of what is collected."""


@dataclass(frozen=True)
class CollectOptions:
    """What to collect, and how much of it.

    Attributes:
        store: folder of the episode store; an unfinished one is continued.
        suite: the suite to collect in, one of {suites}; `dreamgym info` tells of each, ``--import`` adds one of your
            own.
        kind: what to collect; the suite's first kind where not given: {kinds}.
        episodes: episodes that the store is to hold in the end.
        steps: rows that the store is to hold in the end, instead; 200,000 where neither is given and the kind has no
            whole set.
        tasks: tasks of single-task episodes; all tasks where not given.
        operators: scripted operators, in turn; all that demonstrate where not given.
        scene: the scene, of suites with several; the suite's usual one where not given.
        robot: the robot, of suites with several; the first where not given: {robots}.
        episode_steps: rows of a play episode; 1,000 where not given.
        max_steps: most rows of an operator's episode; the suite's own number where not given.
        linger: rows that an operator's episode has from the first success on; 10 where not given.
        whole: go on to max-steps after success, so that all episodes have one length.
        num_train: training episodes of a task, and as many failed ones, of kinds that count them so; 50 where not
            given.
        num_val: held-out episodes of a task, of the same kinds; 20 where not given.
        image_size: side of the camera frames in pixels, of suites whose collections have cameras; the suite's own where
            not given (64; LIBERO 128, and 0 for none).
        initial_states: begin from the benchmark's own initial states, of suites that have them, one after the other.
        instances: which objects of a task's category, of suites that hold some out of training; those of training where
            not given.
        split: the split of all episodes, which are drawn apart from those of other splits; where not given some are
            held out ("val").
        num_workers: processes that collect.
        engine: where the processes run: on this machine, or on a Ray cluster.
        address: address of the Ray cluster ("auto", HOST:6379); where not given one is started here.
        seed: seed of the whole collection.
    """

    store: Path
    suite: str = "calvin"
    kind: str | None = None
    episodes: Count | None = None
    steps: Count | None = None
    tasks: tuple[str, ...] | None = None
    operators: tuple[str, ...] | None = None
    scene: str | None = None
    robot: str | None = None
    episode_steps: Count | None = None
    max_steps: Count | None = None
    linger: Whole | None = None
    whole: bool = False
    num_train: Count | None = None
    num_val: Whole | None = None
    image_size: PixelsOrNone | None = None
    initial_states: bool = False
    instances: Literal["train", "held_out", "all"] | None = None
    split: Literal["train", "val", "test"] | None = None
    num_workers: Count = 1
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    seed: Seed = 0

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of what is collected that were given; which of them a kind takes is the suite's to say."""
        given = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in given.items() if value is not None and value is not False}


def collect(options: CollectOptions) -> None:
    """Collects episodes of a suite with its scripted hands into an episode store; resumable.

    What each suite can collect: {kinds}. "play" is long and of no task, "demonstrations" are single tasks, "attempts"
    near misses and second tries, "operators" single tasks as several people would show them. A store takes one
    suite, scene, robot, kind and settings. Ends with an error where episodes failed twice and are missing in the end.
    """
    from dreamgym.data.collect import CollectError
    from dreamgym.suites.collection import collect_suite
    from dreamgym.suites.registry import suite as suite_by_name

    store, kind, settings = options.store, options.kind, options.settings
    suite = suite_by_name(options.suite)
    num_steps, num_episodes = options.steps, options.episodes
    if num_steps is None and num_episodes is None:
        num_episodes = getattr(suite.collector(kind, **settings), "num_episodes", None)
        num_steps = NUM_STEPS if num_episodes is None else None
    done = collect_suite(
        suite, store, kind, num_steps=num_steps, num_episodes=num_episodes, split=options.split,
        num_workers=options.num_workers, seed=options.seed, engine=options.engine, address=options.address, **settings,
    )  # fmt: skip
    held_out = len(done.store.select(split="val")) + len(done.store.select(split="test"))
    print(
        f"{store}: {len(done.store)} episodes ({held_out} held out), {done.store.num_steps} steps, "
        f"{done.new_episodes} new"
    )
    if done.stopped:
        raise KeyboardInterrupt("stopped before the target; the same command goes on")
    if done.failed and num_episodes is not None:  # a target in rows was reached with further episodes
        missing = _first(sorted(done.failed))
        raise CollectError(
            f"{len(done.failed)} of {num_episodes} episodes failed twice and are missing ({missing}; the last: "
            f"{done.last_failure}): what is there is whole; the same command tries the missing ones again"
        )


def _first(numbers: list[int], shown: int = 8) -> str:
    """Episode indices as a message has them."""
    return ", ".join(map(str, numbers[:shown])) + (", ..." if len(numbers) > shown else "")
