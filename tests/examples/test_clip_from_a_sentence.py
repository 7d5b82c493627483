"""A sentence is imagined and carried out from the same place."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dreamgym.testing.instructed_point import ClipFollower, instructed_point_checkpoint

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "clip_from_a_sentence.py"


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("PIL")
    spec = importlib.util.spec_from_file_location("clip_from_a_sentence", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_executor_goes_where_the_clip_leads(example, tmp_path):
    folder = str(instructed_point_checkpoint(tmp_path / "world"))
    imagined, done, success = example.imagined_and_done(folder, ClipFollower(), "light the lamp")
    assert success and len(imagined) >= 2
    assert np.array_equal(imagined[0], done[0])  # both begin in the same place
    example.save_picture(tmp_path / "clip.png", imagined, done)
    assert (tmp_path / "clip.png").stat().st_size > 100


def test_a_sentence_that_nobody_knows_is_told(example, tmp_path):
    folder = str(instructed_point_checkpoint(tmp_path / "world"))
    with pytest.raises(SystemExit, match="never told 'fly'; it knows"):
        example.imagined_and_done(folder, ClipFollower(), "fly")
