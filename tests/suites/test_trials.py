import numpy as np
import pytest

from dreamgym.suites import Suite, suite
from dreamgym.suites.trials import open_trials
from dreamgym.types import ActionSpec


def start(env, task):
    env.reset(seed=0, options={"task": task})
    return env.snapshot()


def attempt(trials, snapshot, **options):
    return trials.attempt("push_t", snapshot, np.random.default_rng(0), **options)


@pytest.fixture(scope="module")
def pusht():
    pytest.importorskip("gym_pusht")
    env = suite("pusht").make()
    snapshot = start(env, "push_t")
    env.close()
    trials = open_trials(suite("pusht"))
    yield trials, snapshot
    trials.close()


def test_an_operator_tries_from_the_snapshot_and_a_seed_repeats_it(pusht):
    trials, snapshot = pusht
    one, two = (attempt(trials, snapshot, horizon=30, linger=3) for _ in range(2))
    assert len(one.frames) == len(one.action) + 1 == len(one.success) <= 31
    assert not one.success[0]
    np.testing.assert_array_equal(one.action, two.action)
    assert one.frames[0]["state"].shape == (6,)


def test_without_linger_it_goes_on_to_the_horizon_and_noise_moves_its_actions(pusht):
    trials, snapshot = pusht
    plain = attempt(trials, snapshot, horizon=10)
    noisy = attempt(trials, snapshot, horizon=10, noise=0.1)
    assert len(plain.action) == len(noisy.action) == 10
    assert np.abs(plain.action[0] - noisy.action[0]).max() > 1  # pixels
    assert noisy.action.min() >= 0
    assert noisy.action.max() <= 512


def test_a_suite_without_operators_says_so():
    bare = Suite("bare", ("a",), ActionSpec((-1.0,), (1.0,)), 10.0, 10, "nowhere:Env")
    assert not bare.has_trials
    with pytest.raises(ValueError, match="nobody acts by a script in the suite 'bare'"):
        open_trials(bare)
    assert suite("calvin").has_trials
    assert suite("metaworld").has_trials
