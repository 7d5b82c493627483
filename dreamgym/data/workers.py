"""The processes under `collect`: what an episode factory is, and the crew of workers that run it."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import numpy as np

from dreamgym.data.shards import Meta, locked
from dreamgym.data.store import Episode, EpisodeStore

VAL_EVERY = 20
RETRY_SEED_OFFSET = 1_000_003  # far from the seeds that people choose for a second collection
# Added to the seed where a whole collection is of one split: its episodes are no other split's.
SPLIT_SEEDS = {"train": 2_000_003, "val": 4_000_037, "test": 6_000_011}
# What no second try mends.
LACKING: dict[str, type[Exception]] = {"ImportError": ImportError, "FileNotFoundError": FileNotFoundError}
_log = logging.getLogger(__name__)


class EpisodeGenerator(Protocol):
    """What a factory returns. Episode i must depend on the factory's seed and on i alone, not on what came before."""

    def episode(self, episode_index: int) -> tuple[Episode, Meta]:
        """Make one episode, drawing from `episode_rng(worker_seed, episode_index)` only."""
        ...


class EpisodeFactory(Protocol):
    """Picklable; called once in each worker process, where it builds its simulator."""

    def __call__(self, worker_seed: int) -> EpisodeGenerator: ...


def episode_rng(seed: int, episode_index: int) -> np.random.Generator:
    """The random generator of one episode of one collection."""
    return np.random.default_rng([seed, episode_index])


def split_of(episode_index: int) -> Literal["train", "val"]:
    """One of every 20 episodes is held out, the second of them, so that a small collection has one too."""
    return "val" if episode_index % VAL_EVERY == 1 else "train"


class Crew:
    """Worker processes that make one episode at a time and append it to the store themselves."""

    def __init__(
        self, factory: EpisodeFactory, path: Path, seed: int, info: dict[str, Any], split: str | None = None
    ) -> None:
        self._args = (factory, path, seed, info, split)
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self._busy: dict[Connection, int] = {}

    @property
    def num_busy(self) -> int:
        """Episodes in flight."""
        return len(self._busy)

    def give(self, index: int, again: bool) -> bool:
        """Have an idle or a new worker make this episode; False where that worker has just died."""
        idle = [connection for connection in self._workers if connection not in self._busy]
        connection = idle[0] if idle else self._hire()
        try:
            connection.send((index, again))
        except OSError:
            self._workers.pop(connection).join()
            return False
        self._busy[connection] = index
        return True

    def answers(self, timeout_s: float = 0.5) -> Iterator[tuple[int, int | None, str]]:
        """What arrives next: (index, rows in the store or None, why it failed).

        Raises:
            OSError: A worker met a full disk.
            ImportError, FileNotFoundError: The generator lacks a package or files, which no second try mends.
        """
        for connection in wait(list(self._busy), timeout=timeout_s):
            assert isinstance(connection, Connection)
            index = self._busy.pop(connection)
            try:
                kind, value = connection.recv()
            except (EOFError, OSError):
                process = self._workers.pop(connection)
                process.join()
                kind, value = "failed", f"its process died with exit code {process.exitcode}{_hint(process.exitcode)}"
            yield heard(index, kind, value)

    def dismiss(self) -> None:
        """End the workers; one that is still making an episode is terminated."""
        for connection, process in self._workers.items():
            connection.close()
            if connection in self._busy:
                process.terminate()
        for process in self._workers.values():
            process.join()
        self._workers.clear()
        self._busy.clear()

    def _hire(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, *self._args), daemon=True)
        process.start()
        theirs.close()  # so that the death of the worker ends the pipe
        self._workers[ours] = process
        return ours


class Interrupts:
    """Counts SIGINTs instead of raising them, in the main thread; in another it leaves signals alone."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            _log.warning("stopping when the episodes in flight are finished; interrupt again to give them up")


def _hint(exit_code: int | None) -> str:
    """A worker ends with 1 where Python itself does, before the worker's own work begins."""
    return ': a script that collects needs `if __name__ == "__main__":`' if exit_code == 1 else ""


class Maker:
    """Makes episodes in a worker.

    Args:
        factory: of the generator, which is made with the first episode and after a failure.
        seed: of the collection.
        split: of every episode; None: the generator's own, else by index.
    """

    def __init__(self, factory: EpisodeFactory, seed: int, split: str | None) -> None:
        self._factory, self._seed, self._split = factory, seed, split
        self._generators: dict[int, EpisodeGenerator] = {}

    def make(self, index: int, again: bool) -> tuple[str, Any]:
        """Makes one episode; ``again``: its second try.

        Returns:
            ("made", (episode, meta)), ("failed", traceback), or (a key of `LACKING`, text).
        """
        seed = self._seed + RETRY_SEED_OFFSET * again + SPLIT_SEEDS.get(self._split or "", 0)
        try:
            if seed not in self._generators:
                self._generators = {seed: self._factory(seed)}
            episode, meta = self._generators[seed].episode(index)
        except Exception as error:  # whatever it is, it is of this episode, and reported with its traceback
            self._generators = {}  # a simulator that raised may be in any state
            lacking = [name for name, kind in LACKING.items() if isinstance(error, kind)]
            return (lacking[0], str(error)) if lacking else ("failed", traceback.format_exc())
        meta = {"split": split_of(index), **meta, "episode_index": index, "seed": seed}
        meta["split"] = self._split or meta["split"]
        return "made", (episode, meta)


def keep(path: Path, made: tuple[Episode, Meta], info: dict[str, Any]) -> tuple[str, Any]:
    """Appends an episode to the store: ("done", rows), ("full", text) where no room is left, or ("failed", text)."""
    try:
        return "done", _record(path, *made, info)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return "full", f"{error}. {path} keeps every finished episode: free room and call again to go on"
        return "failed", traceback.format_exc()


def heard(index: int, kind: str, value: Any) -> tuple[int, int | None, str]:
    """What a worker's answer means: (index, rows in the store or None, why it failed).

    Raises:
        OSError, ImportError, FileNotFoundError: what ends the collection.
    """
    if kind == "full":
        raise OSError(errno.ENOSPC, value)
    if kind in LACKING:
        raise LACKING[kind](value)
    return (index, value, "") if kind == "done" else (index, None, value)


def _work(
    pipe: Connection, factory: EpisodeFactory, path: Path, seed: int, info: dict[str, Any], split: str | None
) -> None:
    """A worker's life: (index, is it a retry) in, what `Maker.make` or `keep` says out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the parent decides
    maker = Maker(factory, seed, split)
    while True:
        try:
            index, again = pipe.recv()
        except (EOFError, OSError):  # dismissed, or the parent is gone
            return
        kind, value = maker.make(index, again)
        answer = keep(path, value, info) if kind == "made" else (kind, value)
        try:
            pipe.send(answer)
        except OSError:  # the parent is gone; the episode is in the store
            return


def _record(path: Path, episode: Episode, meta: Meta, info: dict[str, Any]) -> int:
    """Append one episode, unless the store has that index already: a worker outlives its killed parent for a while."""
    keys = {name: (array.shape[1:], array.dtype) for name, array in episode.items()}
    store = EpisodeStore.create(path, keys, info)
    with locked(path, exclusive=True, name=".collect.lock"):
        store.refresh()
        for known, length in zip(store.metas, store.lengths.tolist(), strict=True):
            if known.get("episode_index") == meta["episode_index"]:
                return length
        store.append([(episode, meta)])
    return len(next(iter(episode.values())))
