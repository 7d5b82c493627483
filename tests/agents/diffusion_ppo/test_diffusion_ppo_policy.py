"""Chunks under way, exact likelihoods, and what is frozen."""

import dataclasses

import pytest
import torch
from dreamgym_agents.diffusion_ppo import DiffusionConfig, TuneConfig
from point_policies import make_policy
from torch.distributions import Independent, Normal

from dreamgym.testing.point_mass import ACTION
from dreamgym.types import Policy

KINDS = ("diffusion", "gaussian")


def features(num=5, seed=0):
    return torch.rand(num, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def tuned(kind, steps=3, wiggle=0.05):
    """A policy whose tuned part differs from its frozen one."""
    policy = make_policy(kind).for_tuning(steps)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.tunable():
            parameter.add_(wiggle * torch.randn(parameter.shape, generator=generator))
    return policy


def test_the_presets_are_the_papers_tables():
    sizes = DiffusionConfig.paper(2048, ACTION)
    assert (sizes.steps, sizes.chunk, sizes.hidden) == (20, 4, (512, 512, 512))
    tune = TuneConfig.paper()
    assert (tune.tuned_steps, tune.actor_lr, tune.critic_lr, tune.batch_size) == (10, 1e-5, 1e-3, 7500)
    assert (tune.discount, tune.denoising_discount, tune.gae_lambda, tune.bc_weight) == (0.999, 0.99, 0.95, 0.05)
    assert tune.critic_hidden == (256, 256, 256)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bc_weight": -0.1},
        {"bc_share": 1.5},
        {"clip": 0.0},
        {"actor_lr": float("nan")},
        {"decisions": 0},
        {"critic_warmup": -1},
        {"discount": 1.1},
        {"bootstrap": "always"},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must"):
        TuneConfig(**wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_policy_protocol(kind):
    assert isinstance(make_policy(kind), Policy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chunk_is_executed_whole_before_the_next_decision(kind):
    policy, generator, obs = make_policy(kind), torch.Generator().manual_seed(0), features(2)
    never, carry = torch.zeros(2, dtype=torch.bool), policy.start(2, None)
    actions = []
    for _ in range(4):
        action, carry = policy.act(obs, carry, never, generator)
        actions.append(action)
        obs = obs * 0  # what is seen during a chunk does not matter
    noise = policy.draw_noise(2, torch.Generator().manual_seed(0))
    decided = policy.to_actions(policy.decide(features(2), noise))
    torch.testing.assert_close(torch.stack(actions, 1), decided)


def test_a_fresh_env_decides_anew_and_leaves_the_others_alone():
    policy, obs = make_policy(), features(3)
    never = torch.zeros(3, dtype=torch.bool)

    def run(fresh_at_2):
        generator, carry, out = torch.Generator().manual_seed(0), policy.start(3, None), []
        for t in range(6):
            fresh = torch.tensor([False, t == 2 and fresh_at_2, False])
            action, carry = policy.act(obs, carry, fresh | never, generator)
            out.append(action)
        return torch.stack(out)

    plain, reset = run(False), run(True)
    torch.testing.assert_close(plain[:, [0, 2]], reset[:, [0, 2]])
    assert not torch.allclose(plain[2, 1], reset[2, 1])


def test_actions_lie_within_their_bounds():
    policy = make_policy(action_low=(-2.0, 0.0, -1.0), action_high=(2.0, 1.0, 1.0))
    action, _ = policy.act(features(64), policy.start(64, None), torch.ones(64, dtype=torch.bool), None)
    low, high = torch.tensor([-2.0, 0.0, -1.0]), torch.tensor([2.0, 1.0, 1.0])
    assert ((action >= low) & (action <= high)).all()
    chunk = torch.rand(7, 4, 3) * (high - low) + low
    torch.testing.assert_close(policy.to_actions(policy.from_actions(chunk)), chunk)


def test_features_in_a_dict_are_found_and_others_refused():
    policy = make_policy()
    args = (policy.start(2, None), torch.ones(2, dtype=torch.bool))
    alone, _ = policy.act(features(2), *args, torch.Generator().manual_seed(0))
    among, _ = policy.act({"features": features(2), "state": None}, *args, torch.Generator().manual_seed(0))
    torch.testing.assert_close(alone, among)
    with pytest.raises(ValueError, match=r"reads features \[B, 3\]"):
        policy.act(torch.zeros(2, 4), *args, None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_of_sampling_is_that_of_learning(kind):
    policy, obs = tuned(kind), features(6)
    noise = policy.draw_noise(6, torch.Generator().manual_seed(1), explore=True)
    chain, log_prob = policy.sample_chain(obs, noise)
    assert chain.shape == (policy.config.tuned_steps + 1, 6, 12)
    torch.testing.assert_close(policy.log_prob(obs, chain), log_prob, atol=2e-3, rtol=1e-4)


def test_the_likelihood_is_a_gaussians_with_the_posteriors_mean_and_a_clamped_std():
    policy, obs = tuned("diffusion"), features(4)
    chain, _ = policy.sample_chain(obs, policy.draw_noise(4, torch.Generator().manual_seed(1), explore=True))
    log_prob = policy.log_prob(obs, chain)
    for j, k in enumerate((3, 2, 1)):
        noise = policy.tuned(policy.tuned.mlp.condition(obs) + policy.tuned.times()[k - 1], chain[j])
        clean = ((chain[j] - policy.noise[k - 1] * noise) / policy.signal[k - 1]).clamp(-1, 1)
        mean = policy.from_clean[k - 1] * clean + policy.from_noisy[k - 1] * chain[j]
        std = max(float(policy.std[k - 1]), policy.config.min_std)
        expected = Independent(Normal(mean, std), 1).log_prob(chain[j + 1])
        torch.testing.assert_close(log_prob[j], expected, atol=1e-3, rtol=1e-4)


def test_only_the_last_steps_are_tuned():
    policy = tuned("diffusion", steps=2)
    changed = dataclasses.replace(policy.config, tuned_steps=0)
    base = type(policy)(changed)
    base.load_state_dict({f"base.{k}": v for k, v in policy.base.state_dict().items()})
    noise = policy.draw_noise(4, torch.Generator().manual_seed(1), explore=True)
    chain, _ = policy.sample_chain(features(4), noise)
    # Down to a^2 the frozen network denoises, so the whole frozen chain passes through the same place.
    whole = base.for_tuning(6).sample_chain(features(4), noise)[0]
    torch.testing.assert_close(chain[0], whole[4])
    assert not torch.allclose(chain[-1], whole[-1])
    policy.log_prob(features(4), chain).sum().backward()
    assert all(p.grad is None for p in policy.base.parameters())
    assert all(p.grad is not None for p in policy.tunable())


@pytest.mark.parametrize("kind", KINDS)
def test_before_it_is_tuned_the_copy_acts_as_the_original(kind):
    policy, noise = make_policy(kind), make_policy(kind).draw_noise(5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(policy.for_tuning(3).decide(features(), noise), policy.decide(features(), noise))


def test_a_tuned_policy_is_not_tuned_again():
    with pytest.raises(ValueError, match="tuned already"):
        tuned("diffusion").for_tuning(2)


def test_ddim_is_deterministic_and_in_all_steps_near_ddpms_mean():
    policy, obs = make_policy(sampler="ddim", ddim_steps=6), features()
    noise = policy.draw_noise(5, torch.Generator().manual_seed(0))
    assert len(noise) == 1
    torch.testing.assert_close(policy.decide(obs, noise), policy.decide(obs, noise))
    # With a network that always knows the clean chunk, every sampler ends there.
    target = torch.linspace(-0.9, 0.9, 12)
    exact = make_policy(sampler="ddim", ddim_steps=3)

    class Oracle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp, self.step = self, 0

        def condition(self, obs):
            return torch.zeros(len(obs), 1)

        def times(self):
            return torch.arange(6.0).unsqueeze(1)

        def forward(self, condition, x):
            k = condition[:, 0].long()
            return (x - exact.signal[k, None] * target) / exact.noise[k, None]

    exact.base = Oracle()
    ends = exact.decide(obs, torch.randn(1, 5, 12))
    torch.testing.assert_close(ends, target.expand(5, 12), atol=1e-4, rtol=1e-4)


def test_the_frozen_chain_is_the_frozen_networks():
    policy = tuned("diffusion", wiggle=0.5)
    first = torch.randn(2000, 12, generator=torch.Generator().manual_seed(0))
    chain = policy.frozen_chain(features(1).expand(2000, 3), first, torch.Generator().manual_seed(1))
    own, base = policy.log_prob(features(1).expand(2000, 3), chain), make_policy("diffusion").for_tuning(3)
    base.load_state_dict({**{f"{p}.{k}": v for p in ("base", "tuned") for k, v in policy.base.state_dict().items()}})
    theirs = base.log_prob(features(1).expand(2000, 3), chain)
    # Gibbs: a chain is likelier under the network that made it.
    assert (theirs.mean(1) > own.mean(1)).all()
    with torch.no_grad():
        entropy = 12 * (
            policy.std[[2, 1, 0]].clamp(min=0.1).log() + 0.5 * torch.log(torch.tensor(2 * torch.pi * torch.e))
        )
    torch.testing.assert_close(-theirs.mean(1).detach(), entropy, atol=0.3, rtol=0)
