"""Closeness to a goal that the caller shows: what it pays, whose goal it is, and what is refused."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch

import dreamgym
from dreamgym.rewards import GoalReward
from dreamgym.testing import point_mass_checkpoint
from dreamgym.training import checkpoint

B = 3
RIGHT = torch.tensor([[1.0, 0.0, -1.0]]).expand(B, 3)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return checkpoint.load(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def make(opened, **options):
    made = {"num_envs": B, "reward_model": "goal", "reward": "log_probability", "autoreset_mode": "disabled", **options}
    return dreamgym.make_core(opened, **made)


def frames(*places, lamp=0.0):
    """Real frames [B, 1, ...] of a point that lies at each place, in numpy layout."""
    vectors = np.array([[[x, y, lamp]] for x, y in places], np.float32)
    return {"robot_obs": vectors, "rgb_static": np.zeros((len(places), 1, 16, 16, 3), np.uint8)}


GOALS = ((0.9, 0.0), (0.9, 0.5), (-0.9, 0.9))


def distance(core, places=GOALS):
    goal = torch.tensor([[x, y, 0.0] for x, y in places])
    return (core.model.features(core.state) - goal).norm(dim=1)


@pytest.mark.parametrize("fast", [True, False])
def test_it_pays_by_how_near_the_features_have_come(opened, fast):
    core = make(opened, fast=fast)
    core.reset(seed=0, options={"goal": frames(*GOALS)})
    begun = distance(core)
    for _ in range(3):
        step = core.step(RIGHT)
        torch.testing.assert_close(step.reward, -distance(core) / begun)
        torch.testing.assert_close(step.info["success_probability"], step.reward.exp())


def test_what_is_within_a_tenth_of_the_way_has_succeeded(opened):
    core = make(opened, reward="success", horizon=1000)
    assert core.reward.thresholds.tolist() == pytest.approx([math.exp(-0.1)] * len(core.tasks))
    state = core.model.start({k: torch.as_tensor(v) for k, v in _history(((-0.8, 0.0),) * B).items()})
    core.reset(seed=0, options={"state": state, "goal": frames(*((0.8, 0.0),) * B)})
    for _ in range(100):
        done = core.step(RIGHT).terminated
        assert torch.equal(done, distance(core, ((0.8, 0.0),) * B) <= 0.1 * 1.6)
        if bool(done.any()):
            return
    pytest.fail("the point never came near its goal")


def _history(places):
    vectors = torch.tensor([[[x, y, 0.0]] * 2 for x, y in places])
    return {
        "robot_obs": vectors,
        "rgb_static": torch.zeros(len(places), 2, 3, 16, 16, dtype=torch.uint8),
        "action": torch.zeros(len(places), 1, 3),
    }


def test_a_goal_is_an_envs_until_it_is_given_another(opened):
    core = make(opened, autoreset_mode="same_step", horizon=4)
    core.reset(seed=0, options={"goal": frames(*GOALS)})
    for _ in range(6):  # past an autoreset
        core.step(RIGHT)
    goal = torch.tensor([[x, y, 0.0] for x, y in GOALS])
    torch.testing.assert_close(core.memory["goal"], goal)
    other = ((0.0, 0.0),) * B
    core.reset(options={"goal": frames(*other)}, mask=torch.tensor([True, False, False]))
    assert core.memory["goal"][0].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(core.memory["goal"][1:], goal[1:])
    core.reset(seed=1)
    torch.testing.assert_close(core.memory["goal"][1:], goal[1:])
    again = make(opened)
    again.restore(core.snapshot())
    torch.testing.assert_close(again.memory["goal"], core.memory["goal"])
    again.reset()
    torch.testing.assert_close(again.memory["goal"], core.memory["goal"])


def test_an_episode_that_begins_at_its_goal_is_close_and_finite(opened):
    core = make(opened)
    core.reset(seed=0, options={"state": core.model.start(_history(GOALS)), "goal": frames(*GOALS)})
    step = core.step(torch.zeros(B, 3) - torch.tensor([0.0, 0.0, 1.0]))
    assert step.reward.tolist() == [0.0] * B


def test_without_a_goal_the_first_reset_is_refused_and_changes_nothing(opened):
    core = make(opened)
    with pytest.raises(ValueError, match=r"reset it with options=\{'goal': frames\} first"):
        core.reset(seed=0)
    assert not core.ready
    with pytest.raises(ValueError, match="lacks"):
        core.reset(seed=0, options={"goal": {"robot_obs": np.zeros((B, 1, 3), np.float32)}})
    with pytest.raises(ValueError, match=r"options\['goal'\]: .* NaN"):
        make(opened, validate=True).reset(seed=0, options={"goal": frames(*((np.nan, 0.0),) * B)})
    with pytest.raises(ValueError, match="goal"):
        core.reset(seed=0, options={"goal": frames((0.0, 0.0))})  # of one env, not of three
    assert not core.ready
    usual = dreamgym.make_core(opened, num_envs=B)
    with pytest.raises(ValueError, match="is for reward_model='goal'"):
        usual.reset(seed=0, options={"goal": frames(*GOALS)})


def test_what_it_does_not_pay_is_named(opened):
    with pytest.raises(ValueError, match="pays 'success', 'probability' or 'log_probability', not 'shaped'"):
        make(opened, reward="shaped")
    with pytest.raises(ValueError, match="within is a share"):
        GoalReward(within=0.0)
    with pytest.raises(ValueError, match="not saved in a checkpoint"):
        GoalReward().to_config()


def test_single_envs_and_twins_take_goals_too(opened):
    for env_id in ("Dream-v0", "Real-v0"):
        name = "checkpoint" if env_id == "Dream-v0" else "world_model"
        env = gym.make(env_id, **{name: opened}, reward_model="goal", reward="probability")
        with pytest.raises(ValueError, match="goal"):
            env.reset(seed=0)
        env.reset(seed=0, options={"goal": frames((0.9, 0.0))})
        rewards = [env.step(np.array([1.0, 0.0, -1.0], np.float32))[1] for _ in range(4)]
        assert all(b >= a for a, b in zip(rewards, rewards[1:], strict=False))
        assert 0 < rewards[0] < 1
        env.close()
