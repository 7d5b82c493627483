"""Proposals of a policy, ranked by what the world model says they come to."""

import pytest
import torch
from dreamgym_agents.action_selection import ActionSelection, SelectionConfig, subgoals

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.testing import PointMassModel, point_mass_checkpoint
from dreamgym.testing.two_robots import two_robots_checkpoint
from dreamgym.training.checkpoint import load

OPTIONS = {"episodes": 6, "horizon": 24, "simulators": 3}


class Wanderer:
    """Goes straight in a direction of its own, which it draws once."""

    def __init__(self, dim=3, chunk=None):
        self.dim = dim
        if chunk is not None:
            self.chunk = chunk

    def start(self, num_envs, generator=None):
        return torch.zeros(num_envs, self.dim)

    def act(self, obs, carry, fresh, generator=None):
        drawn = torch.rand(carry.shape, generator=generator) * 2 - 1
        carry = torch.where(fresh[:, None], drawn, carry)
        chunk = getattr(self, "chunk", None)
        return (carry if chunk is None else carry[:, None].expand(-1, chunk, -1)), carry


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def rate(folder, method, policy=None, **options):
    def make(spec):
        return ActionSelection(spec, policy or Wanderer(), method=method, candidates=24, frames=6, keep=3)

    done = evaluate(make, folder, "reach_right", **{**OPTIONS, **options})
    return done.dream.rate, done.twin.rate


def test_ranked_proposals_succeed_where_their_mean_and_any_one_do_not(folder):
    assert rate(folder, "rank") == (1, 1)
    assert max(rate(folder, "mean")) == 0
    assert max(rate(folder, "random")) < 1


def test_policies_of_chunks_propose_too(folder):
    assert rate(folder, "rank", Wanderer(chunk=4)) == (1, 1)


def test_frames_of_several_actions(tmp_path):
    folder = str(two_robots_checkpoint(tmp_path / "world"))
    assert rate(folder, "rank", Wanderer(chunk=5), horizon=90, embodiment="cart") == (1, 1)


def test_subgoals_are_followed_one_after_the_other(folder):
    way = torch.tensor([[0.4, 0.0, 0.0], [0.4, 0.4, 0.0], [0.9, 0.4, 0.0]])
    selection = ActionSelection(load(folder).model.spec, Wanderer(), goals=way, candidates=200, frames=4, keep=1)
    done = evaluate(lambda spec: selection, folder, "reach_right", **OPTIONS)
    assert done.twin.rate == 1
    features = torch.arange(8.0)[:, None]
    assert subgoals(features, 3).flatten().tolist() == [3, 6, 7]
    assert subgoals(features[:7], 3).flatten().tolist() == [3, 6]
    with pytest.raises(ValueError, match="at least 2 frames"):
        subgoals(features[:1], 3)


def test_what_does_not_fit_is_named():
    spec = PointMassModel().spec
    with pytest.raises(ValueError, match="keep"):
        SelectionConfig(candidates=2, keep=3)
    with pytest.raises(ValueError, match="method"):
        SelectionConfig(method="best")
    policy = Wanderer()
    policy.obs = "pixels"
    with pytest.raises(ValueError, match="wants 'pixels'"):
        ActionSelection(spec, policy)
    with pytest.raises(ValueError, match="call bind"):
        ActionSelection(spec, Wanderer()).act(None, torch.zeros(1), torch.ones(1, dtype=torch.bool))
