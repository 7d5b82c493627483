"""The point mass as a checkpoint on disk, once a session."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dreamgym.testing import PointMassModel, PointMassReward, point_mass_checkpoint, point_mass_starts
from dreamgym.training.checkpoint import load

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/no_sync.py


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("checkpoint") / "point_mass"))


@pytest.fixture
def checkpoint(folder):
    return load(folder)


@pytest.fixture
def parts():
    """Model, reward and starts."""
    return PointMassModel(), PointMassReward(), point_mass_starts()
