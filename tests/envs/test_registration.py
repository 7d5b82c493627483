import os

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import dreamgym
from dreamgym.envs.make import SHIPPED, usual_horizon
from dreamgym.envs.registration import DREAMS, REALS, register_envs
from dreamgym.testing import check_vector_env
from dreamgym.training.checkpoint import built_in_names

# Checkpoint: what its twin needs.
SUITES = {"libero": "robosuite", "metaworld": "metaworld", "pusht": "gym_pusht", "robosuite": "robosuite"}
MADE = [name for name, kwargs in DREAMS.items() if kwargs.get("checkpoint") in built_in_names()]


def test_every_id_is_registered_once():
    before = dict(gym.registry)
    register_envs()
    assert {*DREAMS, *REALS} <= set(gym.registry)
    assert gym.registry == before


def test_a_twin_of_another_suite_than_its_world_model_is_refused_when_it_is_made():
    told = "this twin simulates 'calvin'.*'metaworld' was learned from 'metaworld'"
    with pytest.raises(ValueError, match=told):
        gym.make("Real-PlayTable-v0", world_model="metaworld")


@pytest.mark.parametrize("name", MADE)
def test_shipped_dreams_keep_gymnasiums_promises(name):
    check_vector_env(lambda mode: gym.make_vec(name, num_envs=2, autoreset_mode=mode, horizon=4), steps=6, horizon=4)


@pytest.mark.parametrize("name", MADE)
def test_shipped_dreams_pass_gymnasiums_checker(name):
    check_env(gym.make(name).unwrapped)  # renders in every mode that the env claims


@pytest.mark.parametrize("name", MADE)
def test_shipped_dreams_pass_sb3s_checker(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gym.make(name, horizon=8).unwrapped)


@pytest.mark.parametrize("name", MADE)
def test_shipped_dreams_pass_torchrls_checker(name):
    utils = pytest.importorskip("torchrl.envs.utils")
    utils.check_env_specs(dreamgym.torchrl_env(name, num_envs=3, horizon=5))


@pytest.mark.parametrize("name", [n for n in MADE if DREAMS[n]["checkpoint"] in SUITES])
def test_shipped_dreams_of_the_suites_begin_as_their_twins_do(name):
    folder = DREAMS[name]["checkpoint"]
    pytest.importorskip(SUITES[folder])
    if folder == "libero" and "DREAMGYM_LIBERO_ASSETS" not in os.environ:
        pytest.skip("needs LIBERO's assets")
    dream, real = gym.make(name, obs="state"), gym.make(name.replace("Dream", "Real"), world_model=folder, obs="state")
    assert dream.observation_space == real.observation_space
    assert dream.action_space == real.action_space
    (a, info_a), (b, info_b) = dream.reset(seed=1), real.reset(seed=1)
    assert info_a["task"] == info_b["task"]
    # The bank holds standardised states in fp16.
    assert np.allclose(a, b, atol=2e-3 * dream.unwrapped.core.model.scaling.std.max().item())


@pytest.mark.skipif("playtable" not in built_in_names(), reason="the playtable checkpoint is not in this checkout")
def test_the_shipped_twin_keeps_gymnasiums_promises():
    pytest.importorskip("pybullet")
    make = lambda mode: gym.make_vec(  # noqa: E731
        "Real-PlayTable-v0", num_envs=2, world_model="playtable", autoreset_mode=mode, horizon=3
    )
    check_vector_env(make, steps=4, horizon=3)


@pytest.mark.skipif("playtable" not in built_in_names(), reason="the playtable checkpoint is not in this checkout")
def test_the_shipped_dream_and_its_twin_share_spaces_and_starts():
    pytest.importorskip("pybullet")
    dream = gym.make("Dream-PlayTable-v0", task="open_drawer")
    real = gym.make("Real-PlayTable-v0", task="open_drawer", world_model="playtable")
    assert dream.observation_space == real.observation_space
    assert dream.action_space == real.action_space
    (a, info_a), (b, info_b) = dream.reset(seed=1), real.reset(seed=1)
    assert info_a == info_b
    assert np.allclose(a, b)


@pytest.mark.parametrize("name", [n for n, kwargs in DREAMS.items() if kwargs])
def test_a_dream_whose_checkpoint_is_missing_says_what_to_do(name, monkeypatch):
    monkeypatch.setattr("dreamgym.training.checkpoint.built_in_names", list)
    with pytest.raises(ValueError, match=f"of {name} is not in this installation.*checkpoint='path/to/folder'"):
        gym.make(name)


def test_shipped_names_belong_to_ids():
    assert set(SHIPPED) == {"calvin_d", "playtable", *SUITES}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a checkpoint"),
        ({"checkpoint": "no/such/folder"}, "no checkpoint 'no/such/folder'"),
        ({"checkpoint": 3}, "a checkpoint is its name, a folder, .* got 3"),
    ],
)
def test_dream_v0_without_a_checkpoint_is_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make("Dream-v0", **options)


def test_unknown_options_and_reward_models(folder):
    with pytest.raises(ValueError, match="colour"):
        gym.make("Dream-v0", checkpoint=folder, colour="red")
    with pytest.raises(ValueError, match=r"did you mean \['task'\].*'reward'"):
        gym.make("Dream-v0", checkpoint=folder, tasks="reach_right")
    with pytest.raises(ValueError, match="no reward model 'mine'"):
        gym.make("Dream-v0", checkpoint=folder, reward_model="mine")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_envs": "4"}, "num_envs must be a whole number of at least 1, got '4'"),
        ({"num_envs": 1.5}, "num_envs must be a whole number"),
        ({"task": 3}, "a task's name, a list of names or 'all', got 3"),
        ({"task": ["reach_right", 3]}, "a task's name"),
    ],
)
def test_options_of_another_type_are_one_clear_error(folder, options, message):
    with pytest.raises(ValueError, match=message):
        dreamgym.make_core(folder, **options)


def test_a_gymnasium_env_that_is_no_simulator_says_what_one_takes():
    with pytest.raises(ValueError, match="made with task=, horizon= and render_mode=.*gym_suite"):
        gym.make("Real-v0", simulator="CartPole-v1")


def test_public_names_are_found_and_unknown_ones_named():
    assert dreamgym.make_core and dreamgym.load and dreamgym.register_family
    with pytest.raises(AttributeError, match="no attribute 'gym_env'"):
        dreamgym.gym_env  # noqa: B018


@pytest.mark.parametrize(
    ("name", "horizon"), [("metaworld", 150), ("pusht", 300), ("robosuite", 400), ("libero", 600), ("playtable", 64)]
)
def test_dream_and_twin_last_as_long_as_the_suite_says(name, horizon):
    opened = dreamgym.load(name)
    assert usual_horizon(opened) == horizon
    assert dreamgym.make_core(opened).rules.horizon == horizon
    assert dreamgym.make_core(opened, horizon=7).rules.horizon == 7
