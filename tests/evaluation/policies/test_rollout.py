from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.make import make_core
from dreamgym.envs.twin import TwinCore
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.rollout import run_episodes
from dreamgym.testing import PointMassModel, PointMassReward, point_mass_checkpoint, point_mass_starts
from dreamgym.testing.point_mass import SIMULATOR

HORIZON = 12


class Rightward:
    """To the right by ``pace``, one action at a time; ``seen`` counts decisions, ``fresh`` keeps who had begun."""

    def __init__(self, pace=0.5):
        self.pace, self.seen, self.fresh = pace, 0, []

    def start(self, num_envs, generator):
        return None

    def act(self, obs, carry, fresh, generator):
        self.seen += 1
        self.fresh.append(fresh.clone())
        return self.decide(obs), None

    def decide(self, obs):
        return torch.tensor([self.pace, 0.0, -1.0]).expand(len(obs), 3)


class InChunks(Rightward):
    """The same, four actions a decision."""

    chunk = 4

    def decide(self, obs):
        return super().decide(obs).unsqueeze(1).expand(-1, self.chunk, -1)


class Turning(Rightward):
    """Right and left in turn, within a chunk: an episode that does not stop inside it would undo its success."""

    chunk = 4

    def decide(self, obs):
        way = torch.tensor([1.0, 1.0, -1.0, -1.0])
        zero = torch.zeros_like(way)
        return torch.stack([way, zero, zero - 1], 1).expand(len(obs), -1, -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(point_mass_checkpoint(tmp_path_factory.mktemp("world") / "point"))


def scored(folder, policy, **changes):
    options = {"episodes": 10, "horizon": HORIZON, "simulators": 3, **changes}
    return evaluate(policy, folder, "reach_right", **options)


def test_a_chunk_ends_inside_itself_with_the_length_of_single_actions(folder):
    single, chunked = scored(folder, Rightward()), scored(folder, InChunks())
    assert chunked.twin.to_dict() == single.twin.to_dict()
    assert chunked.dream.to_dict() == single.dream.to_dict()
    assert any(length % 4 for length in chunked.twin.length)  # or nothing ended inside a chunk
    assert set(chunked.twin.success.tolist()) == {True, False}  # some reach the horizon, 12, first


def test_a_chunk_policy_is_asked_once_a_chunk(folder):
    policy = InChunks(0.0)
    scored(folder, policy, episodes=3, dream=False)
    assert policy.seen == HORIZON // 4
    assert [bool(f.all()) for f in policy.fresh] == [True, False, False]


def test_what_follows_a_success_inside_a_chunk_is_not_counted(folder):
    found = scored(folder, Turning(), episodes=6)
    x = point_mass_starts().states["position"][:, 0].float().numpy()[found.twin.row]
    reached = np.ceil(np.round((0.5 - x) / 0.1, 4)) <= 2  # two steps right, then back
    assert found.twin.success.tolist() == found.dream.success[:6].tolist() == reached.tolist()
    assert (found.twin.length[reached] <= 2).all()
    assert (found.twin.length[~reached] == HORIZON).all()


def test_an_env_that_ended_begins_its_next_episode_at_the_next_decision(folder):
    policy = InChunks(1.0)
    found = scored(folder, policy, episodes=6, simulators=2, dream=False)
    assert found.twin.rate == 1
    assert sum(int(f.sum()) for f in policy.fresh) == 6
    assert len(np.unique(found.twin.row)) == 6


class TwoActionFrames(PointMassModel):
    """The point mass with a frame every two actions."""

    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, actions_per_frame=2)

    def imagine(self, state, action, generator=None):
        for i in range(2):
            state = super().imagine(state, action[:, i], generator)
        return state


def cores():
    model, reward, starts = TwoActionFrames(), PointMassReward(), point_mass_starts()
    options = {"num_envs": 3, "horizon": HORIZON, "autoreset": "disabled", "reward_mode": "probability", "split": None}
    yield DreamCore(model, reward, starts, **options)
    yield TwinCore(model, reward, starts, SIMULATOR, **options)


def test_frames_of_several_actions_are_fed_from_a_chunk_alike_in_both_worlds():
    row = np.arange(0, 18, 3)  # starts of reach_right
    watched, found = [], []
    for core in cores():
        found.append(run_episodes(core, InChunks(), row, np.zeros(6, int), watch=watched.append))
        core.close()
    dream, twin = found
    assert dream.length.tolist() == twin.length.tolist()
    assert dream.success.tolist() == twin.success.tolist()
    assert dream.success.any()
    steps = np.ceil(np.round((0.5 - point_mass_starts().states["position"][row, 0].float().numpy()) / 0.05, 4))
    ends = np.minimum(2 * np.ceil(steps / 2), HORIZON)  # a frame is judged when its two actions are done
    assert twin.length.tolist() == ends.tolist()
    acted = [f for f in watched if f.action is not None]
    assert all(f.action.shape[1:] == (2, 3) and (f.elapsed % 2 == 0).all() for f in acted)


def test_a_policy_of_single_actions_is_refused_where_a_frame_has_several():
    core = next(cores())
    with pytest.raises(ValueError, match="chunk = 2"):
        run_episodes(core, Rightward(), np.arange(3), np.zeros(3, int))


def test_a_core_made_otherwise_is_refused(folder):
    rows = np.zeros(2, int)
    with pytest.raises(ValueError, match="'disabled'"):
        run_episodes(make_core(folder, num_envs=2), Rightward(), rows, rows)
    chunked = make_core(folder, num_envs=2, autoreset_mode="disabled", reward="probability", chunk=4)
    with pytest.raises(ValueError, match="make it without chunk"):
        run_episodes(chunked, InChunks(), rows, rows)
