"""Whether a new checkpoint is worse than an old one, on the point mass whose gain is known."""

import json
from dataclasses import replace

import pytest
import torch
from toy_stores import make_store, wander

from dreamgym import cli
from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making.gate import GateConfig, compare_checkpoints
from dreamgym.testing.point_mass import PointMassEnv, PointMassModel, PointMassReward, point_mass_starts
from dreamgym.testing.two_robots import two_robots_checkpoint
from dreamgym.training.checkpoint import load, save

CONFIG = GateConfig(windows=24, steps=20, batch_size=12)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sixteen episodes, half of them held out, done where x is right of 0.5, as the reward has it."""
    path = tmp_path_factory.mktemp("gate") / "store"
    return make_store(path, PointMassEnv(), wander(3), {"suite": "point_mass"}, episodes=16, goal=0.5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint whose gain, and whose threshold of success, is that many times the true one."""
    folder = tmp_path_factory.mktemp("gates")

    def made(gain, threshold=1.0):
        path = folder / f"{gain}_{threshold}"
        if not path.exists():
            model, reward, starts = PointMassModel(), PointMassReward(), point_mass_starts()
            with torch.no_grad():
                model.gain.mul_(gain)
                reward.thresholds.mul_(threshold)
            parts = {"starts": starts.to_tensors(), "starts_meta": {"tasks": list(starts.tasks)}}
            save(path, model, rewards={"success": reward}, simulator={"id": "point_mass", "kwargs": {}}, **parts)
        return load(path)

    return made


def changes(old, new, store, **settings):
    config = GateConfig(**{**vars(CONFIG), **settings})
    return {(c.part, c.name): c for c in compare_checkpoints(old, new, store, config)}


def test_a_checkpoint_is_no_worse_than_itself(saved, store):
    found = changes(saved(0.8), saved(0.8), store)
    assert {part for part, _ in found} == {"fidelity", "classifier", "agreement"}
    for change in found.values():
        assert (change.old, change.loss, change.worse) == (change.new, 0, False), change


def test_a_wrong_gain_shows_in_the_errors_and_in_the_agreement(saved, store):
    found = changes(saved(0.9), saved(0.4), store)
    position = found["fidelity", "position"]
    assert position.worse and position.low > 0.05
    assert position.loss == pytest.approx(position.new / position.old - 1, rel=1e-6)
    assert found["fidelity", "rgb_static"].worse and found["fidelity", "rgb_static"].unit == "dB"
    assert not found["fidelity", "lamp"].worse
    assert not found["classifier", "success"].worse  # filtered frames do not depend on the gain
    assert found["agreement", "success"].loss > 0


def test_a_better_checkpoint_is_not_worse(saved, store):
    found = changes(saved(0.4), saved(0.9), store)
    assert found["fidelity", "position"].high < 0
    assert not any(change.worse for change in found.values())


def test_a_threshold_that_finds_nothing_shows_in_the_classifier_alone(saved, store):
    found = changes(saved(1.0), saved(1.0, threshold=2.0), store)
    classifier = found["classifier", "success"]
    assert classifier.worse and classifier.old > 0.9 and classifier.new < 0.5
    assert not any(change.worse for (part, _), change in found.items() if part == "fidelity")


def test_what_lies_within_the_tolerance_is_not_worse(saved, store):
    small = changes(saved(0.8), saved(0.79), store)["fidelity", "position"]
    assert 0 < small.low < small.loss < 0.1
    assert not changes(saved(0.8), saved(0.79), store, tolerance=0.1)["fidelity", "position"].worse
    assert changes(saved(0.8), saved(0.79), store, tolerance=0.01)["fidelity", "position"].worse


def test_what_cannot_be_compared_is_told(saved, store, tmp_path):
    with pytest.raises(ValueError, match="has 0 episodes of the split 'test': at least 2"):
        changes(saved(1.0), saved(0.9), store, split="test")
    with pytest.raises(ValueError, match="a frame of one spans 1 actions, of the other 5"):
        changes(saved(1.0), replace(load(two_robots_checkpoint(tmp_path / "robots")), simulator=None), store)


def test_the_command_ends_with_status_one_where_the_new_one_is_worse(saved, store, tmp_path, capsys):
    pytest.importorskip("tyro")
    good, bad = str(saved(0.9).path), str(saved(0.4).path)
    words = ["--store", str(store.path), "--windows", "24", "--steps", "20"]
    cli.main(["compare", bad, good, *words])
    assert "is not worse than" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["compare", good, bad, *words, "--json", str(tmp_path / "gate.json")])
    assert stop.value.code == 1
    assert "worse: fidelity rgb_static, fidelity position" in capsys.readouterr().out
    told = json.loads((tmp_path / "gate.json").read_text())
    assert {"old", "new", "store", "provenance", "tolerance", "changes"} <= set(told)
    assert any(change["worse"] for change in told["changes"])


def test_unmarked_episodes_are_compared_in_fidelity_alone(saved, store, tmp_path):
    keys = {name: spec for name, spec in store.keys.items() if name != "success"}
    bare = EpisodeStore.create(tmp_path / "bare", keys, store.info)
    bare.append([(dict(store.episode(i, list(keys))), meta) for i, meta in enumerate(store.metas)])
    assert {part for part, _ in changes(saved(1.0), saved(0.9), bare)} == {"fidelity"}
