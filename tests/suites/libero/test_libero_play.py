import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.sims.libero.env import LiberoEnv
from dreamgym.suites import suite
from dreamgym.suites.libero.play import draw_fact, facts

pytestmark = pytest.mark.skipif("DREAMGYM_LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's assets")
TASK = "libero_goal/turn_on_the_stove"
STOVE, BOWL = ("turnon", "flat_stove_1"), ("on", "akita_black_bowl_1", "plate_1")


def assets():
    return Path(os.environ["DREAMGYM_LIBERO_ASSETS"])


def test_goals_of_a_scenes_tasks_and_their_opposites_are_played_for():
    known = facts(assets(), TASK)
    assert {STOVE, ("turnoff", "flat_stove_1"), BOWL} <= set(known)
    assert any(fact[:2] == ("on", "akita_black_bowl_1") and fact[2].startswith("main_table") for fact in known)
    kitchen = facts(assets(), "libero_90/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet")
    assert not any("flat_stove_1" in fact for fact in kitchen)


def test_only_what_does_not_hold_and_can_be_done_is_drawn():
    from dreamgym.suites.libero.operators import Operator

    env = LiberoEnv(TASK, horizon=None)
    env.reset(seed=0)
    hand, known, rng = (
        Operator(env, "better", np.random.default_rng(0)),
        facts(assets(), TASK),
        np.random.default_rng(0),
    )
    drawn = {draw_fact(hand.sight, hand.grasps, known, rng) for _ in range(200)}
    assert STOVE in drawn and BOWL in drawn
    assert ("turnoff", "flat_stove_1") not in drawn  # it is off
    assert not any(fact[0] == "in" and "cabinet" in fact[2] for fact in drawn)  # its drawers are shut
    env.close()


def test_play_goes_on_without_a_reset_and_says_what_was_played():
    made = suite("libero").collector("play", tasks=(TASK,), episode_steps=130, image_size=0)
    episode, meta = made(0).episode(0)
    assert len(episode["action"]) == 130 and episode["action"].shape[1] == 7
    assert [first for _, first, _, _ in meta["skills"]][1:] == [last for _, _, last, _ in meta["skills"]][:-1]
    assert meta["skills"][-1][2] == 130
    # One reset: no joint jumps between rows.
    assert np.abs(np.diff(episode["robot_obs"][:, 11:], axis=0)).max() < 0.3
    with pytest.raises(ValueError, match="better"):
        suite("libero").collector("play", operators=("best",))


def test_all_scenes_of_the_ninety_are_played_in():
    assert len(suite("libero").collector("play").tasks) == 20
