"""`dreamgym fit`."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import KEYS, episode

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.training.checkpoint import load


def test_fit_takes_model_fields_and_refuses_strangers(tmp_path: Path) -> None:
    shapes = {k: KEYS[k] for k in ("robot_obs", "scene_obs", "action")}
    store = EpisodeStore.create(tmp_path / "play", shapes)
    whole = episode(np.random.default_rng(0), 12)
    store.append([({k: whole[k] for k in shapes}, {"split": "train"})])
    words = ["fit", "--store", str(store.path), "--family", "rssm", "--steps", "1", "--batch-size", "2"]
    words += ["--length", "6", "--run", str(tmp_path / "run"), "--set", "deter=16", "variant=state"]
    cli.main([*words, "units=8"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["deter"] == 16
    with pytest.raises(SystemExit, match="no field 'width'"):
        cli.main([*words, "width=8"])


def test_fit_says_which_family_it_took_and_writes_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store = EpisodeStore.create(tmp_path / "points", {"state": ((2,), "float32"), "action": ((2,), "float32")})
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    store.append([({"state": rows, "action": rows}, {"split": "train"})])
    words = ["fit", "--store", str(store.path), "--run", str(tmp_path / "run"), "--steps", "2", "--set", "hidden=[8]"]
    with pytest.raises(SystemExit, match="no field 'width'"):
        cli.main([*words, "width=8"])
    assert "family mlp" not in caplog.text
    cli.main([*words, "--out", str(tmp_path / "dream")])
    assert f"family mlp, 1 episodes of {store.path}" in caplog.text
    assert "2 updates done" in capsys.readouterr().out
    assert load(tmp_path / "dream").model.config.hidden == (8,)


def test_fit_goes_on_with_a_run_without_being_told_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = EpisodeStore.create(tmp_path / "points", {"state": ((2,), "float32"), "action": ((2,), "float32")})
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    store.append([({"state": rows, "action": rows}, {"split": "train"})])
    words = ["fit", "--store", str(store.path), "--run", str(tmp_path / "run")]
    cli.main([*words, "--steps", "2", "--set", "hidden=[8]", "--seed", "3", "--batch-size", "4"])
    cli.main([*words, "--steps", "4"])
    assert "4 updates done" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="begun with seed=3, not 4"):
        cli.main([*words, "--steps", "5", "--seed", "4"])


def test_fit_refuses_a_checkpoints_place_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(SystemExit, match="choose another path"):
        cli.main(["fit", "--store", "nowhere", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "notes")])
