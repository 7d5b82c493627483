import os
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.sims.libero.env import LiberoEnv
from dreamgym.suites import suite
from dreamgym.suites.libero.grasps import Grasps
from dreamgym.suites.libero.operators import PROFICIENCIES, Operator
from dreamgym.suites.libero.plans import next_fact

needs_assets = pytest.mark.skipif("DREAMGYM_LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's assets")


def order(*goal):
    """The facts of a goal in the order in which they are made to hold."""
    done = []
    sight = SimpleNamespace(goal=goal, holds=lambda fact: fact in done)
    while (fact := next_fact(sight)) is not None:
        done.append(fact)
    return done


def test_things_are_put_in_before_what_they_are_in_is_shut():
    put, shut = ("in", "mug", "oven_heating_region"), ("close", "oven")
    assert order(shut, put) == [put, shut]
    other = ("on", "bowl", "cabinet_top_side")
    assert order(other, ("close", "cabinet_top_region")) == [("close", "cabinet_top_region"), other]


def test_what_others_stand_on_is_moved_first():
    stacked, away = ("on", "small", "large"), ("in", "large", "tray_contain_region")
    assert order(stacked, away) == [away, stacked]


@pytest.fixture(scope="module")
def env():
    made = LiberoEnv("libero_goal/turn_on_the_stove", horizon=None)
    yield made
    made.close()


def attempt(env, task, proficiency, seed=0, horizon=300):
    env.reset(seed=seed, options={"task": task, "init_state": seed})
    operator = Operator(env, proficiency, np.random.default_rng(seed))
    actions = []
    for _ in range(horizon):
        actions.append(operator.act())
        if env.step(actions[-1])[2]:
            return np.array(actions)
    return None


@needs_assets
def test_a_better_operator_turns_a_knob_and_moves_a_bowl(env):
    turned = attempt(env, "libero_goal/turn_on_the_stove", "better")
    assert turned is not None and np.abs(turned).max() <= 1
    np.testing.assert_array_equal(turned, attempt(env, "libero_goal/turn_on_the_stove", "better"))
    assert attempt(env, "libero_goal/put_the_bowl_on_the_plate", "better") is not None


@needs_assets
def test_what_nobody_can_hold_is_named(env):
    env.reset(options={"task": "libero_goal/put_the_bowl_on_the_plate", "init_state": 0})
    operator = Operator(env, "better", np.random.default_rng(0), Grasps())
    with pytest.raises(ValueError, match="akita_black_bowl.*read_grasps"):
        for _ in range(30):
            env.step(operator.act())


@needs_assets
def test_an_unknown_proficiency_is_named(env):
    env.reset()
    with pytest.raises(ValueError, match="better"):
        Operator(env, "best", np.random.default_rng(0))


def test_the_suite_has_every_proficiency_and_takes_suites_for_tasks():
    libero = suite("libero")
    assert set(PROFICIENCIES) < set(libero.operators)
    collected = libero.collector("demonstrations", tasks=("libero_goal",), image_size=32)
    info = collected.info()
    assert len(info["tasks"]) == 10
    assert libero.recorded_in(info, {})["kwargs"]["image_size"] == 32
    libero.check_settings(libero.recorded_in(info, {})["kwargs"])
    with pytest.raises(ValueError, match="libero_gaol"):
        libero.collector("demonstrations", tasks=("libero_gaol",))


@needs_assets
def test_episodes_can_begin_from_the_benchmarks_own_states(env):
    task = "libero_goal/turn_on_the_stove"
    made = suite("libero").collector(
        "demonstrations", tasks=(task,), operators=("random",), max_steps=2, image_size=0, initial_states=True
    )
    metas = []
    for index in (0, 7):
        episode, meta = made(0).episode(index)
        suite("libero").begin(env, 0, {"task": task, "init_state": index})
        np.testing.assert_array_equal(episode["scene_obs"][0], env.observe()["scene_obs"])
        metas.append(meta)
    assert [m["init_state"] for m in metas] == [0, 7]
    assert metas[0]["instruction"] == "turn on the stove"
