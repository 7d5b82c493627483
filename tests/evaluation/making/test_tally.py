import numpy as np
import pytest
import torch

from dreamgym.evaluation.making.tally import Tally, rate_uncertainty
from dreamgym.training.openloop import auroc


def test_uncertainty_is_rated_by_the_worst_tenth_of_errors():
    rng = np.random.default_rng(0)
    wrong = rng.random(400)
    assert rate_uncertainty(wrong, {"state": wrong}, 0.1)["auroc_state"] == 1
    assert rate_uncertainty(-wrong, {"state": wrong}, 0.1)["auroc_state"] == 0
    found = rate_uncertainty(rng.random(400), {"state": wrong, "image": wrong}, 0.1)
    assert 0.3 < found["auroc_state"] == found["auroc_image"] < 0.7
    assert found["p50"] == pytest.approx(0.5, abs=0.1)
    assert found["p99"] > 0.95


def test_auroc_counts_ordered_pairs():
    assert auroc(np.array([1, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1
    assert auroc(np.array([1, 2, 3, 4]), np.array([1, 1, 0, 0])) == 0
    assert auroc(np.array([1, 1, 1, 1]), np.array([1, 0, 0, 1])) == 0.5
    assert np.isnan(auroc(np.array([1, 2]), np.array([1, 1])))


def test_means_are_over_what_was_counted():
    tally = Tally(2)
    tally.add("drawer", "model", 0, torch.tensor([1.0, 3.0]), torch.tensor([True, False]))
    tally.add("drawer", "model", 0, torch.tensor([5.0]))
    mean = tally.mean("drawer", "model")
    assert mean[0] == 3
    assert np.isnan(mean[1])
