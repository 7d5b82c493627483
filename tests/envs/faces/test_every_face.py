"""What every face offers alike: statistics of episodes, and actions between -1 and 1."""

import gymnasium as gym
import numpy as np
import pytest
import torch

import dreamgym
from dreamgym.testing import InstructedPointModel, PointMassReward, two_robots_checkpoint
from dreamgym.testing.points import point_starts


@pytest.fixture(scope="module")
def robots(tmp_path_factory):
    """Two robots, of which the crane has actions that begin at 0."""
    return str(two_robots_checkpoint(tmp_path_factory.mktemp("robots") / "world"))


def vector(folder, mode="same_step", array="numpy", **options):
    settings = {"num_envs": 6, "horizon": 5, "reward": "success", "episode_stats": True, **options}
    return gym.make_vec("Dream-v0", checkpoint=folder, autoreset_mode=mode, array=array, **settings)


def actions(env, array, count=14):
    """To the right at different paces, so that episodes end at different steps, some by success."""
    pace = np.linspace(0.2, 1.0, env.num_envs, dtype=np.float32)
    action = np.zeros(env.action_space.shape, np.float32)
    action[..., 0], action[..., 2] = pace.reshape(-1, *[1] * (action.ndim - 2)), -1
    return [torch.from_numpy(action) if array == "torch" else action] * count


def as_array(value):
    return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("reward", "task"), [("success", "reach_right"), ("probability", "all")])
def test_a_vector_env_tells_return_and_length_of_episodes_that_ended(folder, array, fast, reward, task):
    env = vector(folder, "same_step", array, fast=fast, reward=reward, task=task)
    env.reset(seed=0)
    total, length, seen = np.zeros(6), np.zeros(6), 0
    for action in actions(env, array):
        _, paid, terminated, truncated, infos = env.step(action)
        ended = as_array(terminated) | as_array(truncated)
        total, length = total + as_array(paid), length + 1
        assert as_array(infos.get("_episode", np.zeros(6))).any() == ended.any()
        if ended.any():
            episode, mask = infos["episode"], as_array(infos["_episode"])
            assert (mask == ended).all()
            np.testing.assert_allclose(as_array(episode["r"])[ended], total[ended], rtol=1e-5)
            assert as_array(episode["l"])[ended].tolist() == length[ended].tolist()
            assert not as_array(episode["l"])[~ended].any()
        seen += int(ended.sum())
        total[ended], length[ended] = 0, 0
    assert seen >= 12


@pytest.mark.parametrize("mode", ["next_step", "disabled"])
@pytest.mark.parametrize("array", ["numpy", "torch"])
def test_envs_that_wait_repeat_what_they_ended_with(folder, mode, array):
    env = vector(folder, mode, array, task="reach_top")
    env.reset(seed=0)
    for number, action in enumerate(actions(env, array, 6), 1):
        *_, truncated, infos = env.step(action)
        assert (as_array(infos["_episode"]) == as_array(truncated)).all()
        if number == 5:
            assert as_array(infos["episode"]["l"]).tolist() == [5] * 6
        if number == 6:  # waiting envs repeat what they ended with; those that began anew have nothing to tell
            assert as_array(infos["episode"]["l"]).tolist() == ([0] * 6 if mode == "next_step" else [5] * 6)


def test_gymnasiums_own_statistics_agree(folder):
    options = {"task": "reach_right", "reward": "probability"}
    theirs = gym.wrappers.vector.RecordEpisodeStatistics(vector(folder, episode_stats=False, **options))
    ours = vector(folder, **options)
    theirs.reset(seed=3), ours.reset(seed=3)
    for action in actions(ours, "numpy"):
        told, own = theirs.step(action)[4], ours.step(action)[4]
        assert ("episode" in told) == ("episode" in own)
        for name in ("r", "l") if "episode" in told else ():
            np.testing.assert_allclose(own["episode"][name], told["episode"][name], rtol=1e-5)


def test_a_chunk_counts_the_control_actions_that_were_executed(folder):
    env = vector(folder, chunk=4, task="reach_right", horizon=100)
    env.reset(seed=0)
    single = vector(folder, task="reach_right", horizon=100)
    single.reset(seed=0)

    def lengths(made, count):
        found = {}
        for action in actions(made, "numpy", count):
            infos = made.step(action)[4]
            for i in np.flatnonzero(infos.get("_episode", False)):
                found.setdefault(int(i), int(infos["episode"]["l"][i]))
        return found

    chunked, stepped = lengths(env, 10), lengths(single, 40)
    assert chunked == stepped and len(chunked) == 6
    assert any(length % 4 for length in chunked.values())


def test_a_snapshot_takes_the_statistics_along(folder):
    counting, plain = (dreamgym.make_core(folder, num_envs=2, episode_stats=on) for on in (True, False))
    action = torch.tensor([[0.0, 0.0, -1.0]] * 2)
    for core in (counting, plain):
        core.reset(seed=0)
        core.step(action)
    again = dreamgym.make_core(folder, num_envs=2, episode_stats=True)
    again.restore(counting.snapshot())
    assert again.step(action).info["episode_length"].tolist() == [2, 2]
    again.restore(plain.snapshot())
    assert again.step(action).info["episode_length"].tolist() == [1, 1]
    plain.restore(counting.snapshot())
    assert "episode_length" not in plain.step(action).info


