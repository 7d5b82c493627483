"""Gymnasium environments as suites."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # cars.py

import gymnasium as gym
import numpy as np
import pytest
from cars import CAR, PENDULUM, at_the_flag
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from dreamgym.envs.simulators import Simulators
from dreamgym.suites import gym_suite, register_suite, store_facts
from dreamgym.suites.collection import collect_suite
from dreamgym.types import ActionSpec


def walk(env, steps, seed=0):
    rng = np.random.default_rng(seed)
    return [env.step(rng.uniform(env.action_space.low, env.action_space.high))[0]["state"] for _ in range(steps)]


def test_a_suite_says_what_the_environment_says():
    assert (CAR.name, CAR.tasks, CAR.horizon) == ("MountainCarContinuous-v0", ("climb",), 999)
    assert CAR.action == ActionSpec((-1.0,), (1.0,))
    assert PENDULUM.action == ActionSpec((-2.0,), (2.0,))
    assert PENDULUM.frame_rate == pytest.approx(20)  # its dt, not its render_fps


@pytest.mark.parametrize("suite", [CAR, PENDULUM], ids=lambda s: s.name)
def test_a_simulator_obeys_reset_step_and_snapshot(suite):
    env = suite.make(horizon=None)
    check_env(env, skip_render_check=True)
    assert np.array_equal(env.reset(seed=3)[0]["state"], env.reset(seed=3)[0]["state"])
    walk(env, 7)
    taken, seen = env.snapshot(), env.observe()["state"]
    on = walk(env, 9)
    obs, info = env.reset(seed=9, options={"snapshot": taken})
    np.testing.assert_allclose(obs["state"], seen, atol=1e-6)
    assert info["task"] == suite.tasks[int(taken[0])]
    np.testing.assert_allclose(walk(env, 9), on, atol=1e-6)


def test_success_ends_an_episode_and_each_task_has_its_own():
    env = CAR.make()
    env.restore(np.array([0.0, 0.449, 0.07]))
    _, reward, terminated, truncated, info = env.step(np.array([1.0]))
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)
    env = PENDULUM.make()
    up = np.array([0.0, 0.0, 0.0])  # task, angle, speed
    assert env.reset(options={"snapshot": up})[1]["is_success"]
    assert not env.reset(options={"snapshot": up, "task": "down"})[1]["is_success"]
    with pytest.raises(ValueError, match=r"expected one of \['up', 'down'\], got 'spin'"):
        env.reset(options={"task": "spin"})


def test_it_can_be_collected_from_by_chance_and_by_a_policy(tmp_path):
    walks = collect_suite(CAR, tmp_path / "walks", "random", num_episodes=2, max_steps=20, progress=False)
    assert (walks.new_episodes, walks.store.num_steps) == (2, 40)
    done = collect_suite(CAR, tmp_path / "s", num_episodes=2, linger=3, progress=False)
    assert {meta["operator"] for meta in done.store.metas} == {"swing"}
    rows = done.store.episode(0)
    first = int(np.flatnonzero(rows["success"])[0])
    assert 50 < first == len(rows["state"]) - 3
    assert rows["snapshot"].shape[1] == 3
    register_suite(CAR)
    facts = store_facts(done.store)
    assert facts.suite is CAR
    assert (facts.action, facts.tasks) == (CAR.action, ("climb",))


def test_a_twins_simulators_run_it():
    register_suite(PENDULUM)
    sims = Simulators({"id": "pendulum", "kwargs": {}}, 2)
    (obs, begun), _ = sims.reset([0, 1], [{"seed": 1, "task": "up"}, {"seed": 2, "task": "down"}])
    assert obs["state"].shape == (3,)
    before = sims.step([0, 1], np.zeros((2, 1)))
    restored = sims.restore([begun, begun])
    np.testing.assert_allclose(restored[1]["state"], obs["state"], atol=1e-6)
    after = sims.step([0, 1], np.zeros((2, 1)))
    np.testing.assert_allclose(after[1][0]["state"], before[0][0]["state"], atol=1e-6)
    sims.close()


class Drifting(gym.Env):
    """Sensors in a Dict; where it drifts to is kept where no snapshot looks."""

    observation_space = spaces.Dict(
        {
            "place": spaces.Box(-9, 9, (2, 2), np.float64),
            "camera": spaces.Box(0, 255, (4, 4, 3), np.uint8),
            "mode": spaces.Discrete(3),
        }
    )
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.hidden = np.zeros(2), 0.0
        return self.sensors(), {}

    def sensors(self):
        place = np.full((2, 2), self.hidden + self.state.sum())
        return {"place": place, "camera": np.zeros((4, 4, 3), np.uint8), "mode": 2}

    def step(self, action):
        self.hidden += 1.0
        self.state = self.state + action
        return self.sensors(), 0.0, False, False, {}


def take(env):
    return np.array([*env.unwrapped.state, env.unwrapped.hidden])


def put(env, vector):
    inner = env.unwrapped
    inner.state, inner.hidden = vector[:2].copy(), float(vector[2])
    return inner.sensors()


def never(obs, reward, info):
    return False


def test_a_dict_keeps_its_sensors_and_what_is_no_image_is_a_vector():
    suite = gym_suite(Drifting, never, name="drift", horizon=5)
    obs, _ = suite.make().reset(seed=0)
    assert {k: (v.shape, v.dtype.name) for k, v in obs.items()} == {
        "place": ((4,), "float32"),
        "camera": ((4, 4, 3), "uint8"),
        "mode": ((3,), "float32"),
    }


def test_a_state_that_does_not_repeat_is_no_snapshot_and_a_function_mends_it(tmp_path):
    plain = gym_suite(Drifting, never, name="drift", horizon=5)
    env = plain.make()
    env.reset(seed=0)
    assert env.snapshot().shape == (0,)
    with pytest.raises(ValueError, match="has no snapshots: give gym_suite"):
        env.restore(np.zeros(3))
    assert "snapshot" not in collect_suite(plain, tmp_path / "s", num_episodes=1, progress=False).store.keys
    env = gym_suite(Drifting, never, name="drift", horizon=5, snapshots=(take, put)).make()
    env.reset(seed=0)
    assert env.snapshot().shape == (4,)
    with pytest.raises(ValueError, match="do not repeat"):
        gym_suite(
            Drifting,
            never,
            name="drift",
            horizon=5,
            snapshots=(take, lambda env, x: env.unwrapped.sensors()),
        )


def test_mujocos_physics_are_snapshots():
    pytest.importorskip("mujoco")
    env = gym_suite("InvertedPendulum-v5", never).make()
    env.reset(seed=0)
    walk(env, 5)
    taken = env.snapshot()
    on = walk(env, 8)
    env.restore(taken)
    assert np.array_equal(walk(env, 8), on)


def test_what_cannot_be_a_suite_is_told(tmp_path):
    with pytest.raises(ValueError, match="bounded Box of shape"):
        gym_suite("CartPole-v1", never)
    with pytest.raises(ValueError, match="a dict of functions by task"):
        gym_suite("Pendulum-v1", never, tasks=("up", "down"))
    with pytest.raises(ValueError, match="give name= and horizon="):
        gym_suite(Drifting, never)
    lambdas = gym_suite("MountainCarContinuous-v0", lambda obs, reward, info: at_the_flag(obs, reward, info))
    with pytest.raises(ValueError, match="define its functions with def at the top of a module"):
        collect_suite(lambdas, tmp_path / "s", num_episodes=1, progress=False)
