import base64
import json
import os
import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecNormalize

import dreamgym
from dreamgym import cli
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.libraries import PolicyOptions
from dreamgym.evaluation.policies.load import load_policy, policy_name
from dreamgym.testing import PointMassModel
from dreamgym.types import ActionSpec

SPEC = PointMassModel().spec
TRUSTED = PolicyOptions(trust=True)
MODULE = "stable_baselines3.sac.policies"


def env_of(world, **options):
    return dreamgym.sb3_env("Dream-v0", num_envs=4, checkpoint=world, task="reach_right", split=None, **options)


@pytest.fixture(scope="module")
def model(world, tmp_path_factory):
    """A model that learned for a moment, saved by SB3."""
    file = tmp_path_factory.mktemp("sb3") / "model.zip"
    trained = PPO("MlpPolicy", env_of(world), n_steps=8, batch_size=32, n_epochs=1, seed=0, device="cpu")
    trained.learn(32)
    trained.save(file)
    return file, trained


def actions(policy, obs):
    return policy.act(obs, policy.start(len(obs), None), torch.ones(len(obs), dtype=torch.bool), None)[0]


def test_it_does_what_sb3_does(model):
    file, trained = model
    policy, obs = load_policy(f"sb3:{file}", SPEC, options=TRUSTED), torch.rand(6, 3)
    assert policy.obs == "features"
    assert policy.chunk is None
    assert np.array_equal(actions(policy, obs).numpy(), trained.predict(obs.numpy(), deterministic=True)[0])


def test_it_is_scored_in_dream_and_twin_from_the_command_line(model, world, capsys, tmp_path):
    file, _ = model
    words = [
        "--checkpoint",
        world,
        "--tasks",
        "reach_right",
        "--episodes",
        "3",
        "--horizon",
        "6",
        "--out",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit, match=r"loading it runs code: pass --trust-policy"):
        cli.main(["evaluate", f"sb3:{file}", *words])
    cli.main(["evaluate", f"sb3:{file}", *words, "--trust-policy"])
    assert "sb3:model" in capsys.readouterr().out
    kept = tmp_path / "sb3_model.reach_right.json"
    then = kept.stat().st_mtime_ns
    cli.main(["evaluate", f"sb3:{file}", *words, "--trust-policy"])
    assert kept.stat().st_mtime_ns == then  # the same model: its evaluation is taken as it is


@pytest.mark.parametrize("algorithm", [A2C, SAC, TD3])
def test_the_class_is_told_by_the_file_or_by_the_caller(algorithm, tmp_path):
    spaces = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32), gym.spaces.Box(-1, 1, (3,), np.float32)
    trained = algorithm("MlpPolicy", Blank(*spaces), device="cpu")
    trained.save(tmp_path / "m.zip")
    for name in (f"sb3:{tmp_path / 'm.zip'}", f"sb3:{algorithm.__name__}:{tmp_path / 'm'}"):
        policy, obs = load_policy(name, SPEC, options=TRUSTED), torch.rand(5, 3)
        assert type(policy.model) is algorithm
        assert np.array_equal(actions(policy, obs).numpy(), trained.predict(obs.numpy(), deterministic=True)[0])


class Flat(BaseFeaturesExtractor):
    """No convolutions: SB3's own want pictures of 36 pixels."""

    def __init__(self, space):
        super().__init__(space, sum(int(np.prod(part.shape or (part.n,))) for part in space.spaces.values()))

    def forward(self, obs):
        return torch.cat([part.flatten(1) for part in obs.values()], 1)


FLAT = {"features_extractor_class": Flat, "net_arch": [8]}


class Blank(gym.Env):
    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space


def test_observations_are_normalised_as_they_were_in_training(world, tmp_path):
    normal = VecNormalize(env_of(world, obs="state"), norm_reward=False)
    normal.reset()
    for _ in range(20):
        normal.step(np.stack([normal.action_space.sample() for _ in range(4)]))
    trained = PPO("MlpPolicy", normal, device="cpu", seed=1)
    trained.save(tmp_path / "m.zip")
    normal.save(str(tmp_path / "vn.pkl"))
    options = PolicyOptions(trust=True, vecnormalize=tmp_path / "vn.pkl", obs="state")
    policy, obs = load_policy(f"sb3:{tmp_path / 'm.zip'}", SPEC, options=options), torch.rand(6, 3) * 0.2
    assert policy.obs == "state"
    want = trained.predict(normal.normalize_obs(obs.numpy()), deterministic=True)[0]
    assert np.array_equal(actions(policy, obs).numpy(), want)
    assert not np.allclose(trained.predict(obs.numpy(), deterministic=True)[0], want)
    settings = {"episodes": 2, "horizon": 3, "trust_policy": True, "vecnormalize": tmp_path / "vn.pkl", "obs": "state"}
    result = evaluate(f"sb3:{tmp_path / 'm.zip'}", world, "reach_right", **settings)
    assert len(result.training["vecnormalize"]) == 64
    result.save(tmp_path / "result.json")
    assert type(result).load(tmp_path / "result.json").config == result.config
    with pytest.raises(ValueError, match="is of policies of sb3 alone"):
        evaluate("random", world, "reach_right", **settings)


