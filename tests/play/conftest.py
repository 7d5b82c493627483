import pytest

from dreamgym.play.open import opener
from dreamgym.testing import point_mass_checkpoint


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return point_mass_checkpoint(tmp_path_factory.mktemp("play"))


@pytest.fixture
def make_session(folder):
    return opener("Dream-v0", checkpoint=folder)[0]
