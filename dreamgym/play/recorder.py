"""Played episodes as an episode store."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dreamgym.data.collect import differences
from dreamgym.data.store import EpisodeStore
from dreamgym.places import check_place
from dreamgym.types import ActionSpec


class Recorder:
    """Collects the rows of one episode, and appends it to a store when told to.

    A row holds the sensors before an action, the action, and whether the task had been done by then. The store is made
    with the first episode that is kept.

    Args:
        path: the store's folder; an existing store of the same sensors is appended to.
        source: "twin" or "dream": whose sensors these are; goes into the meta of every episode.
        action: what the actions are.
        frame_rate: rows a second.
        suite: name of the simulator's suite; None: it is of none.
        tasks: that can be played.

    Raises:
        ValueError: nothing can be written there, or the store that is there holds episodes of another suite, action or
            frame rate.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: str,
        action: ActionSpec,
        frame_rate: float,
        suite: str | None = None,
        tasks: tuple[str, ...] = (),
    ) -> None:
        self._path, self._source = path, source
        bounds = {k: list(getattr(action, k)) for k in ("low", "high", "binary", "hold")}
        self._info: dict[str, Any] = {"action": bounds, "frame_rate": frame_rate, "tasks": list(tasks)}
        if suite is not None:
            self._info["suite"] = suite
        if (check_place(path, replaced=False) / "info.json").exists():
            there = EpisodeStore.open(path).info
            told = {k: v for k, v in self._info.items() if k != "tasks"}
            if different := differences(there, json.loads(json.dumps(told))):
                raise ValueError(f"{path} was made with {different[0]}: record into another store")
        self._task = ""
        self._rows: list[dict[str, np.ndarray]] = []
        self.num_kept = 0

    def begin(self, task: str) -> None:
        """Forgets the rows of the episode before."""
        self._task, self._rows = task, []

    def note(self, sensors: Mapping[str, np.ndarray], action: np.ndarray, success: bool) -> None:
        """Adds a row."""
        row = {k: np.array(v) for k, v in sensors.items()}
        self._rows.append({**row, "action": np.asarray(action, np.float32), "success": np.asarray(success)})

    def rewind(self, length: int) -> None:
        """Forgets the rows after the first ``length``."""
        del self._rows[length:]

    def keep(self) -> None:
        """Appends the episode so far to the store.

        Raises:
            ValueError: it has fewer than two rows, or does not fit the store that is there.
        """
        if len(self._rows) < 2:
            raise ValueError("an episode has at least two steps: play on before you keep it")
        episode = {k: np.stack([row[k] for row in self._rows]) for k in self._rows[0]}
        keys = {k: (v.shape[1:], v.dtype.name) for k, v in episode.items()}
        store = EpisodeStore.create(self._path, keys, self._info)
        meta = {
            "kind": "played", "source": self._source, "task": self._task, "split": "train",
            "success": bool(episode["success"].any()),
        }  # fmt: skip
        store.append([(episode, meta)])
        self._rows, self.num_kept = [], self.num_kept + 1
