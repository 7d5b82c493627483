"""A store of made-up demonstrations on states: a disc that follows its target, in PushT's state."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.finish import finish_run
from dreamgym.evaluation.making.settings import FinishConfig
from dreamgym.training.train import train

KEYS = {"state": ((6,), "float32"), "action": ((2,), "float32"), "success": ((), "bool"), "snapshot": ((11,), "f8")}
SMALL = {"hidden": (32, 32), "ensemble": 2, "unroll": 2}
"""Fields of a model that learns it in a second or two."""


def episode(rng, steps=30):
    """Done when the disc is at the right."""
    place, rows = rng.uniform(50, 250, 2), []
    targets = np.array([400.0, 256.0]) + rng.normal(0, 40, (steps, 2))
    for target in targets:
        rows.append(place.copy())
        place = place + 0.3 * (target - place)
    disc = np.array(rows)
    rest = np.broadcast_to([256.0, 200.0, 1.0, 0.0], (steps, 4))
    state = np.concatenate([disc, rest], 1)
    return {
        "state": state.astype(np.float32),
        "action": targets.astype(np.float32),
        "success": disc[:, 0] > 380,
        "snapshot": np.concatenate([np.zeros((steps, 1)), state, np.zeros((steps, 4))], 1),
    }


def make_store(path: Path, episodes: int = 12, train: int = 9, roaming: int | None = None) -> Path:
    """A store whose first ``train`` episodes are for training; with ``roaming``, each so-many-th is a random walk."""
    made, rng = EpisodeStore.create(path, KEYS, {"suite": "pusht"}), np.random.default_rng(0)
    for i in range(episodes):
        operator = "random" if roaming and i % roaming == roaming - 1 else "pusher"
        meta = {"task": "push_t", "operator": operator, "split": "train" if i < train else "val", "success": True}
        made.append([(episode(rng), {**meta, "episode_index": i})])
    return path


def make_world(store: Path, folder: Path) -> str:
    """The folder of a tiny dream of it, with rewards and start states."""
    train(store, folder / "run", steps=80, changes=SMALL, batch_size=16, length=8, warmup=5, ema=0.9)
    config = FinishConfig(rewards={"epochs": 4, "batch_size": 32}, twin_per_task=0)
    finish_run(folder / "run", [store], folder / "disc", config, progress=False)
    return str(folder / "disc")
