"""Trajectories of the Dream Diffusion MDP: what is stored, when values are bootstrapped, how steps are counted."""

import gymnasium as gym
import pytest
import torch
from dreamgym_agents.diffusion_ppo.ppo import Learner, prepare
from dreamgym_agents.diffusion_ppo.rollout import Rollout, check_env, collect, score
from point_policies import TINY_TUNE, make_policy


def rolled(env, decisions=8, bootstrap=True, kind="diffusion"):
    policy = make_policy(kind).for_tuning(3)
    core = check_env(env, 4)
    out = Rollout.empty(policy, decisions, core.num_envs, bootstrap, core.device)
    found = collect(env, policy, out, torch.Generator().manual_seed(0), seed=1)
    return policy, out, found


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_rewards_and_states_are_those_of_the_chain_s_last_step(dream, kind):
    env = dream(num_envs=4)
    policy, out, _ = rolled(env, kind=kind)
    obs, _ = env.reset(seed=1)
    for s in range(8):
        torch.testing.assert_close(out.features[s], obs)
        obs, reward, *_ = env.step(policy.to_actions(out.chain[-1, s]))
        torch.testing.assert_close(out.reward[s], reward)
    torch.testing.assert_close(out.next_features, obs)


def test_stored_likelihoods_are_those_of_the_policy(dream):
    policy, out, _ = rolled(dream())
    again = policy.log_prob(out.features.flatten(0, 1), out.chain.flatten(1, 2))
    torch.testing.assert_close(again, out.log_prob.flatten(1), atol=2e-3, rtol=1e-4)


def test_time_passes_by_the_chunk_and_begins_anew_with_an_episode(dream):
    _, out, found = rolled(dream(num_envs=4, horizon=12), decisions=5)
    torch.testing.assert_close(out.elapsed[:, 0], torch.tensor([0, 4, 8, 0, 4]) / 12)
    assert out.done[:, 0].tolist() == [False, False, True, False, False]
    assert found["episodes"] == 4
    assert found["steps"] == 5 * 4 * 4


def test_the_horizon_may_have_a_value_and_an_uncertain_state_never(dream):
    _, out, _ = rolled(dream(num_envs=16, horizon=12, task="reach_top"), decisions=3)
    assert out.done[2].all()
    assert out.valued[2].all()
    _, out, found = rolled(dream(num_envs=16, horizon=12, uncertainty_limit=0.4), decisions=3)
    early = out.done[:2].any(0)
    assert early.any()
    assert not out.valued[:2].any()
    assert found["uncertainty_exceeded"] > 0


def test_success_ends_an_episode_and_has_no_value(dream):
    env = dream(num_envs=32, reward="success", task="turn_on_lamp")
    _, out, found = rolled(env, decisions=4)
    won = out.reward > 0
    assert won.any()
    assert out.done[won].all()
    assert not out.valued[won].any()
    assert found["return"] == pytest.approx(found["success_rate"])


def test_what_follows_an_end_is_the_last_states_value_or_nothing(dream):
    policy, out, _ = rolled(dream(num_envs=4, horizon=12), decisions=4)
    learner = Learner(policy, TINY_TUNE)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        value = learner.critic(out.features, out.elapsed)
        last = learner.critic(out.last[2], torch.ones(4))
    # With lambda 0 a target is the reward and the discounted value of what follows.
    from dataclasses import replace

    config = replace(TINY_TUNE, gae_lambda=0.0, discount=0.9)
    target = prepare(learner, out, config, 1.0, generator).target.view(4, 4)
    torch.testing.assert_close(target[1], out.reward[1] + 0.9 * value[2])
    torch.testing.assert_close(target[2], out.reward[2] + 0.9 * last)
    out.last = None
    target = prepare(learner, out, config, 1.0, generator).target.view(4, 4)
    torch.testing.assert_close(target[2], out.reward[2])


def test_play_counts_one_episode_an_env(dream):
    env = dream(num_envs=32, reward="success", task="turn_on_lamp")
    found = score(env, make_policy(), torch.Generator().manual_seed(0), seed=3, rounds=2)
    assert found["episodes"] == 64
    assert found["steps"] == 2 * 32 * 16


def test_unfit_envs_are_refused_with_the_mend(dream, point_checkpoint):
    cases = [
        (dream(array="numpy"), "array='torch'"),
        (dream(chunk=2), "chunk=4"),
        (dream(autoreset_mode="disabled"), "same_step"),
        (dream(obs="dict"), "obs='features'"),
        (dream(normalize_actions=True), "without normalize_actions"),
        (gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"), "vector env of dreamgym"),
    ]
    for env, told in cases:
        with pytest.raises(ValueError, match=told):
            check_env(env, 4)
