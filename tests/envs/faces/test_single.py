import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.faces.single import DreamEnv
from dreamgym.testing.instructed_point import instructed_point_checkpoint


@pytest.mark.parametrize("obs", ["features", "state", "pixels", "dict"])
@pytest.mark.filterwarnings("ignore:.*Box observation space.*infinity.*")
def test_passes_gymnasiums_checker(folder, obs):
    check_env(gym.make("Dream-v0", checkpoint=folder, obs=obs).unwrapped)


def test_an_episode_ends_at_its_horizon(folder):
    env = gym.make("Dream-v0", checkpoint=folder, task="reach_top", horizon=3)
    env.reset(seed=0)
    flags = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]


def test_info_is_plain_python(folder):
    env = gym.make("Dream-v0", checkpoint=folder, task="reach_right")
    _, info = env.reset(seed=0)
    assert info["task"] == "reach_right"
    info = env.step(np.zeros(3, np.float32))[4]
    assert type(info["is_success"]) is bool
    assert type(info["success_probability"]) is float
    assert info["uncertainty"] > 0


def test_render_enlarges(folder):
    env = gym.make("Dream-v0", checkpoint=folder, render_mode="rgb_array", render_scale=4)
    env.reset(seed=0)
    assert env.render().shape == (64, 64, 3)
    assert gym.make("Dream-v0", checkpoint=folder).unwrapped.render() is None


def test_a_clip_is_rendered_frame_by_frame(tmp_path):
    path = instructed_point_checkpoint(tmp_path / "world")
    env = gym.make("Dream-v0", checkpoint=path, horizon=64, render_mode="rgb_array_list", render_scale=2).unwrapped
    whole = gym.make("Dream-v0", checkpoint=path, horizon=64, render_mode="rgb_array").unwrapped
    for each in (env, whole):
        each.reset(seed=0, options={"task": "reach_right"})
    assert [p.shape for p in env.render()] == [(32, 32, 3)]
    stepped, taken = env.step(1), whole.step(1)
    np.testing.assert_allclose(stepped[0], taken[0])
    assert stepped[1:4] == taken[1:4]
    film = env.render()
    assert len(film) == 4
    np.testing.assert_array_equal(film[-1][::2, ::2], whole.render())
    assert not np.array_equal(film[0], film[-1])
    assert env.render() == []
    assert env.metadata["render_fps"] == 5  # 10 control actions a second, two a frame


def test_a_fidelity_that_the_model_lacks_is_told(folder):
    with pytest.raises(ValueError, match=r"knows no fidelity 'preview'; it knows none"):
        gym.make("Dream-v0", checkpoint=folder, fidelity="preview")


def test_step_before_reset_and_after_close(folder):
    env = gym.make("Dream-v0", checkpoint=folder)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(3, np.float32))
    env.reset()
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.unwrapped.step(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(3, np.nan, np.float32), "not finite"),
        (np.full(3, 2, np.float32), "outside"),
        (np.zeros(2, np.float32), "shape"),
    ],
)
def test_bad_actions_raise(folder, action, message):
    env = gym.make("Dream-v0", checkpoint=folder).unwrapped
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_gradients_are_not_cut_in_silence(folder):
    with pytest.raises(ValueError, match="numpy arrays cannot hold"):
        gym.make("Dream-v0", checkpoint=folder, gradients=True)


def test_needs_a_core_of_one_env(parts):
    with pytest.raises(ValueError, match="num_envs=1"):
        DreamEnv(DreamCore(*parts, num_envs=2, autoreset="disabled"))
