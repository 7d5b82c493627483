import os

import numpy as np
import pytest

from dreamgym.suites import suite
from dreamgym.suites.drawing import Drawing

DRAWN = [
    ("pusht", "push_t", "pusher", 50.0),
    ("robosuite", "lift", "better", 24.0),
    ("metaworld", "drawer_open", "expert", 24.0),
    ("metaworld", "reach", "expert", 20.0),  # the elbow of the arm is free, and the state does not tell it
    pytest.param(
        "libero", "libero_goal/put_the_bowl_on_the_plate", "better", 24.0,  # where fixtures stand is not told
        marks=pytest.mark.skipif("DREAMGYM_LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's assets"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "task", "operator", "decibels"), DRAWN)
def test_a_state_is_drawn_as_the_simulators_camera_sees_it(name, task, operator, decibels):
    pytest.importorskip(suite(name).module)
    env = suite(name).make(task=task, cameras=("static",), image_size=64)
    drawing = Drawing(suite(name), {"image_size": 64})
    obs, _ = env.reset(seed=1)
    first = obs
    act = suite(name).operators[operator](env.unwrapped, np.random.default_rng(0))
    for _ in range(30):
        obs, *_ = env.step(act(obs))
    picture = drawing({key: obs[key][None] for key in drawing.keys}, [task])[0]
    assert picture.dtype == np.uint8
    assert picture.shape == (64, 64, 3)
    error = ((picture.astype(float) - obs["rgb_static"]) ** 2).mean()
    before = ((picture.astype(float) - first["rgb_static"]) ** 2).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-3)) >= decibels
    assert error < before  # the picture is of this state, not of any
    drawing.close()
    env.close()


def test_a_drawn_simulator_must_be_reset_before_it_steps():
    pytest.importorskip("gym_pusht")
    env = suite("pusht").make()
    obs, _ = env.reset(seed=0)
    env.unwrapped.picture(obs, "push_t")
    with pytest.raises(ValueError, match="step before reset"):
        env.step(np.zeros(2))


@pytest.mark.parametrize("state", [np.zeros(5), np.full(6, np.nan)])
def test_states_that_cannot_be_drawn_are_named(state):
    pytest.importorskip("gym_pusht")
    with pytest.raises(ValueError, match=r"state: expected \(6,\) finite numbers"):
        Drawing(suite("pusht"))({"state": state[None]}, ["push_t"])


def test_a_suite_that_names_no_sensors_cannot_draw():
    with pytest.raises(ValueError, match="cannot draw its states"):
        Drawing(suite("calvin"))
