"""Scripted pushers of PushT."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from dreamgym.sims.pusht import PushTEnv
from dreamgym.suites.pusht import Habits, HabitualPusher, Pusher


@pytest.fixture(scope="module")
def env():
    made = PushTEnv()
    yield made
    made.close()


def plan(rng):
    return Pusher()


@pytest.mark.parametrize("make", [plan, HabitualPusher])
def test_pushers_reach_the_outline_from_most_places(env, make):
    done = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pusher = make(rng)
        obs, _ = env.reset(seed=seed)
        for _ in range(300):
            obs, _, terminated, _, _ = env.step(pusher.act(obs["state"], rng))
            if terminated:
                break
        done.append(terminated)
    assert sum(done) >= 4


@pytest.mark.parametrize("make", [plan, HabitualPusher])
def test_pushes_from_one_place_go_different_ways(env, make):
    env.reset(seed=5)
    start = env.snapshot()
    ends = []
    for seed in range(6):
        env.restore(start)
        rng = np.random.default_rng(seed)
        pusher = make(rng)
        for _ in range(30):
            env.step(pusher.act(env.observe()["state"], rng))
        ends.append(env.observe()["state"][:2])
    apart = np.linalg.norm(np.array(ends)[:, None] - np.array(ends)[None], axis=-1)
    assert apart.max() > 50


def test_what_a_habitual_pusher_does_follows_from_the_state_alone(env):
    obs, _ = env.reset(seed=3)
    rng = np.random.default_rng(0)
    still = Habits(noise=0.0)
    pusher, path = HabitualPusher(np.random.default_rng(1), still), []
    for _ in range(40):
        path.append(obs["state"])
        obs = env.step(pusher.act(obs["state"], rng))[0]
    one, other = (HabitualPusher(np.random.default_rng(1), still) for _ in range(2))
    forth = [one.act(state, rng) for state in path]
    back = [other.act(state, rng) for state in reversed(path)]
    assert np.array_equal(forth, back[::-1])
