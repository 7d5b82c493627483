"""Demonstrations as a world model's features and chunks of actions."""

import pytest
import torch
from dreamgym_agents.common.encoded import encode_chunks
from dreamgym_agents.common.selection import select_demonstrations
from point_policies import write_store

from dreamgym.testing import PointMassModel
from dreamgym.testing.instructed_point import InstructedPointModel
from dreamgym.testing.two_robots import TwoRobotsModel


def test_every_frame_with_a_whole_chunk_ahead_becomes_a_sample(tmp_path):
    view = select_demonstrations(write_store(tmp_path / "store"), ["reach_right"], successful=True)
    data = encode_chunks(PointMassModel(), view, chunk=4)
    assert len(data) == (9 - 3) + (12 - 3)
    assert data.episodes == 2
    wanted = set()
    for i in range(2):
        episode = view.episode(i)
        length = len(episode["action"])
        for t in range(length - 3):
            # The point mass' features are its sensors, so a frame can be recognised.
            wanted.add((round(float(episode["robot_obs"][t, 0]), 5), round(float(episode["action"][t + 3, 0]), 5)))
    got = {(round(float(f[0]), 5), round(float(c[3, 0]), 5)) for f, c in zip(data.features, data.chunk, strict=True)}
    assert got == wanted


def test_each_pass_filters_every_episode_anew(tmp_path):
    view = select_demonstrations(write_store(tmp_path / "store"), ["reach_right"], successful=True)
    once, twice = (encode_chunks(PointMassModel(), view, chunk=4, passes=n) for n in (1, 2))
    assert len(twice) == 2 * len(once)
    torch.testing.assert_close(twice.chunk, torch.cat([once.chunk, once.chunk]))


def test_demonstrations_shorter_than_a_chunk_are_refused(tmp_path):
    view = select_demonstrations(write_store(tmp_path / "store"), ["reach_right"], successful=True)
    with pytest.raises(ValueError, match="has the 99 steps of a chunk"):
        encode_chunks(PointMassModel(), view, chunk=99)


@pytest.mark.parametrize("chunk", [5, 10])
def test_frames_of_several_actions_are_cut_where_a_frame_is(tmp_path, chunk):
    view = select_demonstrations(write_store(tmp_path / "store", (21, 24)), ["reach_right"], successful=True)
    data = encode_chunks(TwoRobotsModel(), view, chunk=chunk)
    wanted = [
        (episode["robot_obs"][t], episode["action"][t : t + chunk])
        for episode in (view.episode(i) for i in range(len(view)))
        for t in range(0, len(episode["action"]) - chunk + 1, 5)
    ]
    assert len(data) == len(wanted)
    for features, actions, (seen, recorded) in zip(data.features, data.chunk, wanted, strict=True):
        torch.testing.assert_close(features, torch.tensor(seen))
        torch.testing.assert_close(actions[:, :2], torch.tensor(recorded[:, :2]))  # the third entry is two-valued


def test_chunks_that_drive_no_frame_are_refused(tmp_path):
    view = select_demonstrations(write_store(tmp_path / "store", (21, 24)), ["reach_right"], successful=True)
    with pytest.raises(ValueError, match="positive multiple of the 5 actions of a frame, got 4"):
        encode_chunks(TwoRobotsModel(), view, chunk=4)
    with pytest.raises(ValueError, match="'instructed_point', instructions do"):
        encode_chunks(InstructedPointModel(), view, chunk=4)
