import numpy as np
import pytest

from dreamgym.evaluation.statistics.inference import (
    FEWEST,
    coverage,
    difference,
    paired_difference,
    prediction_powered,
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


def worlds(rng, n, rate=0.5, wrong=0.1):
    """n real outcomes and what a dream says that is a coin toss in a share ``2 * wrong`` of them."""
    real = (rng.random(n) < rate).astype(float)
    return real, np.where(rng.random(n) < 2 * wrong, rng.random(n) < rate, real)


def test_the_estimate_is_the_formula():
    rng = np.random.default_rng(0)
    (y, f), (_, more) = worlds(rng, 40), worlds(rng, 400)
    found = prediction_powered(y, f, more, method="normal")
    weight = np.cov(y, f)[0, 1] / ((1 + 40 / 400) * np.r_[f, more].var(ddof=1))
    assert found.weight == pytest.approx(weight)
    assert found.rate == pytest.approx(y.mean() + weight * (more.mean() - f.mean()))
    variance = (y - weight * f).var() / 38 + weight**2 * more.var() / 400
    assert found.high - found.low == pytest.approx(2 * 1.959963984540054 * variance**0.5)


def test_a_good_dream_narrows_the_interval_and_a_useless_one_hardly_widens_it():
    rng = np.random.default_rng(1)
    (y, f), (_, more) = worlds(rng, 50, wrong=0.02), worlds(rng, 2000, wrong=0.02)
    good = prediction_powered(y, f, more)
    assert good.high - good.low < 0.5 * (good.classical_high - good.classical_low)
    assert good.effective_episodes > 4 * 50
    useless = prediction_powered(y, rng.random(50) < 0.5, rng.random(2000) < 0.5)
    assert useless.high - useless.low < 1.1 * (useless.classical_high - useless.classical_low)


def test_a_dream_that_always_flatters_is_corrected():
    rng = np.random.default_rng(2)
    y, more = (rng.random(400) < 0.3).astype(float), rng.random(4000) < 0.3
    flatter = [np.maximum(x, rng.random(len(x)) < 0.5) for x in (y, more.astype(float))]
    assert np.mean(flatter[1]) > 0.6
    found = prediction_powered(y, *flatter)
    assert found.low <= 0.3 <= found.high
    assert abs(found.rate - y.mean()) < 0.05


@pytest.mark.parametrize("outcomes", [[1.0] * 10, [0.0] * 10, [1.0, 0.0] + [1.0] * (FEWEST - 3)])
def test_where_nothing_can_be_learned_of_the_dream_the_interval_is_wilsons(outcomes):
    found = prediction_powered(outcomes, outcomes, [1.0, 0.0] * 50)
    assert found.weight == 0
    assert (found.rate, found.low, found.high) == (found.classical_rate, found.classical_low, found.classical_high)
    assert (found.low, found.high) == wilson(sum(outcomes), len(outcomes))


def test_a_perfect_dream_is_worth_at_most_as_many_real_episodes_as_it_imagined():
    y = np.array([1.0, 0, 1, 1, 0, 1, 0, 1, 1, 1])
    assert prediction_powered(y, y, np.tile(y, 10)).effective_episodes <= 110


@pytest.mark.parametrize(
    ("real", "paired", "message"),
    [([], [], "no real episodes"), ([1, 0], [1], "one imagined outcome for each"), ([1, 2], [1, 0], "must lie in")],
)
def test_bad_outcomes_are_refused(real, paired, message):
    with pytest.raises(ValueError, match=message):
        prediction_powered(real, paired, [0, 1])


@pytest.mark.parametrize("num_real", [10, 30])
@pytest.mark.parametrize("rate", [0.15, 0.6])
def test_intervals_cover_the_truth_by_resampling(num_real, rate):
    real, imagined = worlds(np.random.default_rng(3), 1000, rate)
    found = coverage(real, imagined, num_real=num_real, num_imagined=300, rounds=400)
    # 400 rounds at 95% scatter by 1.1 points; nominal or a little above is what is asked for.
    assert found.coverage >= 0.92
    assert found.width < 0.85 * found.classical_width


def test_coverage_by_the_normal_interval_fails_where_wilsons_holds():
    real, imagined = worlds(np.random.default_rng(4), 1000, 0.95)
    options = {"num_real": 10, "num_imagined": 300, "rounds": 300}
    assert coverage(real, imagined, method="normal", **options).coverage < 0.8
    assert coverage(real, imagined, **options).coverage >= 0.92


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
