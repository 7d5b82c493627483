"""The runner: makes numbered episodes in several processes and appends them to a store, resumable at any point.

The parent hands out episode indices and writes nothing; each worker appends what it finishes, so a killed parent, a
killed worker and a full disk cost the episodes in flight and no other. An index that is in the store is never made
again, which is all that resuming takes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from dreamgym.actors import check_engine
from dreamgym.bars import progress_bar
from dreamgym.data.ray_crew import RayCrew
from dreamgym.data.store import EpisodeStore
from dreamgym.data.workers import SPLIT_SEEDS, Crew, EpisodeFactory, Interrupts
from dreamgym.places import check_place

_log = logging.getLogger(__name__)


class CollectError(RuntimeError):
    """No episode can be made: the generator is broken. The log holds its tracebacks."""


@dataclass(frozen=True)
class Collected:
    """What `collect` did.

    Attributes:
        store: The store, with all that it holds now.
        new_episodes: Episodes added by this call.
        failed: Episode index -> traceback of its second failure; those are not in the store.
        stopped: Whether SIGINT ended it before the target.
    """

    store: EpisodeStore
    new_episodes: int
    failed: dict[int, str]
    stopped: bool

    @property
    def last_failure(self) -> str:
        """What ended the latest of `failed`: the last line of its traceback."""
        return last_line(self.failed)


class CollectKwargs(TypedDict, total=False):
    """`CollectConfig` as keyword arguments of `collect`, for type checkers and completion."""

    num_workers: int
    seed: int
    split: str | None
    progress: bool
    engine: str
    address: str | None


@dataclass(frozen=True)
class CollectConfig:
    """How episodes are collected.

    Attributes:
        num_workers: Processes.
        seed: Of the collection. A store takes episodes of one seed only, and of one info.
        split: "train", "val" or "test": every episode is of it, and its draws are not those of other splits, whatever
            the seed. None: the generator's own, else by index.
        progress: Whether to show a bar of the steps with the time left.
        engine: "local", or "ray": workers on a Ray cluster, which send their episodes to this process.
        address: Of the cluster; None: one that Ray starts on this machine.

    Raises:
        ValueError: One out of range, an unknown split or engine, or an address without a cluster's engine.
    """

    num_workers: int = 1
    seed: int = 0
    split: str | None = None
    progress: bool = True
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        check_engine(self.engine, self.address)
        if self.num_workers < 1 or self.seed < 0:
            raise ValueError(
                f"num_workers is at least 1 and seed at least 0; got num_workers={self.num_workers}, seed={self.seed}"
            )
        if self.split is not None and self.split not in SPLIT_SEEDS:
            raise ValueError(f"split must be one of {list(SPLIT_SEEDS)}, or None (by index); got {self.split!r}")


def collect(
    make_episode: EpisodeFactory,
    store_path: str | os.PathLike[str],
    num_steps: int | None = None,
    *,
    num_episodes: int | None = None,
    info: dict[str, Any] | None = None,
    **options: Unpack[CollectKwargs],
) -> Collected:
    """Make episodes 0, 1, 2, ... until the store holds enough of them; what it holds already counts.

    Every worker builds `make_episode(seed)`, so which worker makes an episode does not matter, and a collection that
    was killed and called again ends with the episodes of one that was not. To each meta are added `episode_index`,
    `seed` and, where the generator gives none, `split` ("val" for indices 1, 21, 41, ...). An episode that raises, or
    kills its process, is logged, tried once more with another seed, and then left out and reported.

    SIGINT once: the episodes in flight are finished. Twice: they are given up, and KeyboardInterrupt is raised.

    Args:
        make_episode: Picklable factory, see `EpisodeFactory`. Called in spawned processes: a script that collects
            needs `if __name__ == "__main__":`.
        store_path: The store; created with the first episode's keys where there is none.
        num_steps: Rows to hold in the end; the last episode may pass it. Or give num_episodes.
        num_episodes: Episodes to hold in the end: indices 0 to num_episodes - 1.
        info: JSON to remember in a new store beside the seed, such as the generator's configuration.
        options: Fields of `CollectConfig`: num_workers, seed, split, progress, engine, address.

    Raises:
        ValueError: Not exactly one target, one out of range, an unknown split or engine, a place where no store can be,
            a store of another seed or info, or no cluster at the address.
        OSError: The disk is full (ENOSPC); the finished episodes are kept.
        ImportError, FileNotFoundError: The generator lacks a package or files.
        TypeError: Another option.
        CollectError: `num_workers + 2` episodes in a row failed, or all did: the generator itself is broken.
    """
    _check_target(num_steps, num_episodes)
    how, path = CollectConfig(**options), check_place(store_path, replaced=False)
    about = {**(info or {}), "seed": how.seed}
    plan = Plan(num_steps, num_episodes, _done_already(path, about))
    before = len(plan.done)
    crew: Crew | RayCrew
    if how.engine == "ray":
        crew = RayCrew(make_episode, path, how.seed, about, how.split, how.num_workers, how.address)
    else:
        crew = Crew(make_episode, path, how.seed, about, how.split)
    with _bar(path, plan, how.progress) as bar, Interrupts() as interrupts:
        try:
            _run(crew, plan, how.num_workers, interrupts, bar)
        finally:
            crew.dismiss()
    if interrupts.count > 1:
        raise KeyboardInterrupt
    if plan.failed:
        _log.error("%d episodes failed twice and are left out: %s", len(plan.failed), sorted(plan.failed))
    if not plan.done:
        raise CollectError(f"no episode was collected into {path}: {plan.last_failure}")
    return Collected(EpisodeStore.open(path), len(plan.done) - before, plan.failed, interrupts.count > 0)


def _check_target(num_steps: int | None, num_episodes: int | None) -> None:
    if (num_steps is None) == (num_episodes is None):
        raise ValueError(f"give either num_steps or num_episodes, got {num_steps} and {num_episodes}")
    if (target := num_episodes if num_steps is None else num_steps) is not None and target < 1:
        raise ValueError(f"the target is at least 1; got num_steps={num_steps}, num_episodes={num_episodes}")


@dataclass
class Plan:
    """Which index is made next, and when it is enough.

    Attributes:
        num_steps: Target in rows, or None.
        num_episodes: Target in episodes, or None.
        done: Index -> rows of what the store holds.
        failed: Index -> why, of what failed twice.
        in_flight: Indices that a worker has.
        retries: Indices that failed once and wait for their second try.
        failed_in_a_row: Indices given up since the last success.
    """

    num_steps: int | None
    num_episodes: int | None
    done: dict[int, int]
    failed: dict[int, str] = field(default_factory=dict)
    in_flight: set[int] = field(default_factory=set)
    retries: set[int] = field(default_factory=set)
    failed_in_a_row: int = 0
    _tried: set[int] = field(default_factory=set)

    @property
    def steps(self) -> int:
        """Rows in the store."""
        return sum(self.done.values())

    @property
    def expected_steps(self) -> int | None:
        """Rows in the end: the target, or what the mean length so far says; None before the first episode."""
        if self.num_steps is not None or not self.done:
            return self.num_steps
        return round(self.steps / len(self.done) * (self.num_episodes or 0))

    @property
    def last_failure(self) -> str:
        """The last line of the latest traceback."""
        return last_line(self.failed)

    def next(self) -> int | None:
        """An index that is surely needed, now in flight, or None for the moment.

        Episodes in flight are taken to be as long as the longest so far, so that with episodes of one length the set
        in the store is the smallest run of indices that reaches the target, however many workers share it.
        """
        if self.retries:
            index = min(self.retries)
            self.retries.discard(index)
        else:
            longest = max(self.done.values(), default=0)
            if self.num_steps is not None and self.steps + longest * len(self.in_flight) >= self.num_steps:
                return None
            taken = self.done.keys() | self.failed.keys() | self.in_flight
            index = next(i for i in range(len(taken) + 1) if i not in taken)
            if self.num_episodes is not None and index >= self.num_episodes:
                return None
        self.in_flight.add(index)
        return index

    def is_retry(self, index: int) -> bool:
        """Whether it failed before."""
        return index in self._tried

    def put_back(self, index: int) -> None:
        """No worker has it after all."""
        self.in_flight.discard(index)
        if self.is_retry(index):
            self.retries.add(index)

    def finish(self, index: int, rows: int) -> None:
        """It is in the store."""
        self.in_flight.discard(index)
        self.done[index] = rows
        self.failed_in_a_row = 0

    def fail(self, index: int, why: str) -> None:
        """It failed: to be tried once more, then given up."""
        self.in_flight.discard(index)
        if self.is_retry(index):
            self.failed[index] = why
            self.failed_in_a_row += 1
        else:
            self._tried.add(index)
            self.retries.add(index)


def last_line(failed: Mapping[int, str]) -> str:
    """The last line of the latest traceback."""
    return list(failed.values())[-1].strip().splitlines()[-1] if failed else "nothing was tried"


def _run(crew: Crew | RayCrew, plan: Plan, num_workers: int, interrupts: Interrupts, bar: Any) -> None:
    while True:
        while not interrupts.count and crew.num_busy < num_workers and (index := plan.next()) is not None:
            if not crew.give(index, plan.is_retry(index)):
                plan.put_back(index)
        if not crew.num_busy or interrupts.count > 1:
            return
        for index, rows, why in crew.answers():
            if rows is not None:
                plan.finish(index, rows)
                bar.total = plan.expected_steps
                bar.update(rows)
                continue
            mend = "leaving it out" if plan.is_retry(index) else "trying it once more with another seed"
            _log.error("episode %d failed, %s:\n%s", index, mend, why)
            plan.fail(index, why)
        if plan.failed_in_a_row >= num_workers + 2:
            raise CollectError(f"{plan.failed_in_a_row} episodes in a row failed: {plan.last_failure}")


def _bar(path: Path, plan: Plan, progress: bool) -> Any:
    return progress_bar(
        total=plan.expected_steps, initial=plan.steps, unit="step", desc=path.name, shown=progress, leave=True
    )


def _done_already(path: Path, about: dict[str, Any]) -> dict[int, int]:
    """Index -> rows of what an earlier call left. ValueError where that one was of another collection."""
    if not (path / "info.json").exists():
        return {}
    store = EpisodeStore.open(path)
    if different := differences(store.info, json.loads(json.dumps(about))):
        raise ValueError(f"{path} was collected with {different[0]}: go on with that or use another path")
    pairs = zip(store.metas, store.lengths.tolist(), strict=True)
    return {meta["episode_index"]: length for meta, length in pairs if "episode_index" in meta}


def differences(was: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """Entries that both have and that differ, in words ("scene 'D', not 'playtable'"), nested ones too."""
    out = []
    for key in (k for k in was if k in now):
        if isinstance(was[key], Mapping) and isinstance(now[key], Mapping):
            out += differences(was[key], now[key], f"{within}{key}.")
        elif was[key] != now[key]:
            out.append(f"{within}{key} {was[key]!r}, not {now[key]!r}")
    return out
