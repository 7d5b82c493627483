"""A point on a square as a dream."""

import sys
from pathlib import Path

import gymnasium as gym
import pytest

import dreamgym  # noqa: F401 - registers the ids
from dreamgym.testing import point_mass_checkpoint

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/disc.py


@pytest.fixture(scope="session")
def point_checkpoint(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


@pytest.fixture
def dream(point_checkpoint):
    def make(num_envs=8, **changes):
        options = {"task": "reach_right", "horizon": 16, "reward": "probability", "chunk": 4, "array": "torch"}
        return gym.make_vec("Dream-v0", num_envs=num_envs, checkpoint=point_checkpoint, **{**options, **changes})

    return make
