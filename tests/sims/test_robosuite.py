import numpy as np
import pytest

pytest.importorskip("robosuite")

from dreamgym.sims.robosuite import RobosuiteEnv, make_env
from dreamgym.suites.robosuite.operators import Operator


@pytest.fixture(scope="module")
def env():
    made = RobosuiteEnv("lift")
    yield made
    made.close()


def test_state_shows_gripper_and_object(env):
    obs, info = env.reset(seed=1)
    state = obs["state"]
    assert state.shape == env.observation_space["state"].shape == (23,)
    assert np.allclose(state[11:14] - state[:3], state[20:23], atol=1e-6)
    assert info == {"is_success": False, "task": "lift"}


def test_a_seed_repeats_and_another_does_not(env):
    first = env.reset(seed=1)[0]["state"]
    again = env.reset(seed=1)[0]["state"]
    other = env.reset(seed=2)[0]["state"]
    assert np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-4)


def test_a_snapshot_brings_everything_back_in_the_middle_of_a_grasp(env):
    env.reset(seed=3)
    hand = Operator(env, "better", np.random.default_rng(0))
    for _ in range(27):
        env.step(hand.act())
    taken, seen = env.snapshot(), env.observe()["state"]
    actions = [np.array([0, 0, 0.8, 0, 0, 0, 1.0])] * 6
    on = [env.step(a)[0]["state"] for a in actions]
    env.reset(seed=4)
    assert np.array_equal(env.reset(options={"snapshot": taken})[0]["state"], seen)
    assert np.array_equal(env.snapshot(), taken)
    assert np.allclose([env.step(a)[0]["state"] for a in actions], on, atol=1e-5)


def test_the_adversary_moves_the_gripper():
    still = np.array([0, 0, 0, 0, 0, 0, -1.0])

    def reached(**kwargs):
        env = make_env(task="lift", **kwargs)
        env.reset(seed=5)
        states = [env.step(still)[0]["state"] for _ in range(10)]
        env.close()
        return np.array(states)

    calm = reached()
    pushed = reached(perturbation=1.0, perturbation_probability=0.5)
    assert np.linalg.norm(pushed[-1, :3] - calm[-1, :3]) > 0.01
    assert np.abs(pushed[-1, 3:9] - calm[-1, 3:9]).max() > 0.02
    assert np.array_equal(pushed, reached(perturbation=1.0, perturbation_probability=0.5))


def test_a_snapshot_of_another_arm_is_refused(env):
    env.reset(seed=0)
    other = RobosuiteEnv("lift", robot="IIWA")
    with pytest.raises(ValueError, match=r"of a Panda, and this simulator has a IIWA: make it with robot='Panda'"):
        other.reset(seed=0, options={"snapshot": env.snapshot()})
    other.reset(seed=0)
    with pytest.raises(ValueError, match=r"of a IIWA, and this simulator has a Panda"):
        env.restore(other.snapshot())
    other.close()


def test_a_push_lasts_as_many_steps_as_it_is_strong_and_is_part_of_a_snapshot(env):
    still = np.array([0, 0, 0, 0, 0, 0, -1.0])

    def go_on(snapshot, magnitude, steps):
        env.restore(snapshot)
        if magnitude:
            env.perturb(np.random.default_rng(0), magnitude)
        return np.array([env.step(still)[0]["state"][:3] for _ in range(steps)])

    env.reset(seed=3)
    for _ in range(8):
        env.step(still)
    begun = env.snapshot()
    calm, one, three = (go_on(begun, magnitude, 8) for magnitude in (0, 1.0, 3.0))
    assert np.array_equal(one[0], three[0])
    away = [np.linalg.norm(x[-1] - calm[-1]) for x in (one, three)]
    assert away[0] > 0.004
    assert away[1] > 2 * away[0]
    go_on(begun, 3.0, 2)
    assert np.array_equal(go_on(env.snapshot(), 0, 6), three[2:])


def test_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="robot: expected one of"):
        RobosuiteEnv("lift", robot="HAL")


@pytest.mark.parametrize(("robot", "turns"), [("Panda", False), ("IIWA", True)])
def test_the_frame_of_actions_is_the_one_that_the_controller_has(robot, turns):
    env = RobosuiteEnv("lift", robot)
    env.reset(seed=0)
    before = env.base_rotation
    world = env.world.sim
    joint = env.world.robots[0].robot_joints[0]
    world.data.set_joint_qpos(joint, world.data.get_joint_qpos(joint) + 0.6)
    world.forward()
    assert np.allclose(env.base_rotation, before, atol=1e-6) != turns
    env.close()
