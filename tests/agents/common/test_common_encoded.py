"""Demonstrations as a world model's features and chunks of actions."""

import pytest
import torch
from dreamgym_agents.common.encoded import encode_chunks
from dreamgym_agents.common.selection import select_demonstrations
from point_policies import write_store

from dreamgym.testing import PointMassModel


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
