"""The scripted skills do what they are named for, on the built-in table, from states only."""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import CalvinEnv
from dreamgym.suites.calvin.skills import BLOCK_SKILLS, SKILLS, TASKS, SkillRun
from dreamgym.suites.calvin.skills_engine import CLOSE, HAND_DOWN, Hand, Style, View, Waypoint, lean, wrap
from dreamgym.suites.calvin.skills_layout import LAYOUTS

LAYOUT = LAYOUTS["playtable"]


@pytest.fixture(scope="module")
def env():
    made = CalvinEnv("playtable", cameras=())
    yield made
    made.close()


def start(env: CalvinEnv, task: str, seed: int) -> tuple[View, Hand, np.random.Generator]:
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed, options={"task": task})
    view, hand = View(LAYOUT), Hand(rng)
    view.update(obs)
    hand.sync(view)
    return view, hand, rng


def carry_out(env: CalvinEnv, run: SkillRun) -> tuple[int, set[str]]:
    """Steps to the end of the run, and all that the oracle saw achieved on the way."""
    seen: set[str] = set()
    while not run.done:
        action = run.act()
        assert action.shape == (7,)
        assert np.abs(action).max() <= 1
        obs, _, _, _, info = env.step(action)
        seen |= set(info["tasks"])
        run.view.update(obs)
        run.settle()
    return run.num_steps, seen


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("task", TASKS)
def test_task_is_solved_within_a_demonstration(env, task, seed):
    view, hand, rng = start(env, task, seed)
    run = SkillRun(task, hand, view, rng, Style(), max_steps=64)
    assert SKILLS[task].applicable(view)
    _, seen = carry_out(env, run)
    assert run.success
    assert task in seen


@pytest.mark.skipif("DREAMGYM_CALVIN_ASSETS" not in os.environ, reason="scene D needs CALVIN's assets")
def test_every_task_is_solved_in_scene_d():
    env = CalvinEnv("D", cameras=())
    solved = set()
    for task in TASKS:
        view, hand, rng = start(env, task, 0)
        if task in carry_out(env, SkillRun(task, hand, view, rng, Style(), max_steps=64))[1]:
            solved.add(task)
    env.close()
    assert solved == set(TASKS)


@pytest.mark.parametrize("skill", BLOCK_SKILLS)
def test_block_skill_works_on_one_of_two_tables(env, skill):
    solved = []
    for seed in range(12):
        view, hand, rng = start(env, "push_red_block_left", seed)
        if SKILLS[skill].applicable(view):
            run = SkillRun(skill, hand, view, rng, Style(), max_steps=110)
            carry_out(env, run)
            solved.append(run.success)
        if len(solved) == 2:
            break
    assert len(solved) == 2
    assert any(solved)


def test_miss_leaves_the_light_alone(env):
    view, hand, rng = start(env, "turn_on_led", 0)
    run = SkillRun("turn_on_led", hand, view, rng, Style(miss=(0.0, 0.0, 0.08)), max_steps=64)
    carry_out(env, run)
    assert not run.success
    assert not view.led


def test_run_stops_at_its_budget(env):
    view, hand, rng = start(env, "open_drawer", 0)
    run = SkillRun("open_drawer", hand, view, rng, Style(), max_steps=7)
    assert carry_out(env, run)[0] == 7
    assert not run.success


def test_hand_reaches_a_waypoint_near_the_edge_of_its_reach(env):
    view, hand, _ = start(env, "open_drawer", 0)
    goal = np.array([0.30, 0.0, 0.62])
    for _ in range(45):
        view.update(env.step(hand.act(view, Waypoint(goal, CLOSE), Style()))[0])
    assert np.linalg.norm(view.tcp - goal) < 0.01


def test_hand_copies_the_target_of_the_simulator(env):
    view, hand, rng = start(env, "move_slider_left", 3)
    carry_out(env, SkillRun("move_slider_left", hand, view, rng, Style(noise=0.002), max_steps=40))
    target = env.simulation.robot.target
    np.testing.assert_allclose(hand.target, target[:3], atol=1e-4)
    np.testing.assert_allclose(wrap(hand.target_euler - target[3:]), 0, atol=1e-4)


def test_lean_points_outwards_at_the_edge_and_down_nearby():
    assert lean(np.array([0.0, -0.2, 0.5]), LAYOUT.base) == pytest.approx(HAND_DOWN)
    roll, pitch, yaw = lean(np.array([0.3, 0.05, 0.6]), LAYOUT.base)
    cosines, sines = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    # Third column of Rz Ry Rx: where the fingers point.
    ahead = cosines[0] * sines[1]
    pointing = np.array([cosines[2] * ahead + sines[2] * sines[0], sines[2] * ahead - cosines[2] * sines[0]])
    outwards = np.array([0.3, 0.05]) - LAYOUT.base
    np.testing.assert_allclose(pointing / np.linalg.norm(pointing), outwards / np.linalg.norm(outwards), atol=1e-6)


def test_block_skills_know_when_no_block_lies_on_the_table():
    view = View(LAYOUT)
    view.scene_obs = np.full(24, -1.0)
    assert not any(SKILLS[name].applicable(view) for name in BLOCK_SKILLS)
