"""Policies on disk."""

import json

import pytest
import torch
from dreamgym_agents.diffusion_ppo import load_policy, save_policy
from point_policies import make_policy

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.load import load_policy as load_by_name
from dreamgym.testing import PointMassModel
from dreamgym.training.checkpoint import CheckpointError


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
@pytest.mark.parametrize("tuned", [False, True])
def test_what_was_saved_acts_alike(kind, tuned, tmp_path):
    policy = make_policy(kind).for_tuning(2) if tuned else make_policy(kind)
    loaded = load_policy(save_policy(tmp_path / "policy", policy, task="reach_right", world_model="point"))
    assert loaded.config == policy.config
    obs, noise = torch.rand(4, 3), policy.draw_noise(4)
    torch.testing.assert_close(loaded.decide(obs, noise), policy.decide(obs, noise), rtol=0, atol=0)


def test_the_evaluation_finds_it_by_its_folder(tmp_path):
    folder = save_policy(tmp_path / "policy", make_policy())
    assert type(load_by_name(folder, PointMassModel().spec)).__name__ == "DiffusionPolicy"


def test_the_same_policy_acts_in_dream_and_twin(point_checkpoint, tmp_path):
    metrics = {"iteration": 3, "dream_steps": 640, "sim_steps": 0}
    folder = save_policy(tmp_path / "policy", make_policy().for_tuning(2), task="reach_right", metrics=metrics)
    found = evaluate(folder, point_checkpoint, "reach_right", episodes=4, horizon=8)
    # The point mass is an exact world model, so the same decisions come to the same end in both.
    assert (found.dream.length == found.twin.length).all()
    assert abs(found.dream.returns - found.twin.returns).max() < 1e-2
    assert {k: found.training[k] for k in metrics} == metrics


def test_a_second_save_replaces_the_first_whole(tmp_path):
    save_policy(tmp_path / "policy", make_policy(), metrics={"iteration": 1})
    save_policy(tmp_path / "policy", make_policy("gaussian"), metrics={"iteration": 2})
    assert json.loads((tmp_path / "policy" / "config.json").read_text())["metrics"] == {"iteration": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]


def test_it_overwrites_nothing_else(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="no policy's folder"):
        save_policy(tmp_path / "mine", make_policy())


def damage_weights(folder):
    file = folder / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def damage_config(folder):
    (folder / "config.json").write_text('{"format": 1, "pol')


def from_the_future(folder):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 99}))


def of_another_kind(folder):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"policy": "other"}))


def without(key):
    def harm(folder):
        file = folder / "config.json"
        config = json.loads(file.read_text())
        del config[key]
        file.write_text(json.dumps(config))

    return harm


def of_other_sizes(folder):
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["config"]["hidden"] = [8, 8]
    file.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (damage_weights, "policy.safetensors is damaged"),
        (damage_config, "config.json is damaged"),
        (from_the_future, "reads up to format 1"),
        (of_another_kind, "describes no policy of"),
        (of_other_sizes, "do not fit"),
        (without("format"), "describes no policy of"),
        (without("files"), "describes no policy of"),
        (without("config"), "do not fit"),
    ],
)
def test_harm_is_told_with_its_mend(harm, told, tmp_path):
    folder = save_policy(tmp_path / "policy", make_policy())
    harm(folder)
    with pytest.raises(CheckpointError, match=told):
        load_policy(folder)


def test_no_folder_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="is no policy"):
        load_policy(tmp_path / "none")