def test_the_single_env_tells_them_at_the_end(folder):
    env = gym.make("Dream-v0", checkpoint=folder, task="turn_on_lamp", horizon=9, episode_stats=True)
    env.reset(seed=0)
    assert "episode" not in env.step(np.float32([0, 0, -1]))[4]
    *_, info = env.step(np.float32([0, 0, 1]))
    assert info["episode"] == {"r": 1.0, "l": 2}


def test_sb3_logs_them(folder):
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import PPO

    env = dreamgym.sb3_env("Dream-v0", 4, checkpoint=folder, task="reach_top", horizon=6, episode_stats=True)
    model = PPO("MlpPolicy", env, n_steps=12, batch_size=12, n_epochs=1, seed=0).learn(48)
    assert len(model.ep_info_buffer) >= 8
    assert all(1 <= told["l"] <= 6 and told["r"] in (0.0, 1.0) for told in model.ep_info_buffer)


def test_torchrl_carries_them(folder):
    pytest.importorskip("torchrl")
    from torchrl.envs.utils import check_env_specs

    env = dreamgym.torchrl_env("Dream-v0", 3, ("episode_return", "episode_length"), checkpoint=folder, horizon=4)
    check_env_specs(env)
    run = env.rollout(6, lambda td: td.set("action", torch.zeros(3, 3)), break_when_any_done=False)
    assert run["next", "episode_length"][0, :, 0].tolist() == [1, 2, 3, 4, 1, 2]


# -- actions between -1 and 1 --


def ways(robots, kind, **options):
    """The action space and a step's observation of a face, as functions of an action of one env [chunk, A]."""
    options = {"embodiment": "crane", "checkpoint": robots, **options}
    if kind == "single":
        env = gym.make("Dream-v0", **options)
        env.reset(seed=0)
        return env.action_space, lambda a: env.step(a)[0]
    if kind in ("numpy", "torch"):
        env = gym.make_vec("Dream-v0", num_envs=1, array=kind, **options)
        env.reset(seed=0)
        convert = torch.from_numpy if kind == "torch" else np.asarray
        return env.single_action_space, lambda a: as_array(env.step(convert(a[None]))[0])[0]
    if kind == "sb3":
        pytest.importorskip("stable_baselines3")
        env = dreamgym.sb3_env("Dream-v0", 1, **options)
        env.seed(0)
        env.reset()
        return env.action_space, lambda a: env.step(a[None])[0][0]
    pytest.importorskip("torchrl")
    env = dreamgym.torchrl_env("Dream-v0", 1, **options)
    env.set_seed(0)
    td = env.reset()
    space = env.action_spec.space
    box = gym.spaces.Box(space.low[0].numpy(), space.high[0].numpy())
    return box, lambda a: env.step(td.set("action", torch.from_numpy(a[None])))["next", "observation"][0].numpy()


@pytest.mark.parametrize("kind", ["single", "numpy", "torch", "sb3", "torchrl"])
def test_normalised_actions_are_scaled_to_the_bounds_on_every_face(robots, kind):
    space, step = ways(robots, kind, normalize_actions=True)
    raw, raw_step = ways(robots, kind)
    assert (space.low == -1).all() and (space.high == 1).all()
    assert raw.low.min() == -1 and raw.low.max() == 0
    action = np.tile(np.float32([0.5, -1.0, 0.25, -1.0]), (5, 1))
    np.testing.assert_allclose(step(action), raw_step((action + 1) / 2 * (raw.high - raw.low) + raw.low), atol=1e-6)


def test_normalised_actions_are_checked_and_have_a_twin(robots):
    env = gym.make("Dream-v0", checkpoint=robots, embodiment="crane", normalize_actions=True)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"outside low=\[-1.0\], high=\[1.0\]"):
        env.step(np.full((5, 4), 1.5, np.float32))
    twin = gym.make("Real-v0", world_model=robots, embodiment="crane", normalize_actions=True)
    assert (twin.action_space.low == -1).all()
    dream, real = (made.reset(seed=0, options={"start": [0], "task": "reach_right"})[0] for made in (env, twin))
    np.testing.assert_allclose(dream, real, atol=1e-3)
    action = np.tile(np.float32([1.0, -1.0, 0.5, -1.0]), (5, 1))
    np.testing.assert_allclose(env.step(action)[0], twin.step(action)[0], atol=1e-3)
    twin.close()


def test_instructions_cannot_be_normalised():
    with pytest.raises(ValueError, match="takes instructions, which are not scaled"):
        dreamgym.DreamCore(InstructedPointModel(), PointMassReward(), point_starts(), normalize_actions=True)


# -- Gymnasium's wrappers --


def test_gymnasium_normalises_observations_with_one_argument(folder):
    env = gym.wrappers.vector.NormalizeObservation(vector(folder, "next_step", task="reach_right"))
    env.reset(seed=0)
    seen = np.concatenate([env.step(action)[0] for action in actions(env, "numpy", 60)])
    assert np.abs(seen[-120:].mean(0)).max() < 1.0
    with pytest.raises((AssertionError, ValueError), match="NEXT_STEP"):
        gym.wrappers.vector.NormalizeObservation(vector(folder, "same_step"))
