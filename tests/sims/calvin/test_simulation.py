"""Snapshots: whole, bitwise repeatable, and only for their own scene."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pybullet")

from dreamgym.sims.calvin import CalvinEnv


@pytest.fixture(scope="module")
def env():
    made = CalvinEnv(cameras=())
    yield made
    made.close()


def grasp(env: CalvinEnv, seed: int) -> None:
    """Hold a block, so that the state is full of contacts."""
    env.reset(seed=seed)
    scene_obs = env.simulation.scene_obs()
    scene_obs[6:12] = [0.05, -0.08, 0.4599, 0, 0, 0.3]
    scene_obs[12:15], scene_obs[18:21] = [0.25, -0.1, 0.46], [-0.25, 0.09, 0.46]
    env.reset(options={"scene_obs": scene_obs})
    for height, gripper, steps in ((0.5, 1, 12), (0.456, 1, 10), (0.456, -1, 8)):
        for _ in range(steps):
            move = np.clip((np.array([0.05, -0.08, height]) - env.simulation.robot.target[:3]) / 0.02, -1, 1)
            env.step(np.array([*move, 0, 0, 0, gripper]))
    assert "robot" in env.task_state().touched("red")


def run(env: CalvinEnv, actions: np.ndarray) -> np.ndarray:
    states = []
    for action in actions:
        env.step(action)
        states.append(np.concatenate([env.simulation.robot_obs(), env.simulation.scene_obs()]))
    return np.array(states)


def lifting_actions() -> np.ndarray:
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (25, 7))
    actions[:, 2] += 0.4
    actions[:, 6] = -1
    return actions


def test_replays_repeat_the_original_bitwise(env):
    grasp(env, 0)
    snapshot = env.snapshot()
    original = run(env, lifting_actions())
    for _ in range(2):
        env.restore(snapshot)
        np.testing.assert_array_equal(run(env, lifting_actions()), original)


def test_a_snapshot_replays_bitwise_in_another_environment(env):
    grasp(env, 1)
    snapshot = env.snapshot()
    original = run(env, lifting_actions())
    other = CalvinEnv(cameras=())
    other.reset(seed=9, options={"snapshot": snapshot})
    np.testing.assert_array_equal(run(other, lifting_actions()), original)
    other.close()


def test_restore_brings_everything_back(env):
    env.reset(seed=0, options={"task": "turn_off_led"})
    env.step(np.array([0.5, 0.5, 0.2, 0, 0, 0.3, -1]))
    snapshot, robot, scene = env.snapshot(), env.simulation.robot_obs(), env.simulation.scene_obs()
    target = env.simulation.robot.target.copy()
    env.reset(seed=3)
    env.restore(snapshot)
    np.testing.assert_allclose(env.simulation.robot_obs(), robot, atol=1e-9)
    np.testing.assert_allclose(env.simulation.scene_obs(), scene, atol=1e-9)
    np.testing.assert_array_equal(env.simulation.robot.target, target)


def test_a_restored_button_does_not_toggle_again(env):
    env.reset(seed=0)
    scene_obs = env.simulation.scene_obs()
    env.reset(options={"scene_obs": scene_obs})
    for goal, steps in (((-0.12, -0.12, 0.54), 20), ((-0.12, -0.12, 0.46), 20)):
        for _ in range(steps):
            move = np.clip((np.array(goal) - env.simulation.robot.target[:3]) / 0.02, -0.7, 0.7)
            env.step(np.array([*move, 0, 0, 0, -1]))
    led = env.simulation.scene_obs()[5]
    assert env.simulation.table.button_pressed
    snapshot = env.snapshot()
    env.reset(seed=1)
    env.restore(snapshot)
    env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))
    assert env.simulation.scene_obs()[5] == led


def test_a_snapshot_is_a_plain_vector(env):
    env.reset(seed=0)
    snapshot = env.snapshot()
    assert snapshot.dtype == np.float64
    assert snapshot.ndim == 1
    np.testing.assert_array_equal(np.frombuffer(snapshot.tobytes()), snapshot)


def test_a_snapshot_keeps_the_start_of_a_task(env):
    """Restoring does not move the moment tasks are judged from; resetting to it does."""
    env.reset(seed=0)
    snapshot = env.snapshot()
    snapshot[2 + 18 + 1] = 0.2  # the drawer, open
    env.restore(snapshot)
    assert env.achieved() == {"open_drawer"}
    env.reset(options={"snapshot": snapshot})
    assert env.achieved() == set()


@pytest.mark.parametrize("shape", [(77,), (79,), (78, 1), ()])
def test_a_snapshot_of_another_shape_is_refused(env, shape):
    with pytest.raises(ValueError, match="snapshot: expected shape"):
        env.restore(np.zeros(shape))


def test_a_snapshot_that_is_not_finite_is_refused(env):
    env.reset(seed=0)
    snapshot = env.snapshot()
    snapshot[5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        env.restore(snapshot)


def test_a_snapshot_of_another_scene_is_refused(env):
    env.reset(seed=0)
    snapshot = env.snapshot()
    snapshot[1] += 1
    with pytest.raises(ValueError, match="another"):
        env.restore(snapshot)
