import gymnasium as gym
import numpy as np
import pytest

from dreamgym.envs.faces.chunk import ChunkActions
from dreamgym.testing import PointMassEnv

RIGHT = np.array([1.0, 0.0, -1.0], np.float32)


def begun(x):
    env = ChunkActions(PointMassEnv(task="reach_right"), 4)
    env.reset(options={"snapshot": np.array([x, 0.0, 0.0])})
    return env


def test_stops_at_the_first_end_and_sums_rewards():
    obs, reward, terminated, truncated, info = begun(0.35).step(np.tile(RIGHT, (4, 1)))
    assert obs["robot_obs"][0] == pytest.approx(0.55)
    assert (reward, terminated, truncated, info["executed"]) == (1.0, True, False, 2)


def test_executes_the_whole_chunk_otherwise():
    obs, reward, terminated, _, info = begun(-0.3).step(np.tile(RIGHT, (4, 1)))
    assert obs["robot_obs"][0] == pytest.approx(0.1)
    assert (reward, terminated, info["executed"]) == (0.0, False, 4)


def test_does_what_the_cores_own_chunk_does(folder):
    wrapped = ChunkActions(gym.make("Dream-v0", checkpoint=folder, task="reach_right"), 3)
    own = gym.make("Dream-v0", checkpoint=folder, task="reach_right", chunk=3)
    assert wrapped.action_space == own.action_space
    wrapped.reset(seed=0)
    own.reset(seed=0)
    for _ in range(3):
        action = np.tile(RIGHT, (3, 1))
        a, b = wrapped.step(action), own.step(action)
        assert np.allclose(a[0], b[0])
        assert a[1:4] == b[1:4]
        if a[2] or a[3]:
            break


def test_bad_input_is_one_clear_error(folder):
    with pytest.raises(ValueError, match="single envs"):
        ChunkActions(gym.make_vec("Dream-v0", num_envs=2, checkpoint=folder), 2)
    with pytest.raises(ValueError, match=r"Box \(A,\)"):
        ChunkActions(gym.make("CartPole-v1"), 2)
    with pytest.raises(ValueError, match="chunk must be"):
        ChunkActions(PointMassEnv(), 0)
    with pytest.raises(ValueError, match=r"expected \(4, 3\)"):
        begun(0.0).step(RIGHT)
