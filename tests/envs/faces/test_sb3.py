import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy

import dreamgym
from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.sb3 import DreamVecEnv
from dreamgym.testing import PointMassConfig, PointMassModel, PointMassReward, point_mass_starts

pytestmark = pytest.mark.filterwarnings("ignore")


def make(folder, **options):
    return dreamgym.sb3_env("Dream-v0", checkpoint=folder, **{"num_envs": 4, "horizon": 8, **options})


@pytest.mark.parametrize("obs", ["features", "dict"])
def test_the_single_env_passes_sb3s_checker(folder, obs):
    check_env(gym.make("Dream-v0", checkpoint=folder, obs=obs).unwrapped)


def test_ppo_learns_to_reach(folder):
    env = make(folder, num_envs=16, task="reach_right", horizon=20, validate=False)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=256, learning_rate=3e-3, seed=0)
    before, _ = evaluate_policy(model, env, n_eval_episodes=40)
    model.learn(8192)
    after, _ = evaluate_policy(model, env, n_eval_episodes=40)
    assert after > max(0.8, before)


def test_an_ended_env_carries_its_terminal_observation(folder):
    env = make(folder, task="reach_top", horizon=2)
    env.seed(0)
    env.reset()
    action = np.tile(np.float32([0.1, 0.0, -1.0]), (4, 1))
    first, _, done, infos = env.step(action)
    assert not done.any()
    assert "terminal_observation" not in infos[0]
    second, _, done, infos = env.step(action)
    assert done.all()
    for i, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert np.allclose(info["terminal_observation"][:2], first[i, :2] + [0.01, 0.0])
        assert not np.allclose(info["terminal_observation"], second[i])
        assert info["is_success"] is False
        assert info["task"] == "reach_top"


def test_a_success_is_no_time_limit(folder):
    env = make(folder, task="turn_on_lamp")
    env.reset()
    _, reward, done, infos = env.step(np.ones((4, 3), np.float32))
    assert done.all()
    assert reward.tolist() == [1.0] * 4
    assert [i["TimeLimit.truncated"] for i in infos] == [False] * 4
    assert all(i["is_success"] for i in infos)


def test_a_model_failure_is_not_bootstrapped():
    model = PointMassModel(PointMassConfig(breaks_above=-2.0))
    core = DreamCore(model, PointMassReward(), point_mass_starts(), num_envs=2, task="reach_top")
    env = DreamVecEnv(core)
    env.reset()
    _, _, done, infos = env.step(np.zeros((2, 3), np.float32))
    assert done.all()
    assert [i["TimeLimit.truncated"] for i in infos] == [False, False]
    assert infos[0]["model_failure"]


def test_seed_repeats_a_reset(folder):
    env = make(folder)
    starts = []
    for seed in (3, 3, 4):
        env.seed(seed)
        starts.append(env.reset())
    assert np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


def test_pictures_tile(folder):
    env = make(folder, render_mode="rgb_array")
    env.reset()
    assert env.render().shape == (32, 32, 3)


def test_attributes_are_those_of_the_core(folder):
    env = make(folder)
    assert env.get_attr("num_envs") == [4] * 4
    assert env.get_attr("tasks", indices=[0, 2]) == [env.core.tasks] * 2
    with pytest.raises(NotImplementedError, match="make a new env"):
        env.set_attr("horizon", 3)


def test_another_autoreset_is_refused():
    with pytest.raises(ValueError, match="SB3 wants autoreset_mode='same_step': leave autoreset_mode='next_step' away"):
        dreamgym.sb3_env("Dream-PushT-v0", num_envs=2, autoreset_mode="next_step")


def test_gradients_are_not_cut_in_silence(folder):
    with pytest.raises(ValueError, match="numpy arrays cannot hold"):
        make(folder, gradients=True)


def test_bad_actions_raise(folder):
    env = make(folder)
    env.reset()
    with pytest.raises(ValueError, match="not finite"):
        env.step(np.full((4, 3), np.nan, np.float32))
