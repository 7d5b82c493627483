import numpy as np
import pytest

from dreamgym.evaluation.statistics.inference import (
    clustered_wilson,
    difference,
    effective_episodes,
    paired_difference,
    student_quantile,
    wilson,
)


def test_wilson_is_the_roots_of_the_score_equation():
    # The ends are the rates p at which (rate - p)^2 = z^2 p (1 - p) / n.
    z = 1.959963984540054
    for k, n in ((1, 10), (7, 10), (50, 200)):
        roots = np.sort(np.roots([1 + z**2 / n, -(2 * k / n + z**2 / n), (k / n) ** 2]))
        assert wilson(k, n) == pytest.approx(tuple(roots))


def test_wilson_at_the_ends_is_exact_and_never_empty():
    assert wilson(0, 20)[0] == 0.0
    assert wilson(0, 20)[1] == pytest.approx(0.16113, abs=1e-5)
    assert wilson(20, 20)[1] == 1.0


@pytest.mark.parametrize(("k", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_wilson_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(k, n)


def test_a_difference_of_pairs_has_bonett_and_prices_interval():
    # Their adjusted Wald interval of 5 pairs lost and 20 won, of 100, worked out by hand: (21 - 6) / 102 in the middle.
    before, after = np.zeros(100, bool), np.zeros(100, bool)
    before[:5], after[5:25] = True, True
    middle, half = 15 / 102, 1.959964 * np.sqrt((27 / 102 - (15 / 102) ** 2) / 102)
    assert paired_difference(before, after) == pytest.approx((0.15, middle - half, middle + half), abs=1e-6)


def test_a_difference_of_pairs_is_surer_than_one_of_strangers_where_the_starts_decide():
    rng = np.random.default_rng(0)
    before = rng.random(100) < 0.5
    after = before | (rng.random(100) < 0.1)
    _, low, high = paired_difference(before, after)
    _, low_0, high_0 = difference((before.sum(), 100), (after.sum(), 100))
    assert high - low < 0.6 * (high_0 - low_0)


def test_the_interval_of_pairs_holds_the_truth_in_95_of_100():
    rng, held = np.random.default_rng(0), 0
    for _ in range(1000):
        start = rng.random(50)  # how hard each start is: 0.4 of them are solved before, 0.6 after
        _, low, high = paired_difference(start < 0.4, (start < 0.55) ^ (rng.random(50) < 0.1))
        held += low <= 0.14 <= high
    assert held >= 930


def test_pairs_that_are_none_are_refused():
    with pytest.raises(ValueError, match="as many outcomes"):
        paired_difference([1, 0], [1])


def test_the_interval_of_a_gain_is_newcombes():
    # Table II of Newcombe (1998), method 10: 56 of 70 against 48 of 80 differ by 0.2, from 0.0524 to 0.3339.
    found = difference((48, 80), (56, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_one_episode_a_start_gives_the_plain_interval():
    y = np.arange(20) < 7
    assert clustered_wilson(y, np.arange(20)) == wilson(7, 20)
    assert clustered_wilson(y, [f"start {i}" for i in range(20)]) == wilson(7, 20)


def test_repeating_every_episode_makes_nothing_surer():
    # Ten copies of each of 30 outcomes are 30 outcomes; only Student's factor tells 300 - 1 from 30 - 1 degrees.
    y = np.arange(30) < 12
    size = effective_episodes(np.repeat(y, 10), np.repeat(np.arange(30), 10))
    assert 30 * 0.9 < size <= 30
    low, high = clustered_wilson(np.repeat(y, 10), np.repeat(np.arange(30), 10))
    assert high - low > 0.95 * np.diff(wilson(12, 30))[0]


def test_starts_that_do_not_matter_cost_next_to_nothing():
    rng = np.random.default_rng(0)
    y = rng.random(400) < 0.4
    assert effective_episodes(y, np.repeat(np.arange(100), 4)) > 0.8 * 400


def test_the_design_effect_by_hand():
    # Two clusters of two, (1, 1) and (1, 0): rate 3/4, cluster sums of deviations +1/2 and -1/2.
    y, cluster = np.array([1, 1, 1, 0]), np.array([0, 0, 1, 1])
    variance = (0.25 + 0.25) * 2 / 1 / 16
    deff = variance / (0.75 * 0.25 / 3)
    assert deff == pytest.approx(1)
    size = effective_episodes(y, cluster)
    assert size == pytest.approx(4 / deff * (student_quantile(0.95, 3) / student_quantile(0.95, 1)) ** 2)


def test_outcomes_all_alike_are_worth_their_starts():
    assert effective_episodes(np.ones(40), np.arange(40) % 10) == 10
    assert clustered_wilson(np.ones(40), np.arange(40) % 10) == wilson(10, 10)


@pytest.mark.parametrize("correlation", [0.26, 0.8])
def test_clustered_intervals_hold_the_truth_where_plain_ones_do_not(correlation):
    rng, rounds, held, plain = np.random.default_rng(1), 400, 0, 0
    shape = (1 - correlation) / correlation
    for _ in range(rounds):
        rate = rng.beta(0.4 * shape, 0.6 * shape, 25)  # each start's own
        y = rng.random((25, 4)) < rate[:, None]
        low, high = clustered_wilson(y.ravel(), np.repeat(np.arange(25), 4))
        held += low <= 0.4 <= high
        low, high = wilson(y.sum(), 100)
        plain += low <= 0.4 <= high
    assert held / rounds >= 0.92
    assert plain / rounds < 0.9


def test_a_gain_over_clustered_pairs_is_less_sure():
    rng = np.random.default_rng(2)
    before, after = (np.repeat(rng.random(20) < p, 5) for p in (0.4, 0.6))
    gain, low, high = paired_difference(before, after)
    same, low_clustered, high_clustered = paired_difference(before, after, cluster=np.repeat(np.arange(20), 5))
    assert gain == same
    assert high_clustered - low_clustered > 1.8 * (high - low)
    assert paired_difference(before, after, cluster=np.arange(100)) == (gain, low, high)


def test_students_quantiles():
    tabled = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 29: 2.045}
    assert {d: student_quantile(0.95, d) for d in tabled} == pytest.approx(tabled, rel=1e-3)


def test_labels_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="one cluster for each"):
        clustered_wilson([1, 0], [0])
