import sys
from pathlib import Path

import pytest

from dreamgym.testing import point_mass_checkpoint

STANDINS = Path(__file__).resolve().parents[3] / "standins"


@pytest.fixture
def lerobot(monkeypatch):
    """The stand-in of lerobot's API (0.6.2), importable for one test."""
    monkeypatch.syspath_prepend(str(STANDINS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "lerobot"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))
