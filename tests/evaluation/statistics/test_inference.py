import numpy as np
import pytest

from dreamgym.evaluation.statistics.inference import difference, paired_difference, wilson


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
