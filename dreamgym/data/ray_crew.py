"""The workers of `collect` on a Ray cluster: they make episodes, and this process appends them to the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dreamgym.actors import ERRORS, Actors, Died
from dreamgym.data.workers import EpisodeFactory, Maker, heard, keep


class RayCrew:
    """The calls of `Crew`. Workers need dreamgym and the simulator installed, and no shared disk.

    Args:
        factory, path, seed, info, split: as for `Crew`.
        num_workers: actors at most, one CPU each.
        address: see `Actors`.
    """

    def __init__(
        self,
        factory: EpisodeFactory,
        path: Path,
        seed: int,
        info: dict[str, Any],
        split: str | None,
        num_workers: int,
        address: str | None,
    ) -> None:
        self._actors = Actors(num_workers, address)
        self._made, self._path, self._info = (Maker, factory, seed, split), path, info
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[int, Any]] = {}

    @property
    def num_busy(self) -> int:
        """Episodes in flight."""
        return len(self._busy)

    def give(self, index: int, again: bool) -> bool:
        """Have an idle or a new worker make this episode."""
        actor = self._idle.pop() if self._idle else self._actors.make(*self._made)
        self._busy[self._actors.call(actor, "make", index, again)] = (index, actor)
        return True

    def answers(self, timeout_s: float = 0.5) -> Iterator[tuple[int, int | None, str]]:
        """See `Crew.answers`."""
        for call in self._actors.wait(list(self._busy), timeout_s):
            index, actor = self._busy.pop(call)
            try:
                kind, value = self._actors.get(call)
            except Died as died:
                yield index, None, f"its worker died: {died}"
                continue
            if kind in ERRORS:  # the maker itself could not be made or called
                raise ERRORS[kind](value)
            self._idle.append(actor)
            kind, value = value
            if kind == "made":
                kind, value = keep(self._path, value, self._info)
            yield heard(index, kind, value)

    def dismiss(self) -> None:
        """Ends the workers, and with them the episodes in flight."""
        self._actors.end([*self._idle, *(actor for _, actor in self._busy.values())])
        self._idle.clear()
        self._busy.clear()
