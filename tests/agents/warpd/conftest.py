"""Fixtures of `warpd_points`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dreamgym_agents.warpd import Demonstrations, WARPDConfig
from warpd_points import LinearDynamics, make_config, make_demonstrations

sys.path.insert(0, str(Path(__file__).parents[2]))  # tests/disc.py


@pytest.fixture
def demonstrations() -> Demonstrations:
    return make_demonstrations()


@pytest.fixture
def config() -> Callable[..., WARPDConfig]:
    return make_config


@pytest.fixture
def dynamics() -> Callable[..., LinearDynamics]:
    return LinearDynamics
