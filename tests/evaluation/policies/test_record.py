"""Replays of recorded actions, and rollouts that are scored: along real frames and in imagination."""

import numpy as np
import pytest
import torch

from dreamgym.evaluation.making.rollouts import Rollouts, score_rollouts
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.record import replay
from dreamgym.evaluation.statistics.comparison import Sequences
from dreamgym.testing import JointPointModel, PointMassReward, joint_point_checkpoint
from dreamgym.testing.points import TASKS, point_starts

N, T = 3, 6


@pytest.fixture
def sampled(monkeypatch):
    """Frames of each sampling of the joint model."""
    calls, sample = [], JointPointModel.sample
    monkeypatch.setattr(
        JointPointModel,
        "sample",
        lambda self, state, actions, *a: calls.append(actions.shape[1]) or sample(self, state, actions, *a),
    )
    return calls


def actions():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (N, T, 3)).astype(np.float32)


def paths():
    """Positions [N, T + 1, 2] along the actions, by hand."""
    begin = point_starts().states["position"][:N].float().numpy()
    steps = np.cumsum(0.1 * actions()[..., :2], 1)
    return np.concatenate([begin[:, None], begin[:, None] + steps], 1)


@pytest.mark.parametrize(("chunk", "samplings"), [(None, [1] * 6), (4, [4, 2]), (6, [6])])
def test_a_replay_predicts_as_many_frames_at_once_as_the_policy_decided_on(sampled, chunk, samplings):
    sequences = Sequences(TASKS, np.arange(N), np.zeros(N, int), np.full(N, T), actions(), 1)
    found = replay(JointPointModel(), PointMassReward(), point_starts(), sequences, chunk=chunk)
    assert sampled == samplings
    np.testing.assert_allclose(found.state["robot_obs"][..., :2], paths(), atol=1e-5)


def test_drift_is_replayed_in_the_policys_chunks(sampled, tmp_path):
    class InFours:
        chunk = 4

        def start(self, num_envs, generator):
            return None

        def act(self, obs, carry, fresh, generator):
            return torch.zeros(len(obs), 4, 3), None

    world = str(joint_point_checkpoint(tmp_path / "world"))
    found = evaluate(InFours(), world, "reach_right", episodes=2, horizon=8, simulators=2, dream=False)
    assert found.drift["8"]["position"] == pytest.approx(0, abs=1e-6)
    assert sampled == [4, 4]  # a twin imagines nothing; the replay of its two decisions does


def test_rollouts_are_scored_on_the_real_frames_and_on_one_prediction(sampled):
    path, begun = paths(), np.arange(N)
    lamp = np.concatenate([np.zeros((N, 1)), actions()[..., 2] > 0], 1)[..., None]
    obs = {"robot_obs": torch.from_numpy(np.concatenate([path, lamp], -1)).float()}
    obs["rgb_static"] = torch.zeros(N, T + 1, 3, 16, 16, dtype=torch.uint8)
    real = obs["robot_obs"].clone()
    obs["robot_obs"][:, :, 0] -= 0.3  # the real point is left of where the model believes it
    success = torch.zeros(N, T + 1, dtype=torch.bool)
    rollouts = Rollouts(
        TASKS, torch.from_numpy(begun), torch.zeros(N, dtype=torch.int64), torch.full((N,), T),
        torch.from_numpy(actions()), obs, success,
    )  # fmt: skip
    reward = PointMassReward()
    scores = score_rollouts(JointPointModel(), reward, point_starts(), rollouts)
    assert sampled == [T]
    said = lambda x: torch.sigmoid(reward.sharpness * (x - 0.5))  # noqa: E731 - how the toy scores "reach_right"
    torch.testing.assert_close(scores.real[:, 1:], said(obs["robot_obs"][:, 1:, 0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.dream[:, 1:], said(real[:, 1:, 0]), atol=1e-4, rtol=0)
