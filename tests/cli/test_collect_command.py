"""`dreamgym collect`."""

from pathlib import Path

import pytest

from dreamgym import cli


def test_collect_fills_a_store_and_continues_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pybullet")
    words = ["collect", "--store", str(tmp_path / "play"), "--image-size", "16", "--episode-steps", "8", "--num-steps"]
    cli.main([*words, "8"])
    assert "1 episodes, 8 steps, 1 new" in capsys.readouterr().out
    cli.main([*words, "16"])
    assert "2 episodes, 16 steps, 1 new" in capsys.readouterr().out
