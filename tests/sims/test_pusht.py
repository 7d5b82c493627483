import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

pytest.importorskip("gym_pusht")

import dreamgym
from dreamgym.sims.perturbed import Perturbed
from dreamgym.sims.pusht import PushTEnv, make_env
from dreamgym.suites.pusht import Pusher

assert dreamgym.__version__  # registers the ids


@pytest.fixture(scope="module")
def env():
    made = PushTEnv()
    yield made
    made.close()


def push(env, steps, seed=0):
    pusher, rng = Pusher(), np.random.default_rng(seed)
    out = [env.reset(seed=seed)[0]["state"]]
    for _ in range(steps):
        out.append(env.step(pusher.act(out[-1], rng))[0]["state"])
    return np.array(out)


def test_gymnasiums_checker(env):
    check_env(env, skip_render_check=True)


def test_a_seed_repeats_and_another_does_not(env):
    assert np.array_equal(push(env, 20, 1), push(env, 20, 1))
    assert not np.allclose(push(env, 0, 1), push(env, 0, 2))


def test_angle_does_not_jump(env):
    env.reset(seed=0)
    env.block.angle = 2 * np.pi - 0.01
    before = env.observe()["state"][4:]
    env.block.angle = 0.01
    assert np.abs(env.observe()["state"][4:] - before).max() < 0.03


def test_coverage_is_one_on_the_outline_and_success_follows_it(env):
    env.reset(seed=0)
    env.block.angle = np.pi / 4
    env.block.position = (256.0, 256.0)
    assert env.coverage == pytest.approx(1.0, abs=1e-3)
    _, reward, terminated, _, info = env.step(np.array([20.0, 20.0]))
    assert (reward, terminated, info["is_success"]) == (1.0, True, True)


def test_a_snapshot_brings_everything_back(env):
    push(env, 45, 1)
    taken, seen = env.snapshot(), env.observe()["state"]
    assert np.allclose(env.reset(options={"snapshot": taken})[0]["state"], seen, atol=1e-4)

    def go_on():
        env.restore(taken)
        return np.array([env.step(np.array([400.0, 100.0 + 20 * i]))[0]["state"] for i in range(10)])

    assert np.array_equal(go_on(), go_on())


def test_the_adversary_displaces_the_block_at_some_steps_and_by_no_more_than_it_may():
    env = make_env(perturbation=30.0, perturbation_probability=0.3)
    obs, _ = env.reset(seed=0)
    away = np.array([480.0, 480.0]) if obs["state"][2] < 256 else np.array([30.0, 30.0])
    moves, marks = [], []
    for _ in range(60):
        before = obs["state"]
        obs, _, _, _, info = env.step(away)
        moves.append(np.linalg.norm(obs["state"][2:4] - before[2:4]))
        marks.append(info["perturbed"])
    moves, marks = np.array(moves), np.array(marks)
    assert 8 <= marks.sum() <= 30
    assert moves[marks].max() > 10
    assert moves[marks].max() <= 30.1
    assert np.allclose(moves[~marks][10:], 0, atol=1.0)


def test_the_adversary_comes_at_a_tenth_of_the_steps_by_default():
    env = make_env(perturbation=1.0)
    marks = []
    for seed in range(4):
        env.reset(seed=seed)
        marks += [env.step(np.array([30.0, 30.0]))[4]["perturbed"] for _ in range(250)]
    assert 70 <= sum(marks) <= 130  # of 1,000: 100 with a deviation of 9.5


def test_the_adversary_depends_on_where_the_episode_began_not_on_the_policy():
    def marks(action, **kwargs):
        env = make_env(perturbation=5.0, **kwargs)
        env.reset(seed=4)
        return [env.step(action)[4]["perturbed"] for _ in range(50)]

    still, busy = marks(np.array([30.0, 30.0])), marks(np.array([480.0, 256.0]))
    assert still == busy
    assert still != marks(np.array([30.0, 30.0]), perturbation_seed=1)


def test_a_perturbed_simulator_goes_on_from_its_snapshot_and_takes_an_undisturbed_one():
    env = make_env(perturbation=20.0, perturbation_probability=0.5)
    env.reset(seed=2)
    for _ in range(5):
        env.step(np.array([200.0, 200.0]))
    taken = env.snapshot()

    def go_on():
        env.restore(taken)
        return np.array([env.step(np.array([200.0, 200.0]))[0]["state"] for _ in range(10)])

    assert np.array_equal(go_on(), go_on())
    plain = PushTEnv()
    plain.reset(seed=9)
    obs, _ = env.reset(options={"snapshot": plain.snapshot(), "task": "push_t"})
    assert np.allclose(obs["state"], plain.observe()["state"], atol=1e-4)


def test_no_magnitude_means_no_wrapper():
    assert isinstance(make_env(perturbation=0.0), PushTEnv)


def test_what_cannot_be_disturbed_says_what_can():
    with pytest.raises(ValueError, match=r"cannot be disturbed.*env.unwrapped.*perturbation=\.\.\."):
        Perturbed(gym.make("Real-PushT-v0"), 50)
    with pytest.raises(ValueError, match=r"probability=0.5 without a magnitude"):
        gym.make("Real-PushT-v0", perturbation_probability=0.5)


def test_a_picture_of_a_reset_shows_nothing_of_the_episode_before():
    fresh, used = (PushTEnv(cameras=("static",)) for _ in range(2))
    used.reset(seed=1)
    used.step(np.array([20.0, 20.0]))
    start = fresh.reset(seed=0)[0]
    assert np.array_equal(used.reset(seed=0)[0]["rgb_static"], start["rgb_static"])
    snapshot = fresh.snapshot()
    used.step(np.array([20.0, 20.0]))
    used.restore(snapshot)
    assert np.array_equal(used.observe()["rgb_static"], start["rgb_static"])


@pytest.mark.parametrize("size", [48, 96])
def test_a_picture_is_one_of_the_state_alone(size):
    env = PushTEnv(render_mode="rgb_array", image_size=size, cameras=("static",))
    obs, _ = env.reset(seed=0)
    assert obs["rgb_static"].shape == env.render().shape == (size, size, 3)
    assert len(np.unique(obs["rgb_static"])) > 3
    moved = env.step(np.array([300.0, 300.0]))[0]["rgb_static"]
    env.restore(env.snapshot())
    assert np.array_equal(env.observe()["rgb_static"], moved)


def test_before_a_reset_and_after_a_refused_one_there_is_nothing_to_see():
    env = PushTEnv(render_mode="rgb_array")
    with pytest.raises(ValueError, match="snapshot: expected one of PushTEnv"):
        env.reset(options={"snapshot": np.zeros(3)})
    calls = (env.snapshot, env.observe, env.render, lambda: env.step(np.zeros(2)),
             lambda: env.perturb(np.random.default_rng(0), 1.0))  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="before reset: call reset"):
            call()


def test_a_step_is_the_suites_own_to_the_last_bit(env):
    env.reset(seed=5)
    snapshot = env.snapshot()
    rng = np.random.default_rng(0)
    actions = rng.uniform(0, 512, (60, 2)) * [[1, 1]] * np.linspace(1, 0.5, 60)[:, None]

    def states(step):
        env.reset(options={"snapshot": snapshot})
        return np.array([(step(a), env.snapshot())[1] for a in actions])

    ours, theirs = states(env.step), states(env.world.step)
    assert np.abs(ours[-1] - ours[0]).max() > 5
    assert np.array_equal(ours, theirs)
