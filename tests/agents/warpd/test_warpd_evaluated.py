"""An agent from the command line in a tiny MLP dream and in its twin, by its folder: a disc that follows its target."""

import json

import pytest
import torch
from disc import make_store, make_world
from dreamgym_agents.warpd import PlanningPolicy
from dreamgym_agents.warpd.saving import load

from dreamgym.cli import main
from dreamgym.evaluation.policies.evaluate import evaluate

pytest.importorskip("gym_pusht")
pytest.importorskip("tyro")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("demos") / "store", episodes=16, train=12)


@pytest.fixture(scope="module")
def world(store, tmp_path_factory):
    return make_world(store, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(store, world, tmp_path_factory):
    """A perceptron that goes to the right from wherever the disc is."""
    out = tmp_path_factory.mktemp("made") / "mlp"
    words = ["train", "--store", str(store), "--out", str(out), "--method", "mlp", "--suite", "pusht"]
    main(["warpd", *words, "--checkpoint", world, "--length", "8", "--diffusion-epochs", "60", "--width", "32"])
    return out


def test_it_is_shown_raw_states_and_answers_with_positions_in_both_worlds(made, world, monkeypatch):
    assert json.loads((made / "config.json").read_text())["config"]["action_origin"] == [0, 1]
    seen, policy, act = [], load(made), PlanningPolicy.act

    def watched(self, obs, carry, fresh, generator=None):
        action, after = act(self, obs, carry, fresh, generator)
        seen.append((obs.clone(), action, self.agent.follow(after["plan"], obs, after["steps"] - 1)))
        return action, after

    monkeypatch.setattr(PlanningPolicy, "act", watched)
    for other in ("twin", "dream"):
        seen.clear()
        evaluate(policy, world, "push_t", episodes=4, horizon=12, simulators=4, **{other: False})
        assert len(seen) >= 5
        for obs, action, learned in seen:
            assert obs[:, :2].min() > 20  # the disc's place in pixels: no standardised features
            assert torch.equal(action, learned + obs[:, :2])
        first = seen[0][0]
        if other == "twin":  # in the dream: where the block lies in `disc.py`, whose snapshots are made up
            assert first[:, 2].mean().item() == pytest.approx(256, abs=3)
        assert (seen[4][0][:, 0] > first[:, 0] + 20).all()  # it went to the right


def test_a_task_never_seen_is_refused_at_evaluation(made, world):
    config = made / "config.json"
    text = config.read_text()
    try:
        config.write_text(text.replace('"push_t"', '"pull_t"'))
        with pytest.raises(ValueError, match=r"\['push_t'\] were never seen: this agent was trained on \['pull_t'\]"):
            evaluate(str(made), world, "push_t", episodes=2, horizon=4, twin=False)
    finally:
        config.write_text(text)


def test_a_relative_chunk_from_the_command_line_is_followed_in_both_worlds(store, world, tmp_path):
    words = ["train", "--store", str(store), "--out", str(tmp_path / "made"), "--suite", "pusht", "--length", "8"]
    words += ["--method", "diffusion_policy_relative", "--checkpoint", world, "--vae-epochs", "2"]
    main(["warpd", *words, "--diffusion-epochs", "40"])
    done = evaluate(load(tmp_path / "made"), world, "push_t", episodes=2, horizon=8, simulators=2)
    assert len(done.twin) == len(done.dream) == 2
    held = json.loads((tmp_path / "made" / "config.json").read_text())
    assert held["kind"] == "diffusion_policy_relative" and held["config"]["action_origin"] == [0, 1]
