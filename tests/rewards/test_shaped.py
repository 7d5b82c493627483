"""A suite's dense reward: who pays it, who says when the task is done, and who does not have one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import dreamgym
from dreamgym.rewards import ShapedReward
from dreamgym.suites import register_suite, suite
from dreamgym.suites.base import Suite
from dreamgym.testing import PointMassModel, point_mass_checkpoint
from dreamgym.testing.point_mass import ACTION
from dreamgym.training import checkpoint


class Way:
    """Pays how far the point has come since the start, times the number of the task."""

    keys = ("robot_obs",)

    def __init__(self, tasks, device) -> None:
        self.factor = torch.arange(1.0, len(tasks) + 1, device=device)

    def reward(self, start, now, task):
        way = now["robot_obs"][:, 0] - start["robot_obs"][:, 0]
        return way * self.factor[task]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return checkpoint.load(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


@pytest.fixture(scope="module")
def points(opened) -> Suite:
    tasks = opened.rewards["success"].tasks
    made = Suite("shaped_points", tasks, ACTION, 10.0, 16, "dreamgym.testing.points:PointEnv", shaping=Way)
    register_suite(made)
    return made


@pytest.fixture
def core(opened, points):
    named = replace(opened, simulator={"id": points.name, "kwargs": {}})
    return dreamgym.make_core(named, num_envs=3, reward="shaped", task=list(points.tasks), autoreset_mode="disabled")


def test_it_pays_what_the_suite_says_and_success_is_the_reward_models(core):
    core.reset(seed=0)
    success = core.reward.success
    begun = core.model.decode(core.state, Way.keys)["robot_obs"][:, 0]
    right = torch.tensor([[1.0, 0.0, -1.0]]).expand(3, 3)
    for _ in range(4):
        step = core.step(right)
        way = core.model.decode(core.state, Way.keys)["robot_obs"][:, 0] - begun
        torch.testing.assert_close(step.reward, way * (core.counters["task"] + 1))
        expected = success.probability(core.model, core.memory, core.state, core.counters["task"])
        torch.testing.assert_close(step.info["success_probability"], expected)
        assert not step.terminated.any()


def test_success_is_told_and_ends_nothing(core):
    core.reset(seed=0)
    steps = [core.step(torch.tensor([[1.0, 0.0, -1.0]]).expand(3, 3)) for _ in range(15)]
    assert any(step.info["is_success"].any() for step in steps)
    assert not any(step.terminated.any() for step in steps)


def test_it_is_not_saved(core, tmp_path: Path):
    with pytest.raises(ValueError, match="ShapedReward is not saved"):
        checkpoint.save(tmp_path / "x", PointMassModel(), {"shaped": core.reward})


def test_a_suite_without_one_is_told(opened):
    known = replace(opened, simulator={"id": "calvin", "kwargs": {}})
    with pytest.raises(ValueError, match="suite 'calvin' has none: pass reward=function"):
        dreamgym.make_core(known, reward="shaped")


def test_a_checkpoint_of_no_suite_is_told(opened):
    with pytest.raises(ValueError, match="names no suite"):
        dreamgym.make_core(replace(opened, simulator=None), reward="shaped")


def test_a_task_without_one_is_told(opened):
    with pytest.raises(ValueError, match=r"'pusht' knows the tasks \['push_t'\], not .*reach_right"):
        ShapedReward(suite("pusht"), opened.rewards["success"])


def test_a_model_that_does_not_decode_what_it_reads_is_told(opened, points):
    blind = replace(points, shaping=type("Blind", (Way,), {"keys": ("scene",)}))
    reward, model = ShapedReward(blind, opened.rewards["success"]), opened.model
    with pytest.raises(ValueError, match="reads scene, and this .* model decodes"):
        reward.start(model, {k: v[:2].float() for k, v in _states(opened).items()}, torch.zeros(2, dtype=torch.long))


def _states(opened):
    return {k.removeprefix("state/"): v for k, v in opened.starts.items() if k.startswith("state/")}
