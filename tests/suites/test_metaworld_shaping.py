"""Metaworld's dense reward by distances."""

import pytest
import torch

from dreamgym.suites.metaworld import TASKS, DistanceShaping


def state(hand, thing, goal):
    out = torch.zeros(1, 39)
    out[0, 0:3], out[0, 4:7], out[0, 36:39] = map(torch.tensor, (hand, thing, goal))
    return {"state": out}


def pay(task, start, now):
    return DistanceShaping(TASKS, "cpu").reward(start, now, torch.tensor([TASKS.index(task)])).item()


FAR, THING, GOAL = (0.3, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.2, 0.0)
START = state(FAR, THING, GOAL)


def test_the_hand_is_paid_for_coming_near_and_the_object_for_its_way():
    assert pay("drawer_open", START, START) == pytest.approx(0.3 * (1 - 0.9051483), abs=1e-5)  # 1 - tanh(5 * 0.3)
    assert pay("drawer_open", START, state(THING, THING, GOAL)) == pytest.approx(0.3)
    half = (0.0, 0.1, 0.0)
    assert pay("drawer_open", START, state(half, half, GOAL)) == pytest.approx(0.3 + 0.35)
    assert pay("drawer_open", START, state(GOAL, GOAL, GOAL)) == pytest.approx(1.0)


def test_the_wrong_way_costs_and_no_more_than_the_whole_way():
    assert pay("drawer_open", START, state(FAR, (0.0, -0.1, 0.0), GOAL)) < pay("drawer_open", START, START)
    assert pay("drawer_open", START, state(FAR, (0.0, -9.0, 0.0), GOAL)) == pytest.approx(-0.7)


def test_of_reach_the_hand_is_what_moves():
    assert pay("reach", START, state(GOAL, THING, GOAL)) == pytest.approx(1.0)
    assert pay("reach", START, state(THING, THING, GOAL)) < 0.5


def test_each_env_is_paid_for_its_own_task():
    both = {"state": START["state"].repeat(2, 1)}
    now = {"state": state(GOAL, THING, GOAL)["state"].repeat(2, 1)}
    task = torch.tensor([TASKS.index("reach"), TASKS.index("drawer_open")])
    paid = DistanceShaping(TASKS, "cpu").reward(both, now, task)
    assert paid[0] == pytest.approx(1.0)
    assert paid[1] < 0.5
