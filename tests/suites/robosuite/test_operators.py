"""Scripted operators of robosuite."""

import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.sims.robosuite import RobosuiteEnv
from dreamgym.suites.robosuite.operators import PROFICIENCIES, Operator, StateSight


@pytest.fixture(scope="module")
def env():
    made = RobosuiteEnv("lift")
    yield made
    made.close()


def work(env, seed, proficiency="better", steps=90):
    env.reset(seed=seed)
    hand = Operator(env, proficiency, np.random.default_rng(seed))
    out = []
    for _ in range(steps):
        obs, _, terminated, _, _ = env.step(hand.act())
        out.append(obs["state"])
        if terminated:
            break
    return np.array(out), terminated


def test_an_operator_lifts_the_cube_and_the_oracle_sees_it(env):
    states, done = work(env, 0)
    assert done
    assert states[-1][13] > 0.84


@pytest.mark.parametrize(("task", "robot"), [("can", "Panda"), ("lift", "UR5e")])
def test_an_operator_puts_the_can_into_its_bin_and_lifts_with_another_arm(task, robot):
    env = RobosuiteEnv(task, robot)
    assert any(work(env, seed, steps=250)[1] for seed in range(2))
    env.close()


@pytest.mark.parametrize("task", ["lift", "can"])
def test_an_operator_who_sees_the_state_does_what_one_who_sees_the_simulator_does(task):
    env = RobosuiteEnv(task)
    state, sight = env.reset(seed=5)[0]["state"], StateSight(task)
    sight.state = state
    hands = [Operator(eyes, "okay", np.random.default_rng(1)) for eyes in (env, sight)]
    for _ in range(40):
        actions = [hand.act() for hand in hands]
        assert np.allclose(*actions, atol=1e-3)
        sight.state = env.step(actions[0])[0]["state"]
    env.close()


def test_worse_operators_take_longer(env):
    steps = [len(work(env, 0, name, 250)[0]) for name in PROFICIENCIES if name != "clumsy"]
    assert steps[0] < min(steps[1:])


def test_a_state_does_not_show_the_frame_of_an_arm_that_turns():
    with pytest.raises(ValueError, match="XArm7 are in a frame that turns"):
        StateSight("lift", "XArm7")
