import numpy as np
import pytest

from dreamgym.evaluation.statistics.inference import wilson
from dreamgym.evaluation.statistics.prediction_powered import FEWEST, coverage, prediction_powered


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


def test_starts_of_their_own_change_nothing():
    rng = np.random.default_rng(5)
    (y, f), (_, more) = worlds(rng, 40), worlds(rng, 400)
    plain = prediction_powered(y, f, more)
    assert prediction_powered(y, f, more, start=np.arange(40), imagined_start=np.arange(40, 440)) == plain


def test_imagining_the_same_starts_again_says_nothing_of_new_ones():
    rng = np.random.default_rng(6)
    y, f = worlds(rng, 50, wrong=0.02)
    start = np.arange(50)
    again = prediction_powered(y, f, np.tile(f, 20), start=start, imagined_start=np.tile(start, 20))
    assert again.rate == pytest.approx(again.classical_rate)
    assert again.effective_episodes == pytest.approx(50, rel=0.1)
    fresh = prediction_powered(y, f, np.tile(f, 20), start=start, imagined_start=np.arange(50, 1050))
    assert fresh.effective_episodes > 3 * again.effective_episodes


def test_real_episodes_of_few_starts_make_the_interval_wider():
    rng = np.random.default_rng(7)
    y, f = (np.repeat(v, 5) for v in worlds(rng, 12, wrong=0.3))
    _, more = worlds(rng, 400, wrong=0.3)
    clustered = prediction_powered(y, f, more, start=np.repeat(np.arange(12), 5))
    plain = prediction_powered(y, f, more)
    assert clustered.high - clustered.low > 1.3 * (plain.high - plain.low)
    assert clustered.classical_high - clustered.classical_low > 1.5 * (plain.classical_high - plain.classical_low)


def test_clustered_intervals_cover_the_truth():
    rng, held, rounds = np.random.default_rng(8), 0, 300
    for _ in range(rounds):
        rate = rng.beta(0.5, 0.5, 320)  # of each start; 20 of them are run in the simulator, three times each
        real = (rng.random((20, 3)) < rate[:20, None]).astype(float)
        said = np.clip(rate + 0.1, 0, 1)  # a dream that flatters, alike in all episodes of a start
        found = prediction_powered(
            real,
            np.repeat(said[:20], 3),
            said[20:],
            start=np.repeat(np.arange(20), 3),
            imagined_start=np.arange(20, 320),
        )
        held += found.low <= 0.5 <= found.high
    assert held / rounds >= 0.92


def test_starts_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="a start for each"):
        prediction_powered([1, 0], [1, 0], [1], start=[0])
