"""Means over seeds and starts: intervals that hold for other seeds too."""

import numpy as np
import pytest

from dreamgym.evaluation.statistics.crossed import Mean, crossed_mean, mean_of


def drawn(rng, seeds, starts, spread_seeds, spread_starts):
    """Outcomes of policies of several seeds from the same starts; the truth is 0.5 by symmetry."""
    chance = 0.5 + spread_seeds * rng.normal(size=(seeds, 1)) + spread_starts * rng.normal(size=(1, starts))
    return rng.random((seeds, starts)) < chance


def coverage(spread_seeds, spread_starts, interval, trials=600):
    rng = np.random.default_rng(0)
    found = [interval(crossed_mean(drawn(rng, 3, 60, spread_seeds, spread_starts))) for _ in range(trials)]
    return np.mean([low <= 0.5 <= high for low, high in found])


@pytest.mark.parametrize("interval", [Mean.interval, Mean.rate_interval])
@pytest.mark.parametrize(("seeds", "starts"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.25), (0.1, 0.2)])
def test_intervals_hold_for_other_seeds_and_starts(interval, seeds, starts):
    assert coverage(seeds, starts, interval) > 0.92


def test_an_interval_that_forgets_the_seeds_does_not_hold():
    def forgetful(found):
        return Mean(found.value, 0.25 / found.episodes, found.episodes - 1, found.episodes).interval()

    assert coverage(0.1, 0.0, forgetful) < 0.8


def test_one_seed_is_about_starts_alone():
    found = crossed_mean([[1, 0, 1, 1, 0, 1]])
    assert found.variance == pytest.approx(np.var([1, 0, 1, 1, 0, 1], ddof=1) / 6) and found.degrees == 5


def test_seeds_that_disagree_make_a_wide_interval():
    same, other = np.tile([1, 0], (3, 50)), np.repeat([[1], [0], [1]], 100, 1)
    assert crossed_mean(other).variance == pytest.approx(np.var([1, 0, 1], ddof=1) / 3)
    assert crossed_mean(other).degrees == pytest.approx(2)
    assert crossed_mean(same).variance == pytest.approx(0.25 * 100 / 99 / 100)


def test_tasks_are_averaged_and_their_variances_add():
    parts = [Mean(0.2, 0.01, 10, 100), Mean(0.6, 0.03, 2, 100)]
    found = mean_of(parts)
    assert (found.value, found.variance, found.episodes) == (pytest.approx(0.4), pytest.approx(0.01), 200)
    assert found.degrees == pytest.approx(0.04**2 / (0.01**2 / 10 + 0.03**2 / 2))


def test_a_rate_stays_within_zero_and_one_and_sure_rates_are_not_certain():
    low, high = crossed_mean(np.ones((3, 20))).rate_interval()
    assert 0.8 < low < 0.9 and high == 1  # as of 20 starts, not of 60 episodes


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match=r"values \[seeds, starts\]"):
        crossed_mean([1, 0, 1])
    with pytest.raises(ValueError, match="the mean of nothing"):
        mean_of([])
