import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from dreamgym.testing import check_vector_env


def make(folder, mode="same_step", array="numpy", **options):
    options = {"num_envs": 3, "horizon": 8, **options}
    return gym.make_vec("Dream-v0", checkpoint=folder, autoreset_mode=mode, array=array, **options)


@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("obs", ["features", "dict"])
def test_keeps_gymnasiums_promises(folder, array, obs):
    check_vector_env(lambda mode: make(folder, mode, array, obs=obs), steps=12, horizon=8)


def test_metadata_names_the_autoreset_mode(folder):
    for mode in AutoresetMode:
        assert make(folder, mode).metadata["autoreset_mode"] is mode
        assert make(folder, mode.value).metadata["autoreset_mode"] is mode


def test_final_obs_follow_gymnasiums_layout(folder):
    env = make(folder, horizon=1, task="reach_top")
    env.reset(seed=0)
    info = env.step(np.zeros((3, 3), np.float32))[4]
    assert info["final_obs"].dtype == object
    assert info["final_obs"][0].shape == (3,)
    assert info["_final_obs"].all()
    assert info["final_info"]["horizon_reached"].all()
    assert not info["_is_success"].any()


def test_gymnasiums_wrappers_work_on_it(folder):
    env = gym.wrappers.vector.RecordEpisodeStatistics(make(folder, horizon=4, task="reach_top"))
    env.reset(seed=0)
    for _ in range(4):
        info = env.step(np.zeros((3, 3), np.float32))[4]
    assert (info["episode"]["l"] == 4).all()


def test_torch_arrays_stay_torch(folder):
    env = make(folder, array="torch")
    obs, _ = env.reset(seed=0)
    out = env.step(torch.zeros(3, 3))
    assert all(isinstance(x, torch.Tensor) for x in (obs, *out[:4], out[4]["success_probability"]))


def test_numpy_face_validates_and_torch_face_does_not(folder):
    bad = np.full((3, 3), np.nan, np.float32)
    env = make(folder)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="not finite"):
        env.step(bad)
    loose = make(folder, array="torch")
    loose.reset(seed=0)
    assert loose.step(torch.from_numpy(bad))[4]["final_info"]["model_failure"].all()


def test_render_shows_every_env(folder):
    env = make(folder, render_mode="rgb_array", render_scale=2)
    env.reset(seed=0)
    frames = env.render()
    assert len(frames) == 3
    assert frames[0].shape == (32, 32, 3)
    assert frames[0].dtype == np.uint8
    assert frames[0].max() > 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"array": "jax"}, "array must be one of"),
        ({"mode": "never"}, "autoreset_mode must be one of"),
        ({"render_mode": "human"}, "render_mode must be"),
        ({"render_scale": 0}, "render_scale must be"),
        ({"gradients": True}, "numpy arrays cannot hold: take torch tensors"),
    ],
)
def test_bad_options_are_one_clear_error(folder, options, message):
    with pytest.raises(ValueError, match=message):
        make(folder, **options)


def test_a_seed_is_the_whole_batchs(folder):
    envs = gym.make_vec("Dream-v0", num_envs=2, checkpoint=folder)
    with pytest.raises(ValueError, match="one seed is that of all 2 envs"):
        envs.reset(seed=[1, 2])
    envs.reset(seed=np.int64(1))


def test_gymnasium_can_vectorise_the_single_env_too(folder):
    options = {"checkpoint": folder, "task": "reach_top", "horizon": 2}
    env = gym.make_vec("Dream-v0", num_envs=2, vectorization_mode="sync", **options)
    env.reset(seed=0)
    for _ in range(2):
        truncated = env.step(np.zeros((2, 3), np.float32))[3]
    assert truncated.all()


ASYNC = """
import gymnasium as gym, torch, dreamgym
torch.set_num_threads(2)
torch.randn(600, 600) @ torch.randn(600, 600)  # torch has threads now, which a fork does not take along
if __name__ == "__main__":
    env = gym.make_vec("Dream-PushT-v0", num_envs=2, vectorization_mode="async")
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
"""


def test_gymnasiums_own_async_vectorization_works_once_torch_has_threads(tmp_path):
    script = tmp_path / "asynchronous.py"
    script.write_text(ASYNC)
    done = subprocess.run([sys.executable, str(script)], timeout=120, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
