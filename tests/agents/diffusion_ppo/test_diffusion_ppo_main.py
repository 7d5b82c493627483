"""The command line: clone, then tune, on a store and a world that take a second."""

import json

import pytest
from point_policies import write_store

pytest.importorskip("tyro")

from dreamgym_agents.diffusion_ppo.__main__ import main


def test_clone_then_tune(point_checkpoint, tmp_path, capsys):
    write_store(tmp_path / "demos")
    base, run = tmp_path / "base", tmp_path / "run"
    words = ["clone", "--demonstrations", str(tmp_path / "demos"), "--task", "reach_right", "--out", str(base)]
    main([*words, "--checkpoint", point_checkpoint, "--policy", "gaussian", "--epochs", "2"])
    assert json.loads((base / "config.json").read_text())["policy"] == "gaussian_ppo"
    assert "held_out_loss" in (tmp_path / "base.run" / "log.jsonl").read_text()
    words = ["tune", "--policy", str(base), "--run", str(run), "--env", "Dream-v0", "--checkpoint", point_checkpoint]
    main([*words, "--num-envs", "4", "--horizon", "8", "--total-steps", "64", "--eval-every", "1"])
    told = json.loads((run / "best" / "config.json").read_text())
    assert told["task"] == "reach_right"
    assert told["world_model"] == point_checkpoint
    assert "0 simulator steps" in capsys.readouterr().out


def test_what_is_wrong_is_told_without_a_traceback(tmp_path):
    with pytest.raises(SystemExit, match="is no policy"):
        main(["tune", "--policy", str(tmp_path), "--run", str(tmp_path / "run")])
