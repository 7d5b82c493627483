"""What every reader returns: a foreign data set, opened, with what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from dreamgym.data.shards import Meta

Pair: TypeAlias = tuple[dict[str, np.ndarray], Meta]


@dataclass(frozen=True)
class Source:
    """A data set that can be read; iterating it gives (episode, meta), one episode at a time.

    Attributes:
        name: what messages and metas call it.
        keys: what an episode has: name -> shape of a row (images H W C).
        open: (sources to skip) -> iterator of (episode, meta), in the data set's own names, types and sizes. A meta has
            `source`, unique in the data set; `split` "val" or "test" where the data set itself holds the episode out;
            `task` or `skills` where it names them.
        num_episodes: how many episodes it has.
        suggested: name in a store -> key, for what a world model would read; see `import_dataset`.
        outcome: name in a store -> key, for the rewards and ends that were recorded: numbers, one a row.
        frame_rate: rows a second, Hz; None: it does not say.
        action: bounds of the action where it says them, {"low", "high", "binary", "hold"}; None: its rows tell.
        suite: the suite that it was recorded in, where that is certain.
        next_row: keys whose row t tells of the observation at row t + 1 (a reward, `next.success`).
        held_out: names of the splits that it holds out itself.
    """

    name: str
    keys: Mapping[str, tuple[int, ...]]
    open: Callable[[Container[str]], Iterator[Pair]]
    num_episodes: int
    suggested: Mapping[str, str] = field(default_factory=dict)
    outcome: Mapping[str, str] = field(default_factory=dict)
    frame_rate: float | None = None
    action: Mapping[str, Any] | None = None
    suite: str | None = None
    next_row: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Pair]:
        return self.open(())

    def __len__(self) -> int:
        return self.num_episodes
