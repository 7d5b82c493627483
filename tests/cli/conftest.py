"""A world that commands work on: a bare checkpoint, play and demonstrations."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py
pytest.importorskip("tyro")

from fakes import KEYS, FakeModel, episode

from dreamgym.data import EpisodeStore
from dreamgym.sims.calvin import scene_obs_success
from dreamgym.training import checkpoint
from dreamgym.world_models.registry import register_family


def record(rng: np.random.Generator, action: np.ndarray) -> dict[str, np.ndarray]:
    made = episode(rng, len(action), action=action)
    return made | {"success": scene_obs_success("open_drawer", made["scene_obs"][:1], made["scene_obs"])}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a checkpoint that knows its world, play in it, and demonstrations of one task."""
    register_family("fake", FakeModel)
    checkpoint.save(tmp_path / "bare", FakeModel(slip=0.1))
    rng = np.random.default_rng(0)
    keys = KEYS | {"success": ((), "bool")}
    play, demos = (EpisodeStore.create(tmp_path / name, keys) for name in ("play", "demos"))
    for i in range(4):
        action = rng.uniform(-1, 1, (70, 7)).astype(np.float32)
        play.append([(record(rng, action), {"split": "val" if i > 2 else "train", "skills": []})])
    for i in range(12):
        action = np.zeros((24, 7), np.float32)
        action[4:, 1] = 0.9 if i % 2 else 0.2
        meta = {"split": "val" if i > 7 else "train", "task": "open_drawer", "success": bool(i % 2)}
        demos.append([(record(rng, action), meta | {"config": {"scene": "playtable", "image_size": 64}})])
    return tmp_path
