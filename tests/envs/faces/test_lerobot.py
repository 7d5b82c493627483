"""The calls that lerobot-eval makes (lerobot 0.6.2, commit 7427f31, scripts/lerobot_eval.py), made here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamgym.envs.faces.lerobot import make_env
from dreamgym.testing import point_mass_checkpoint

ENVHUB = Path(__file__).resolve().parents[3] / "examples" / "envhub" / "env.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("lerobot")))


def made(folder, twin=False, n=3, **options):
    name, key = ("Real-v0", "world_model") if twin else ("Dream-v0", "checkpoint")
    return make_env(n, id=name, split=None, **{key: folder}, **options)


def preprocessed(obs):
    """What LeRobot's `preprocess_observation` demands of an observation, and makes of it."""
    out = {}
    for camera, image in obs["pixels"].items():
        _, height, width, channels = image.shape
        assert channels < height
        assert channels < width
        assert image.dtype == np.uint8
        out[f"observation.images.{camera}"] = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    out["observation.state"] = torch.from_numpy(obs["agent_pos"]).float()
    return out


def rollout(env, seeds, act):
    """LeRobot's loop."""
    obs, _ = env.reset(seed=seeds, options={"lerobot_new_rollout": True})
    done, successes, rewards, step = np.zeros(env.num_envs, bool), [], [], 0
    most = env.call("_max_episode_steps")[0]
    assert env.get_attr("task_description") and env.get_attr("task")  # else its policies go without
    films = [np.stack(env.call("render")[:2])]
    while not done.all() and step < most:
        seen = preprocessed(obs)
        assert len(list(env.call("task_description"))) == env.num_envs
        action = act(seen, done)
        assert action.ndim == 2
        obs, reward, terminated, truncated, info = env.step(action)
        films.append(np.stack(env.call("render")[:2]))
        if "final_info" in info:
            successes.append(np.asarray(info["final_info"]["is_success"].tolist()))
        elif "is_success" in info:
            successes.append(np.asarray(info["is_success"].tolist()))
        rewards.append(np.where(done, 0.0, reward))
        done = terminated | truncated | done
        step += 1
    assert np.stack(films, 1).shape[:2] == (2, step + 1)
    return np.stack(successes), np.stack(rewards), done, obs


@pytest.mark.parametrize("twin", [False, True])
def test_lerobots_loop_runs(folder, twin):
    envs = made(folder, twin)
    ((name, tasks),) = envs.items()
    assert name == ("Real-v0" if twin else "Dream-v0")
    env = tasks[0]
    assert env.get_attr("task") == (env.task,) * 3
    push = np.full((3, env.single_action_space.shape[0]), 0.2, np.float32)
    successes, rewards, done, obs = rollout(env, [0, 1, 2], lambda seen, done: push)
    assert done.all()
    assert env.observation_space.contains({k: v if k == "pixels" else np.asarray(v) for k, v in obs.items()})
    assert (rewards.sum(0) == successes.any(0)).all()
    assert env.metadata["render_fps"] >= 1
    assert len(env.call("render")) == 3
    for each in tasks.values():
        each.close()


@pytest.mark.parametrize("twin", [False, True])
def test_a_seed_is_a_start_however_it_is_batched(folder, twin):
    one = next(iter(made(folder, twin, n=4).values()))[0]
    two = next(iter(made(folder, twin, n=2).values()))[0]
    all_at_once = one.reset(seed=[5, 6, 7, 8])[0]["agent_pos"]
    later = two.reset(seed=[7, 8])[0]["agent_pos"]
    np.testing.assert_allclose(later, all_at_once[2:], atol=1e-6)
    assert len(np.unique(all_at_once.round(4), axis=0)) == 4
    np.testing.assert_allclose(one.reset(seed=5)[0]["agent_pos"], all_at_once, atol=1e-6)
    one.close(), two.close()


def test_an_env_that_ended_keeps_still_and_pays_no_more(folder):
    env = next(iter(made(folder, horizon=4).values()))[0]
    env.reset(seed=[0, 1, 2])
    zero = np.zeros((3, env.single_action_space.shape[0]), np.float32)
    for _ in range(4):
        obs, _, terminated, truncated, info = env.step(zero)
    assert (terminated | truncated).all()
    assert "final_info" in info
    after, reward, *_, info = env.step(zero + 1)
    assert (reward == 0).all()
    assert "final_info" not in info
    np.testing.assert_array_equal(after["agent_pos"], obs["agent_pos"])
    env.close()


def test_what_is_wrong_is_told(folder):
    with pytest.raises(ValueError, match="n_envs must be a whole number of at least 1, got 0"):
        make_env(n_envs=0, id="Dream-v0", checkpoint=folder)
    env = next(iter(made(folder).values()))[0]
    with pytest.raises(ValueError, match="3 whole numbers from 0"):
        env.reset(seed=[0, 1])
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"mine": True})
    with pytest.raises(AttributeError, match="answers to"):
        env.call("fly")
    with pytest.raises(ValueError, match=r"unknown task\(s\) \['fly'\]"):
        made(folder, tasks=["fly"])
    with pytest.raises(ValueError, match="not a dream or a twin"):
        make_env(1, id="CartPole-v1")
    env.close()


def test_no_core_is_made_before_it_is_needed(folder):
    envs = next(iter(made(folder).values()))
    for env in envs.values():
        env.close()
        assert "core" not in env.__dict__


def test_the_file_for_the_hub_is_called_as_lerobot_calls_it(folder, monkeypatch):
    spec = importlib.util.spec_from_file_location("hub_env_test", ENVHUB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.make_env(n_envs=2, use_async_envs=False)
    assert list(made) == ["Dream-PlayTable-v0"]
    env = made["Dream-PlayTable-v0"][0]
    obs, _ = env.reset(seed=[0, 1], options={"lerobot_new_rollout": True})
    assert set(obs["pixels"]) == {"rgb_static", "rgb_gripper"}
    assert preprocessed(obs)["observation.state"].shape[0] == 2
    for each in made["Dream-PlayTable-v0"].values():
        each.close()
