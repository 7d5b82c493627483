import sys
from pathlib import Path

import pytest

from dreamgym.testing import point_mass_checkpoint

TESTS = Path(__file__).parents[1]
for folder in (TESTS, TESTS / "agents" / "diffusion_ppo"):  # disc.py, point_policies.py
    sys.path.insert(0, str(folder))


@pytest.fixture(scope="session")
def point_checkpoint(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))