@pytest.mark.parametrize("obs", ["pixels", "dict"])
def test_pictures_and_dicts(world, tmp_path, obs):
    trained = SAC("MultiInputPolicy", env_of(world, obs=obs), device="cpu", buffer_size=8, policy_kwargs=FLAT)
    trained.save(tmp_path / "m.zip")
    assert load_policy(f"sb3:{tmp_path / 'm.zip'}", SPEC, options=TRUSTED).obs == obs
    result = evaluate(f"sb3:{tmp_path / 'm.zip'}", world, "reach_right", episodes=2, horizon=3, trust_policy=True)
    assert len(result.twin) == 2


def test_actions_between_minus_one_and_one_are_scaled_back(world, tmp_path):
    wide = ActionSpec((0.0, 10.0), (1.0, 30.0))
    spaces = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32), gym.spaces.Box(-1, 1, (2,), np.float32)
    SAC("MlpPolicy", Blank(*spaces), device="cpu", buffer_size=8).save(tmp_path / "m.zip")
    policy = load_policy(f"sb3:{tmp_path / 'm.zip'}", replaced(wide), options=TRUSTED)
    policy.model.predict = lambda *args, **kwargs: (np.array([[-1.0, 0.5], [1.0, -1.0]], np.float32), None)
    assert actions(policy, torch.zeros(2, 3)).tolist() == [[0.0, 25.0], [1.0, 10.0]]


def replaced(action):
    from dataclasses import replace

    return replace(SPEC, action=action)


def test_chunks_of_actions(world, tmp_path):
    trained = PPO("MlpPolicy", env_of(world, chunk=4), n_steps=8, batch_size=32, device="cpu")
    trained.save(tmp_path / "m.zip")
    policy = load_policy(f"sb3:{tmp_path / 'm.zip'}", SPEC, options=TRUSTED)
    assert policy.chunk == 4
    assert actions(policy, torch.zeros(5, 3)).shape == (5, 4, 3)


def test_what_does_not_fit_is_refused(model, tmp_path, world):
    file, _ = model
    small = replaced(ActionSpec((-1.0, -1.0), (1.0, 1.0)))
    with pytest.raises(ValueError, match=r"actions are \(3,\), this world's have 2 entries"):
        load_policy(f"sb3:{file}", small, options=TRUSTED)
    spaces = gym.spaces.Box(-np.inf, np.inf, (7,), np.float32), gym.spaces.Box(-2, 2, (3,), np.float32)
    SAC("MlpPolicy", Blank(*spaces), device="cpu", buffer_size=8).save(tmp_path / "bounds.zip")
    with pytest.raises(ValueError, match=r"lie in \[-2, 2\], this world's in \[-1, 1\]"):
        load_policy(f"sb3:{tmp_path / 'bounds.zip'}", SPEC, options=TRUSTED)
    spaces = gym.spaces.Box(-np.inf, np.inf, (7,), np.float32), gym.spaces.Box(-1, 1, (3,), np.float32)
    SAC("MlpPolicy", Blank(*spaces), device="cpu", buffer_size=8).save(tmp_path / "seven.zip")
    with pytest.raises(ValueError, match=r"of shape \(7,\), this world shows \(3,\) as obs='state'"):
        evaluate(f"sb3:{tmp_path / 'seven.zip'}", world, "reach_right", episodes=1, trust_policy=True)


def test_what_is_no_model_is_one_error(model, tmp_path):
    file, _ = model
    (tmp_path / "junk.zip").write_bytes(b"junk")
    (tmp_path / "half.zip").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for name in ("junk", "half"):
        with pytest.raises(ValueError, match="no model that Stable-Baselines3 saved, or damaged"):
            load_policy(f"sb3:{tmp_path / name}.zip", SPEC, options=TRUSTED)
    with pytest.raises(FileNotFoundError, match="what a model's save"):
        load_policy("sb3:nothing.zip", SPEC, options=TRUSTED)
    with pytest.raises(ImportError, match="has 'DANCE' here"):
        load_policy(f"sb3:DANCE:{file}", SPEC, options=TRUSTED)
    with pytest.raises(ValueError, match="cannot be loaded as SAC"):
        load_policy(f"sb3:SAC:{file}", SPEC, options=TRUSTED)
    (tmp_path / "vn.pkl").write_bytes(pickle.dumps({"mean": 0}))
    with pytest.raises(ValueError, match="holds a dict, not what VecNormalize"):
        load_policy(f"sb3:{file}", SPEC, options=PolicyOptions(trust=True, vecnormalize=tmp_path / "vn.pkl"))
    (tmp_path / "vn.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match="save the VecNormalize again"):
        load_policy(f"sb3:{file}", SPEC, options=PolicyOptions(trust=True, vecnormalize=tmp_path / "vn.pkl"))


def test_nothing_runs_without_trust(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    data = {"policy_class": {":serialized:": base64.b64encode(pickle.dumps(Bomb())).decode(), "__module__": MODULE}}
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr("data", json.dumps(data))
    with pytest.raises(ValueError, match="runs code"):
        load_policy(f"sb3:{tmp_path / 'm.zip'}", SPEC)
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ValueError, match="cannot be loaded as SAC"):  # trusted, it does run
        load_policy(f"sb3:{tmp_path / 'm.zip'}", SPEC, options=TRUSTED)
    assert (tmp_path / "exploded").exists()


def test_names():
    assert policy_name("sb3:runs/sac/best_model.zip") == policy_name("sb3:SAC:runs/sac/best_model") == "sb3:best_model"
