import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

pytest.importorskip("metaworld")

from dreamgym.sims.metaworld import TASKS, MetaworldEnv
from dreamgym.suites.metaworld import Expert


@pytest.fixture(scope="module")
def env():
    made = MetaworldEnv("drawer_open")
    yield made
    made.close()


def run(env, expert, steps, rng=None):
    rng = np.random.default_rng(0) if rng is None else rng
    return [env.step(expert.act(env.observe()["state"], rng))[0]["state"] for _ in range(steps)]


def test_ten_tasks_of_the_paper():
    assert len(TASKS) == 10


def test_gymnasiums_checker(env):
    check_env(env, skip_render_check=True)


def test_state_holds_the_frame_before_and_the_goal(env):
    first = env.reset(seed=3)[0]["state"]
    assert first.shape == (39,)
    assert np.allclose(first[:18], first[18:36])
    second = env.step(np.array([1.0, 0, 0, -1]))[0]["state"]
    third = env.step(np.array([1.0, 0, 0, -1]))[0]["state"]
    assert np.allclose(third[18:36], second[:18])
    assert np.any(first[36:] != 0)


def test_a_seed_places_objects_and_another_places_them_elsewhere(env):
    a, b, c = (env.reset(seed=s)[0]["state"] for s in (1, 1, 2))
    assert np.allclose(a, b, atol=1e-6)
    assert not np.allclose(a, c, atol=1e-3)


def test_a_snapshot_brings_everything_back(env):
    expert = Expert("drawer_open")
    env.reset(seed=5)
    run(env, expert, 25)
    taken, seen = env.snapshot(), env.observe()["state"]
    on = run(env, expert, 15)
    env.reset(seed=6)
    assert np.array_equal(env.reset(options={"snapshot": taken})[0]["state"], seen)
    assert np.array_equal(env.snapshot(), taken)
    assert np.allclose(run(env, expert, 15), on, atol=1e-6)


def test_a_snapshot_brings_its_task_and_the_verdict(env):
    expert = Expert("reach")
    other = MetaworldEnv(None)
    other.reset(seed=1, options={"task": "reach"})
    env.restore(other.snapshot())
    assert env.episode_task == "reach"
    done = [env.step(expert.act(env.observe()["state"], np.random.default_rng(0))) for _ in range(60)]
    assert any(info["is_success"] for *_, info in done)
    assert any(terminated and reward == 1 for _, reward, terminated, _, _ in done)
    other.close()


def tumble(env, turns):
    """Turns the puck of "reach" by 20 degrees a step about a slanted axis; the states, a row a step."""
    axis, seen = np.array([0.6, 0.8, 0.0]), []
    for angle in np.radians(20) * np.arange(18 * turns):
        position = env.world.data.body("obj").xpos[:2]
        pose = [*position, 0.3, np.cos(angle / 2), *(np.sin(angle / 2) * axis)]
        env.world._set_obj_xyz(np.zeros(3))  # at rest
        env.world.data.qpos[9:16] = pose
        seen.append(env.step(np.array([0.0, 0.0, 0.0, -1.0]))[0]["state"])
    return np.array(seen)


def test_the_quaternion_of_a_tumbling_object_does_not_jump():
    env = MetaworldEnv("reach", horizon=None)
    first = env.reset(seed=0)[0]["state"]
    seen = tumble(env, turns=2)
    now, before = seen[:, 7:11], seen[:, 25:29]
    assert np.abs(np.diff(now, axis=0)).max() < 0.3
    assert np.abs(np.linalg.norm(now, axis=1) - 1).max() < 1e-5
    assert np.allclose(before[1:], now[:-1], atol=1e-6)
    assert np.allclose(before[0], first[7:11], atol=1e-6)
    env.close()


def test_a_snapshot_brings_the_sign_of_a_quaternion():
    env = MetaworldEnv("reach", horizon=None)
    env.reset(seed=0)
    seen, taken = tumble(env, turns=1)[-1], env.snapshot()
    assert seen[10] < 0  # a whole turn: the same rotation as at first, with the other sign
    env.reset(seed=1)
    assert env.observe()["state"][10] > 0
    assert np.array_equal(env.reset(options={"snapshot": taken})[0]["state"], seen)
    env.close()


def test_a_snapshot_of_another_task_than_asked_for_is_refused(env):
    env.reset(seed=0, options={"task": "drawer_open"})
    with pytest.raises(ValueError, match="'drawer_open', not of 'reach'"):
        env.reset(options={"snapshot": env.snapshot(), "task": "reach"})


def test_task_and_length_of_a_snapshot_are_checked(env):
    with pytest.raises(ValueError, match="expected one of"):
        MetaworldEnv("fly")
    with pytest.raises(ValueError, match="snapshot"):
        env.restore(np.zeros(7))


def test_a_snapshot_of_a_solved_task_is_judged_so(env):
    expert, obs = Expert("reach"), env.reset(seed=1, options={"task": "reach"})[0]
    unsolved = env.snapshot()
    for _ in range(60):
        obs, _, done, _, _ = env.step(expert.act(obs["state"], np.random.default_rng(0)))
        if done:
            break
    solved = env.snapshot()
    assert env.reset(options={"snapshot": solved})[1]["is_success"]
    assert not env.reset(options={"snapshot": unsolved})[1]["is_success"]


def test_a_picture_shows_what_is_above_above():
    """Above the table there is nothing, which is black; below stands the floor."""
    env = MetaworldEnv("reach", render_mode="rgb_array")
    try:
        env.reset(seed=0)
        picture = env.render()
    finally:
        env.close()
    assert picture[:8].max() < 10 < picture[-8:].mean()
