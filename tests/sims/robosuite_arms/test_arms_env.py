"""The table that several robots share: what each can do there, and what is judged."""

import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.sims.robosuite_arms.embodiments import EMBODIMENTS, HELD_OUT
from dreamgym.sims.robosuite_arms.env import STATE_DIM, ArmsEnv
from dreamgym.sims.robosuite_arms.objects import HELD_OUT_CATEGORIES, THINGS
from dreamgym.suites import suite


@pytest.fixture(scope="module")
def worlds():
    """One simulator a robot, made when first asked for."""
    made = {}

    def get(robot):
        if robot not in made:
            made[robot] = ArmsEnv(robot=robot, horizon=None, image_size=32)
        return made[robot]

    yield get
    for env in made.values():
        env.close()


def test_robots_have_disjoint_action_spaces_and_one_is_held_out():
    sizes = [e.action.dim for e in EMBODIMENTS.values()]
    assert len(set(sizes)) == len(sizes) == 4
    assert HELD_OUT in EMBODIMENTS
    assert {e.controller for e in EMBODIMENTS.values()} == {"joints", "pose", "position"}


def test_some_instances_and_categories_are_held_out():
    held = [t for t in THINGS if t.held_out]
    assert {t.category for t in held} < {t.category for t in THINGS if not t.held_out}
    assert set(HELD_OUT_CATEGORIES) <= {t.category for t in THINGS}


@pytest.mark.parametrize(
    "robot", [r if r in ("panda_joints", HELD_OUT) else pytest.param(r, marks=pytest.mark.slow) for r in EMBODIMENTS]
)
def test_each_robot_lifts_an_object_and_puts_it_down(worlds, robot):
    env = worlds(robot)
    _, info = env.reset(seed=3, options={"task": "move_cylinder"})
    assert not info["contact"] and not info["lifted"] and not info["is_success"]
    act = suite("robosuite_arms").operators["better"](env, np.random.default_rng(0))
    seen = []
    for _ in range(250):
        _, reward, terminated, _, info = env.step(act({}))
        seen.append((info["contact"], info["lifted"], info["is_success"]))
        if terminated:
            break
    assert reward == 1 and info["is_success"]
    first = [next(i for i, row in enumerate(seen) if row[k]) for k in range(3)]
    assert first == sorted(first) and first[0] < first[2]
    assert np.linalg.norm((env.object_pose[0] - env.object_start)[:2]) >= 0.1


def test_a_snapshot_brings_back_camera_object_and_progress(worlds):
    env = worlds("ur5e_pose")
    env.reset(seed=1, options={"task": "move_can"})
    for _ in range(5):
        env.step(np.zeros(7))
    taken, obs = env.snapshot(), env.observe()
    env.reset(seed=2, options={"task": "move_bread"})
    env.restore(taken)
    again = env.observe()
    assert env.episode_task == "move_can"
    assert np.array_equal(obs["state"], again["state"])
    assert np.array_equal(obs["rgb_static"], again["rgb_static"])


def test_the_camera_sways_where_it_is_worn_and_rests_elsewhere(worlds):
    for robot, sways in (("ur5e_pose", True), ("kinova3_position", False)):
        env = worlds(robot)
        before = env.reset(seed=0)[0]["state"][19:28]
        for _ in range(10):
            obs = env.step(np.array([*[0.0] * (env.action_space.shape[0] - 1), -1.0]))[0]
        assert (np.abs(obs["state"][19:28] - before).max() > 1e-3) == sways
        assert obs["state"].shape == (STATE_DIM,)
        assert obs["rgb_static"].std() > 10


def test_what_lies_there_is_chosen_by_instances():
    env = ArmsEnv("move_cube", "panda_joints", instances="held_out", cameras=())
    for seed in range(3):
        env.reset(seed=seed)
        assert THINGS[env.shelf.used].held_out and THINGS[env.shelf.used].category == "cube"
    env.close()


def test_a_snapshot_that_a_store_holds_can_be_restored(worlds):
    env = worlds("panda_joints")
    env.reset(seed=0)
    taken = env.snapshot()
    taken.setflags(write=False)
    env.step(np.ones(8))
    env.reset(options={"snapshot": taken})
    np.testing.assert_array_equal(env.snapshot(), taken)


def test_other_robots_snapshots_and_wrong_names_are_refused(worlds):
    worlds("panda_joints").reset(seed=0)
    taken = worlds("panda_joints").snapshot()
    with pytest.raises(ValueError, match="a snapshot of 'panda_joints'"):
        worlds("ur5e_pose").restore(taken)
    with pytest.raises(ValueError, match="robot: expected one of"):
        ArmsEnv(robot="r2d2")
    with pytest.raises(ValueError, match="instances"):
        ArmsEnv(instances="some")
