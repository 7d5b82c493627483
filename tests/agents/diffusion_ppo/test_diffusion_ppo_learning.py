"""Advantages, the clipped objective and the regulariser."""

from dataclasses import replace

import pytest
import torch
from dreamgym_agents.diffusion_ppo.advantages import denoising_weights, gae
from dreamgym_agents.diffusion_ppo.ppo import (
    Learner,
    cloning_loss,
    minibatch_loss,
    optimizer_of,
    policy_loss,
    prepare,
    update,
)
from dreamgym_agents.diffusion_ppo.rollout import Rollout
from point_policies import TINY_TUNE, make_policy


def test_gae_is_the_sum_of_discounted_residuals():
    generator = torch.Generator().manual_seed(0)
    reward, value, following = torch.randn(3, 6, 4, generator=generator)
    done = torch.rand(6, 4, generator=generator) < 0.3
    discount, lam = 0.9, 0.8
    advantage, target = gae(reward, value, following, done, discount, lam)
    delta = reward + discount * following - value
    for b in range(4):
        for s in range(6):
            total, factor = 0.0, 1.0
            for later in range(s, 6):
                total += factor * float(delta[later, b])
                if done[later, b]:
                    break
                factor *= discount * lam
            assert float(advantage[s, b]) == pytest.approx(total, abs=1e-5)
    torch.testing.assert_close(target, advantage + value)


def test_with_lambda_1_and_no_value_the_target_is_the_return():
    reward, done = torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([[False], [True], [False]])
    zero = torch.zeros(3, 1)
    _, target = gae(reward, zero, zero, done, 0.5, 1.0)
    torch.testing.assert_close(target, torch.tensor([[2.0], [2.0], [4.0]]))


def test_earlier_denoising_steps_get_less_of_the_advantage():
    torch.testing.assert_close(denoising_weights(3, 0.5), torch.tensor([0.25, 0.5, 1.0]))


def test_beyond_the_clip_nothing_is_gained():
    old, weights = torch.zeros(1, 2), torch.ones(1)
    new = torch.tensor([[0.5, -0.5]], requires_grad=True)
    loss, told = policy_loss(new, old, torch.tensor([1.0, -1.0]), weights, clip=0.2)
    loss.backward()
    torch.testing.assert_close(new.grad, torch.zeros(1, 2))
    assert told["clipped"] == 1
    pulled_back = torch.tensor([[0.5, -0.5]], requires_grad=True)
    policy_loss(pulled_back, old, torch.tensor([-1.0, 1.0]), weights, clip=0.2)[0].backward()
    assert pulled_back.grad[0, 0] > 0 > pulled_back.grad[0, 1]


def test_an_unchanged_policys_loss_is_minus_the_mean_advantage():
    advantage = torch.tensor([1.0, 3.0])
    loss, told = policy_loss(torch.zeros(2, 2), torch.zeros(2, 2), advantage, torch.tensor([0.5, 1.0]), 0.1)
    assert float(loss) == pytest.approx(-1.5)
    assert told["kl"] == 0


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_the_regulariser_pulls_the_tuned_policy_back_to_the_frozen_one(kind):
    policy, generator = make_policy(kind).for_tuning(3), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.tunable():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    obs = torch.rand(512, 3, generator=generator)

    def frozen(seed):
        own = torch.Generator().manual_seed(seed)
        return policy.frozen_chain(obs, torch.randn(512, 12, generator=own), own)

    with torch.no_grad():
        least = float(cloning_loss(make_policy(kind).for_tuning(3), obs, frozen(0)))
        before = float(cloning_loss(policy, obs, frozen(0))) - least
    optimizer = torch.optim.Adam(policy.tunable(), lr=2e-3)
    for i in range(80):
        optimizer.zero_grad()
        cloning_loss(policy, obs, frozen(1 + i)).backward()
        optimizer.step()
    after = float(cloning_loss(policy, obs, frozen(0)).detach()) - least
    assert before > 0.05  # nats a denoising step: the divergence of the two
    assert after < 0.3 * before


def decisions(**changes):
    """A learner and made-up decisions of its policy, for which going to the right is good."""
    config = replace(TINY_TUNE, batch_size=96, num_updates=4, **changes)
    policy, generator = make_policy().for_tuning(3), torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    learner, rollout = Learner(policy, config), Rollout.empty(policy, 4, 32, False, torch.device("cpu"))
    for s in range(4):
        rollout.features[s] = torch.rand(32, 3, generator=generator)
        noise = policy.draw_noise(32, generator, explore=True)
        policy.sample_chain(rollout.features[s], noise, rollout.chain[:, s], rollout.log_prob[:, s])
    rollout.reward = rollout.chain[-1, ..., 0].clone()
    rollout.done[-1] = True
    return learner, prepare(learner, rollout, config, 1.0, generator), config, generator


def test_no_further_pass_once_the_policy_has_moved_far_enough():
    def passes(target_kl):
        learner, samples, config, generator = decisions(target_kl=target_kl)
        return update(learner, optimizer_of(learner, config), samples, config, generator)["passes"]

    assert passes(1e9) == 4
    assert passes(0.0) == 1


def test_the_regulariser_is_added_times_its_weight_and_left_out_at_nought():
    def parts(weight):
        learner, samples, config, generator = decisions(bc_weight=weight)
        loss, told = minibatch_loss(learner, samples, torch.arange(32), config, generator, True)
        return float(loss.detach()), told

    (none, without), (one, told), (three, again) = (parts(w) for w in (0.0, 1.0, 3.0))
    assert "bc_loss" not in without
    assert float(told["bc_loss"]) == float(again["bc_loss"])
    assert one - none == pytest.approx(float(told["bc_loss"]), rel=1e-4)
    assert three - none == pytest.approx(3 * float(told["bc_loss"]), rel=1e-4)


def test_advantages_have_mean_nought_and_spread_one():
    policy = make_policy().for_tuning(3)
    learner, rollout = Learner(policy, TINY_TUNE), Rollout.empty(policy, 4, 32, False, torch.device("cpu"))
    rollout.reward = 5 + torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    samples = prepare(learner, rollout, TINY_TUNE, 1.0, torch.Generator().manual_seed(0))
    assert float(samples.advantage.mean()) == pytest.approx(0, abs=1e-5)
    assert float(samples.advantage.std()) == pytest.approx(1, abs=1e-3)
