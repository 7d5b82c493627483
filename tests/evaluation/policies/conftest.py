import pytest

from dreamgym.evaluation.policies import setup
from dreamgym.suites import Measure, Suite
from dreamgym.testing import PointMassEnv
from dreamgym.testing.point_mass import ACTION, TASKS

SUITE = Suite(
    "point_mass", TASKS, ACTION, 10.0, 64, PointMassEnv, measures=(Measure("tcp", "robot_obs", (0, 1, 2), "m"),)
)


@pytest.fixture(autouse=True)
def _point_mass_is_a_suite(monkeypatch):
    monkeypatch.setattr(setup, "suite_of", lambda opened: SUITE)
