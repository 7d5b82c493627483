import torch

from dreamgym.envs.core.draws import uniform


def test_numbers_are_uniform_and_differ_by_env_episode_seed_and_stream():
    env = torch.arange(4000)
    zero = torch.zeros_like(env)
    base = uniform(0, env, zero)
    assert 0 <= base.min() < 0.01
    assert 0.99 < base.max() < 1
    assert abs(base.mean() - 0.5) < 0.02
    assert (base.histc(10, 0, 1) / 4000 - 0.1).abs().max() < 0.02
    for other in (uniform(1, env, zero), uniform(0, env, zero + 1), uniform(0, env, zero, stream=1)):
        assert abs(torch.corrcoef(torch.stack([base, other]))[0, 1]) < 0.05


def test_a_number_depends_on_its_own_env_and_episode_alone():
    many = uniform(5, torch.arange(10), torch.arange(10))
    assert uniform(5, torch.tensor([7]), torch.tensor([7])) == many[7]


def test_both_ways_of_counting_give_the_same_numbers():
    env, episode = torch.arange(50), torch.randint(0, 2**40, (50,))
    quick = uniform(123456789012345678, env, episode, stream=1)

    class Elsewhere(torch.Tensor):
        device = torch.device("meta")

    assert torch.equal(quick, uniform(123456789012345678, env.as_subclass(Elsewhere), episode, stream=1))
