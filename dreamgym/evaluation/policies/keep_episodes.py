"""The twin's episodes of an evaluation as an episode store: what ``evaluate --record STORE`` writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data import EpisodeStore
from dreamgym.envs.twin import TwinCore
from dreamgym.evaluation.policies.rollout import Frame, Watcher
from dreamgym.suites.base import Suite
from dreamgym.types import ActionSpec


class EpisodeKeeper:
    """Watches `run_episodes` in a twin, and appends each episode to a store when it ends with its wave.

    A row holds the sensors before an action, the action, and whether the task had been done by then. The last row,
    which has no action, repeats the last one.

    Args:
        core: the twin.
        path: the store's folder; an existing store of the same sensors is appended to.
        policy: its name, for the metas.
        task: [N] indices into the core's tasks, of the episodes.
        split: of the starts, for the metas.
        suite: of the simulator; None: of none that is known.

    Raises:
        ValueError: a frame of the model spans several actions, or an action is an instruction: the sensors in between
            are not seen.
    """

    def __init__(
        self,
        core: TwinCore,
        path: str | os.PathLike[str],
        policy: str,
        task: np.ndarray,
        split: str | None = None,
        suite: Suite | None = None,
    ) -> None:
        if core.spec.actions_per_frame > 1 or not isinstance(core.spec.action, ActionSpec):
            raise ValueError(
                "episodes are recorded row by row, and this world model sees one frame in several actions: evaluate "
                "the policy with a model of one action a frame to record it"
            )
        self._core, self._path, self._policy, self._task, self._split = core, Path(path), policy, task, split
        bounds = {k: list(getattr(core.spec.action, k)) for k in ("low", "high", "binary", "hold")}
        self._info: dict[str, Any] = {"action": bounds, "frame_rate": core.spec.frame_rate, "tasks": list(core.tasks)}
        if suite is not None:
            self._info["suite"] = suite.name
        self._rows: dict[int, list[dict[str, np.ndarray]]] = {}
        self._actions: dict[int, list[np.ndarray]] = {}
        self._marks: dict[int, list[bool]] = {}

    def __call__(self, frame: Frame) -> None:
        """Takes in one frame of each episode under way."""
        if frame.action is None:
            self.close()  # the wave before is over
        sensors = self._core.sensors
        for k, (env, episode) in enumerate(zip(frame.env.tolist(), frame.episode.tolist(), strict=True)):
            self._rows.setdefault(episode, []).append({n: np.array(v) for n, v in sensors[env].items()})
            self._marks.setdefault(episode, []).append(bool(frame.label[k]))
            if frame.action is not None:
                self._actions.setdefault(episode, []).append(np.asarray(frame.action[k], np.float32).reshape(-1))

    def beside(self, other: Watcher) -> Watcher:
        """A watcher that tells both."""

        def both(frame: Frame) -> None:
            other(frame)
            self(frame)

        return both

    def close(self) -> None:
        """Appends the episodes so far."""
        pairs = []
        for number, rows in sorted(self._rows.items()):
            actions = self._actions[number]
            episode = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
            episode |= {"action": np.stack([*actions, actions[-1]]), "success": np.array(self._marks[number])}
            meta = {
                "kind": "evaluation", "policy": self._policy, "task": self._core.tasks[int(self._task[number])],
                "split": self._split or "train", "success": bool(episode["success"].any()), "episode_index": number,
            }  # fmt: skip
            pairs.append((episode, meta))
        if pairs:
            keys = {
                k: (v.shape[1:], "float32" if v.dtype.kind == "f" else v.dtype.name) for k, v in pairs[0][0].items()
            }
            EpisodeStore.create(self._path, keys, self._info).append(pairs)
        self._rows, self._actions, self._marks = {}, {}, {}
