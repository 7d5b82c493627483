import pytest
import torch

from dreamgym.envs.core.ahead import EPISODES, Memories, StartsAhead
from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.draws import uniform
from dreamgym.rewards.success import SuccessClassifier, SuccessConfig
from dreamgym.testing.point_mass import PointMassModel, point_mass_starts

TASKS = ("reach_right", "reach_top")


def draw(seed, env, episode):
    return (uniform(seed, env, episode, 1) * 2).long(), (uniform(seed, env, episode) * 1000).long()


def classifier():
    torch.manual_seed(0)
    return SuccessClassifier(SuccessConfig(TASKS, 3, embedding=(8,), head=(), compare_start=True), [2.0, 2.0])


def dream(num_envs=4, **options):
    options = {"task": "reach_right", "horizon": 3, **options}
    return DreamCore(PointMassModel(), classifier(), point_mass_starts(), num_envs=num_envs, **options)


def starts(env, steps=80):
    """Bank rows along a rollout in which single envs are reset early."""
    env.reset(seed=1)
    rows = []
    for t in range(steps):
        if t % 3 == 0:
            env.reset(mask=torch.arange(env.num_envs) == t % env.num_envs)
        env.step(torch.zeros(env.num_envs, 3))
        rows.append(env.counters["start"].clone())
    return torch.stack(rows)


def test_draws_made_ahead_are_the_same():
    ahead, episode = StartsAhead(draw, 5), torch.zeros(5, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3 * EPISODES):
        mask = torch.rand(5, generator=generator) < 0.4
        rows = mask.nonzero().flatten()
        task, start = ahead(7, episode, rows)
        assert torch.equal(torch.stack([task, start]), torch.stack(draw(7, rows, episode[rows])))
        episode = episode + mask


@pytest.mark.parametrize("task", ["reach_right", "all"])
def test_a_dream_begins_the_same_episodes_with_and_without_drawing_ahead(task):
    assert torch.equal(starts(dream(task=task)), starts(dream(task=task, fast=False)))


def test_a_restored_dream_begins_the_same_episodes_again():
    env = dream()
    env.reset(seed=0)
    for _ in range(4):
        env.step(torch.zeros(4, 3))
    here, runs = env.snapshot(), []
    for _ in range(2):
        env.restore(here)
        rows = []
        for _ in range(10):
            env.step(torch.zeros(4, 3))
            rows.append(env.counters["start"].clone())
        runs.append(torch.stack(rows))
    assert torch.equal(*runs)


def test_memories_are_what_the_reward_model_gives():
    model, reward, bank = PointMassModel(), classifier(), point_mass_starts()
    rows = bank.candidates("reach_top", None)
    memories = Memories(model, reward, bank, [(1, rows)])
    given = memories(rows[:5])
    expected = reward.start(model, bank.state(rows[:5]), torch.ones(5, dtype=torch.int64))
    torch.testing.assert_close(given, expected)


def test_a_row_of_two_tasks_is_left_to_the_reward_model():
    bank, rows = point_mass_starts(), torch.arange(4)
    assert Memories(PointMassModel(), classifier(), bank, [(0, rows), (1, rows)])(rows) is None


def test_memories_follow_the_weights_from_the_next_whole_reset_on():
    env = dream(task="reach_top")
    env.reset(seed=0)
    before = env.memory["start"].clone()
    with torch.no_grad():
        env.reward.start_layer.bias += 1.0
    env.reset(seed=0)
    torch.testing.assert_close(env.memory["start"], before + 1.0)


def remembers_its_start(env):
    """Whether env 0 remembers what the reward model, as it is now, gives for its start."""
    state = env.beginner.bank.state(env.counters["start"][:1])
    expected = env.reward.start(env.model, state, env.counters["task"][:1])["start"]
    return torch.allclose(env.memory["start"][:1], expected)


@pytest.mark.parametrize("whole_reset_before", [True, False])
def test_memories_follow_the_weights_also_where_no_whole_reset_comes(whole_reset_before):
    env, first = dream(task="reach_top"), torch.tensor([True, False, False, False])
    env.reset(seed=0)
    if not whole_reset_before:
        here, env = env.snapshot(), dream(task="reach_top")
        env.restore(here)
    for change in (0.0, 1.0, 1.0, 0.0, 0.0):
        if change:
            with torch.no_grad():
                env.reward.start_layer.bias += change
        env.reset(mask=first)
        assert remembers_its_start(env)


def test_memories_follow_the_start_bank():
    env = dream(task="reach_top")
    env.reset(seed=0)
    env.beginner.bank.states["position"].mul_(0.5)
    env.reset(seed=0)
    assert remembers_its_start(env)


@pytest.mark.parametrize("task", ["reach_right", list(TASKS)])
def test_after_resets_each_env_remembers_its_own_start(task):
    env = dream(task=task)
    env.reset(seed=0)
    for t in range(7):
        env.step(torch.zeros(4, 3))
        if t == 3:
            env.reset(mask=torch.tensor([False, True, False, False]))
    state = env.beginner.bank.state(env.counters["start"])
    expected = env.reward.start(env.model, state, env.counters["task"])
    torch.testing.assert_close(dict(env.memory), dict(expected))


def test_a_policy_can_learn_from_all_that_a_step_gives():
    env = dream(reward_mode="probability")
    env.reset(seed=0)
    weight = torch.ones(3, requires_grad=True)
    for _ in range(5):  # through a reset
        step = env.step(torch.zeros(4, 3))
        scores = step.reward + step.info["success_probability"] + step.info["uncertainty"]
        loss = ((step.obs * weight).sum(1) * scores).sum()
        if step.final is not None:
            loss = loss + (step.final.obs * weight).sum()
        loss.backward()
    assert weight.grad is not None and weight.grad.abs().sum() > 0
