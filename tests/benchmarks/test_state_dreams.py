"""The dreams of states, on a made-up one: scripts that act in them, and what their cards say in the end."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from disc import SMALL, make_store

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import make_state_dream
import state_dreams

from dreamgym.evaluation.making.finish import finish_run
from dreamgym.evaluation.making.settings import FinishConfig
from dreamgym.training.checkpoint import file_sha256, load
from dreamgym.training.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As `make_state_dream.make` leaves it."""
    path = tmp_path_factory.mktemp("dream")
    make_store(path / "data")
    train(path / "data", path / "run", steps=20, changes=SMALL, batch_size=8, length=8, warmup=5, ema=0.9)
    args = argparse.Namespace(suite="pusht", tasks=())
    config = FinishConfig(rewards={"epochs": 2, "batch_size": 16}, fidelity={"windows": 16}, twin_per_task=0)
    notes = {"command": make_state_dream.command(args)}
    finish_run(path / "run", [path / "data"], path / "checkpoint", config, notes=notes, progress=False)
    return path


def test_a_shipped_checkpoint_tells_how_it_was_made_and_what_scripts_do_in_it(folder, tmp_path, monkeypatch):
    rows = [{"task": "push_t", "policy": "script", "dream": 0.75, "twin": 0.5, "episodes": 8}]
    entry = {"horizon": 300, "model": file_sha256(folder / "checkpoint" / "model.safetensors"), "rows": rows}
    (tmp_path / "found.json").write_text(json.dumps({"dreams": {"other": {"model": "0"}, "pusht": entry}}))
    monkeypatch.setattr(make_state_dream, "RESULTS", tmp_path / "found.json")
    monkeypatch.setattr(make_state_dream.checkpoint, "BUILT_IN", tmp_path / "checkpoints")
    args = argparse.Namespace(suite="pusht", folder=folder, store=None, tasks=())
    shipped = make_state_dream.ship(args, folder / "checkpoint")
    card = (shipped / "README.md").read_text()
    assert shipped == tmp_path / "checkpoints" / "pusht"
    assert 'gym.make("Dream-PushT-v0", task="push_t")' in card
    assert "| `push_t` | script | 75% | 50% | 8 |" in card
    assert "make_state_dream.py pusht --folder FOLDER" in card
    before, after = load(folder / "checkpoint"), load(shipped)
    assert all(torch.equal(a, b) for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))
    assert after.spec.uncertainty_limit == before.spec.uncertainty_limit


def test_fewer_training_starts_are_shipped_and_the_demo_still_begins_where_it_did(folder, tmp_path, monkeypatch):
    whole = load(folder / "checkpoint")
    recipes = {"pusht": replace(make_state_dream.RECIPES["pusht"], shipped_starts=2)}
    monkeypatch.setattr(make_state_dream, "RECIPES", recipes)
    monkeypatch.setattr(make_state_dream.checkpoint, "BUILT_IN", tmp_path)
    rows = torch.arange(len(whole.starts["split"]))[whole.starts["split"] > 0][-2:]
    monkeypatch.setattr(type(whole), "attachments", lambda opened: {"demo": {"row": rows}})
    args = argparse.Namespace(suite="pusht", folder=folder, data=None, tasks=())
    shipped = make_state_dream.ship(args, folder / "checkpoint")
    monkeypatch.undo()
    after = load(shipped)
    assert [(after.starts["split"] == s).sum() for s in (0, 1)] == [2, (whole.starts["split"] == 1).sum()]
    assert after.metrics["starts"]["counts"]["push_t"]["train"] == 2
    demo = after.attachments()["demo"]["row"]
    assert torch.equal(after.starts["state/obs"][demo], whole.starts["state/obs"][rows])


def test_what_scripts_did_in_another_dream_is_left_out(folder, tmp_path, monkeypatch):
    (tmp_path / "found.json").write_text(json.dumps({"dreams": {"pusht": {"model": "0"}}}))
    monkeypatch.setattr(make_state_dream, "RESULTS", tmp_path / "found.json")
    assert make_state_dream.scripted(load(folder / "checkpoint")) is None


def test_each_env_has_a_script_of_its_own_which_begins_anew_with_an_episode(monkeypatch):
    def counting(suite, task):
        calls = []

        def act(state, rng):
            calls.append(1)
            return np.array([len(calls), state[0]])

        return act

    monkeypatch.setattr(state_dreams, "script", counting)
    policy = state_dreams.ScriptPolicy("pusht", "push_t", 0.0)
    carry, states = policy.start(2), torch.tensor([[5.0], [6.0]])
    seen = []
    for fresh in ([True, True], [False, False], [False, True]):
        action, carry = policy.act(states, carry, torch.tensor(fresh))
        seen.append(action[:, 0].tolist())
    assert seen == [[1, 1], [2, 2], [3, 1]]
    assert action[:, 1].tolist() == [5, 6]
