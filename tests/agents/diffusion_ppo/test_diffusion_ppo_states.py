"""Cloning and fine-tuning on states: a tiny MLP dream of a disc that follows its target, from data to a policy."""

from dataclasses import replace

import pytest
from disc import make_store, make_world
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.diffusion_ppo import CloneConfig, tune
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task, make_env
from point_policies import TINY_TUNE

from dreamgym.data import EpisodeStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("demos") / "store", episodes=16, train=12, roaming=4)


@pytest.fixture(scope="module")
def world(store, tmp_path_factory):
    return make_world(store, tmp_path_factory.mktemp("world"))


def test_those_who_roam_do_not_demonstrate(store):
    chosen = select_demonstrations(EpisodeStore.open(store), ["push_t"], num=50, successful=True)
    assert len(chosen) == 9
    assert {meta["operator"] for meta in chosen.metas} == {"pusher"}


def test_a_policy_on_states_is_cloned_and_fine_tuned_in_an_mlp_dream(store, world, tmp_path):
    config = CloneConfig(demonstrations=9, epochs=20, lr=1e-3, final_lr=1e-4)
    policy = clone_task(store, "push_t", world, PolicyChoice(), config, tmp_path / "clone")
    assert policy.config.feature_dim == 6
    again = make_store(tmp_path / "again", episodes=14, train=12, roaming=2)
    with pytest.raises(ValueError, match="begun with other settings: .*(chunks|data)"):
        clone_task(again, "push_t", world, PolicyChoice(), config, tmp_path / "clone")
    env = make_env("Dream-v0", "push_t", policy.config.chunk, checkpoint=world, num_envs=8, horizon=16)
    result = tune(policy, env, replace(TINY_TUNE, eval_episodes=8), tmp_path / "run", task="push_t", world_model=world)
    assert result.sim_steps == 0
    assert result.dream_steps >= TINY_TUNE.total_steps
    assert result.evaluations[-1]["return"] > 0
