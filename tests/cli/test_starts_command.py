"""`dreamgym starts --add`."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("tyro")

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.testing import point_mass_checkpoint
from dreamgym.training import checkpoint as checkpoint_package
from dreamgym.training.checkpoint import load

KEYS = {
    "action": ((3,), "float32"),
    "robot_obs": ((3,), "float32"),
    "rgb_static": ((16, 16, 3), "uint8"),
    "snapshot": ((3,), "float64"),
    "success": ((), "bool"),
}


@pytest.fixture
def checkpoint(tmp_path):
    return point_mass_checkpoint(tmp_path / "point")


@pytest.fixture
def store(tmp_path):
    made = EpisodeStore.create(tmp_path / "test", KEYS, info={"suite": "point_mass"})
    for i, task in enumerate(("reach_right", "reach_top", "turn_on_lamp") * 2):
        where = np.array([0.01 * i, 0.25, 0.0])
        rows = {k: np.zeros((4, *shape), dtype) for k, (shape, dtype) in KEYS.items()}
        rows |= {"robot_obs": np.tile(where.astype(np.float32), (4, 1)), "snapshot": np.tile(where, (4, 1))}
        rows["success"][3] = True
        made.append([(rows, {"split": "test", "task": task})])
    return tmp_path / "test"


def test_test_starts_are_added_and_nothing_else_changes(checkpoint, store, capsys):
    before, files = load(checkpoint), json.loads((checkpoint / "config.json").read_text())["files"]
    cli.main(["starts", "--checkpoint", str(checkpoint), "--stores", str(store), "--num-test", "2", "--add"])
    after, now = load(checkpoint), json.loads((checkpoint / "config.json").read_text())["files"]
    assert {k for k in files if files[k] != now[k]} == {"starts.safetensors"}
    size = len(before.starts["task"])
    assert all(torch.equal(after.starts[k][:size], v) for k, v in before.starts.items())
    assert after.starts["split"][size:].tolist() == [2] * 6
    held = before.starts_meta["counts"]
    assert after.starts_meta["counts"] == {t: {**held[t], "test": 2} for t in before.starts_meta["tasks"]}
    assert after.metrics["starts"]["counts"] == after.starts_meta["counts"]
    assert "reach_top" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="already has"):
        cli.main(["starts", "--checkpoint", str(checkpoint), "--stores", str(store), "--add"])


def test_an_evaluation_then_takes_the_test_starts_by_default(checkpoint, store, capsys, tmp_path):
    words = ["evaluate", "hold", "--checkpoint", str(checkpoint), "--episodes", "4", "--out", str(tmp_path / "out")]
    words += ["--tasks", "reach_right", "--horizon", "3"]
    cli.main(words)
    cli.main(["starts", "--checkpoint", str(checkpoint), "--stores", str(store), "--num-test", "2", "--add"])
    file = tmp_path / "out" / "hold.reach_right.json"
    told = [json.loads(file.read_text())]
    cli.main(words)
    told.append(json.loads(file.read_text()))
    assert [t["config"]["split"] for t in told] == ["val", "test"]
    assert told[0]["hashes"]["starts"] != told[1]["hashes"]["starts"]
    assert told[0]["hashes"]["model"] == told[1]["hashes"]["model"]
    assert told[1]["twin"]["num_starts"] == 2


def test_a_checkpoint_that_comes_with_dreamgym_is_not_amended_in_place(store, tmp_path, monkeypatch):
    from dreamgym.training.checkpoint import names

    point_mass_checkpoint(tmp_path / "package" / "point")
    for module in (names, checkpoint_package):
        monkeypatch.setattr(module, "BUILT_IN", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="comes with dreamgym and stays as it is: .* --out"):
        cli.main(["starts", "--checkpoint", "point", "--stores", str(store), "--add"])
    assert not (tmp_path / "point").exists()
    cli.main(["starts", "--checkpoint", "point", "--stores", str(store), "--num-test", "1", "--add", "--out", "mine"])
    assert load(tmp_path / "mine").starts_meta["counts"]["reach_top"]["test"] == 1


def test_a_checkpoint_without_its_card_is_amended(checkpoint, store):
    (checkpoint / "README.md").unlink()
    cli.main(["starts", "--checkpoint", str(checkpoint), "--stores", str(store), "--num-test", "1", "--add"])
    assert load(checkpoint).starts_meta["counts"]["reach_top"]["test"] == 1
