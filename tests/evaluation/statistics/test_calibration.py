import json

import numpy as np
import pytest

from dreamgym.evaluation.statistics.calibration import Reliability


def test_the_calibration_error_by_hand():
    found = Reliability.of([0.1, 0.1, 0.95, 0.95], [False, True, True, True], bins=2)
    # The lower bin says 0.1 and is right half the time, the upper one says 0.95 and always is.
    assert found.ece == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)
    assert found.count.tolist() == [2, 2]


def test_f1_counts_verdicts_at_each_frames_own_threshold():
    found = Reliability.of([0.4, 0.6, 0.6, 0.9], [True, True, False, True], threshold=[0.3, 0.7, 0.7, 0.7])
    assert (found.hits, found.wrong) == (2, 1)
    assert found.f1 == pytest.approx(0.8)


def test_a_certain_frame_falls_into_the_last_bin():
    assert Reliability.of([1.0], [True], bins=4).count.tolist() == [0, 0, 0, 1]


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    p, y = rng.random(50), rng.random(50) < 0.4
    whole = Reliability.of(p, y).to_dict()
    assert Reliability.total([Reliability.of(p[:20], y[:20]), Reliability.of(p[20:], y[20:])]).to_dict() == whole


def test_it_survives_json():
    found = Reliability.of([0.2, 0.7], [False, True])
    again = Reliability.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="one label"):
        Reliability.of([0.1], [True, False])
    with pytest.raises(ValueError, match="in \\[0, 1\\]"):
        Reliability.of([1.1], [True])
    with pytest.raises(ValueError, match="one or more"):
        Reliability.total([])
