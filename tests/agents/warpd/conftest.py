"""Fixtures of `warpd_points`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dreamgym_agents.warpd import Demonstrations, WARPDConfig
from warpd_points import LinearDynamics, make_config, make_demonstrations


@pytest.fixture
def demonstrations() -> Demonstrations:
    return make_demonstrations()


@pytest.fixture
def config() -> Callable[..., WARPDConfig]:
    return make_config


@pytest.fixture
def dynamics() -> Callable[..., LinearDynamics]:
    return LinearDynamics
