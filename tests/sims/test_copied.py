"""Copies and pickles of simulators stand where the original does and go on as it does."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import dreamgym

assert dreamgym.__version__  # registers the ids
SIMULATORS = {
    "pusht": ("gym_pusht", "Real-PushT-v0", {}),
    "pusht with an adversary": ("gym_pusht", "Real-PushT-v0", {"perturbation": 50.0}),
    "metaworld": ("metaworld", "Real-Metaworld-v0", {"task": "drawer_open"}),
    "robosuite": ("robosuite", "Real-Robosuite-v0", {}),
    "robosuite arms": ("robosuite", "Real-Robosuite-Arms-v0", {}),
    "playtable": ("pybullet", "Real-PlayTable-v0", {"cameras": ()}),
    "kitchen": ("gymnasium_robotics", "Real-Kitchen-v0", {}),
}
WAYS = {"copy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}


def made(name):
    package, env_id, options = SIMULATORS[name]
    pytest.importorskip(package)
    return gym.make(env_id, **options)


def same(one, other):
    return all(np.array_equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", SIMULATORS)
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_goes_on_as_the_original(name, way):
    env = made(name)
    env.reset(seed=3)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(16)]
    for action in actions[:8]:
        env.step(action)
    other = WAYS[way](env)
    for action in actions[8:]:
        one, two = env.step(action), other.step(action)
        assert same(one[0], two[0])
        assert one[1:4] == two[1:4]
    assert same(env.reset()[0], other.reset()[0])  # of the same generator
    env.close()
    other.close()


@pytest.mark.parametrize("name", ["pusht", "playtable"])
def test_what_has_no_state_is_copied_without_one(name):
    env = made(name)
    with pytest.raises((ValueError, gym.error.ResetNeeded)):
        copy.deepcopy(env).step(env.action_space.sample())
    env.close()
    closed = copy.deepcopy(env.unwrapped)
    with pytest.raises(ValueError, match="closed"):
        closed.reset()
