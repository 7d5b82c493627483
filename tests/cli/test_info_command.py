"""`dreamgym info`."""

import pytest

from dreamgym import __version__, cli
from dreamgym.cli.info import EXTRAS


def test_info_names_the_version_and_every_extra(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info"])
    out = capsys.readouterr().out
    assert f"dreamgym {__version__}" in out
    assert all(extra in out for extra in (*EXTRAS, "calvin", "metaworld", "pusht", "robosuite"))
