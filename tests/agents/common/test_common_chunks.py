"""Chunks: cut, and under way in many envs."""

import torch
from dreamgym_agents.common.chunks import action_at, are_due, cut_chunks, renewed


def test_a_chunk_begins_at_every_step_that_has_enough_after_it():
    actions = torch.arange(10.0).view(1, 5, 2)
    cut = cut_chunks(actions, 3)
    assert cut.shape == (1, 3, 3, 2)
    assert all(torch.equal(cut[0, t], actions[0, t : t + 3]) for t in range(3))


def test_who_was_reset_or_is_through_with_the_plan_decides():
    fresh, steps = torch.tensor([True, False, False, False]), torch.tensor([0, 3, 4, 5])
    assert are_due(fresh, steps, 4).tolist() == [True, False, True, True]


def test_only_the_plans_that_are_due_are_drawn():
    asked, plan = [], torch.zeros(4, 2)

    def draw(rows):
        asked.append(rows)
        return torch.full((len(torch.arange(4)[rows]), 2), float(len(asked)))

    first = renewed(None, torch.tensor([False] * 4), draw)
    some = renewed(plan, torch.tensor([False, True, False, True]), draw)
    assert asked[0] == slice(None)
    assert asked[1].tolist() == [1, 3]
    assert first[:, 0].tolist() == [1, 1, 1, 1]
    assert some[:, 0].tolist() == [0, 2, 0, 2]
    assert plan.eq(0).all()
    assert renewed(plan, torch.tensor([False] * 4), draw) is plan
    assert renewed(plan, torch.tensor([True] * 4), draw)[:, 0].tolist() == [3, 3, 3, 3]


def test_each_env_is_at_a_step_of_its_own():
    chunk = torch.arange(12.0).view(2, 3, 2)
    assert action_at(chunk, torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]
