"""`dreamgym rewards` and `dreamgym starts`."""

from pathlib import Path

import pytest

from dreamgym import cli
from dreamgym.training import checkpoint


def test_rewards_and_starts_make_a_bare_checkpoint_whole(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare, whole, demos = str(world / "bare"), str(world / "whole"), str(world / "demos")
    cli.main(["rewards", "--checkpoint", bare, "--stores", demos, "--epochs", "2", "--out", whole])
    cli.main(["starts", "--checkpoint", whole, "--stores", demos, "--num-train", "3", "--num-val", "1"])
    assert "open_drawer" in capsys.readouterr().out
    opened = checkpoint.load(whole)
    assert opened.rewards["success"].tasks == ("open_drawer",)
    assert opened.starts is not None
    assert opened.starts["task"].shape == (4,)
    assert opened.simulator == {"id": "calvin", "kwargs": {"scene": "playtable", "image_size": 64, "cameras": []}}
    assert not checkpoint.load(bare).rewards
