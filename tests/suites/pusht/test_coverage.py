"""The dense reward is the simulator's own coverage."""

import numpy as np
import pytest
import torch

from dreamgym.suites import suite
from dreamgym.suites.pusht.coverage import CoverageShaping

pytest.importorskip("gym_pusht")


def test_it_is_the_coverage_that_the_simulator_states():
    env, rng, states, wanted = suite("pusht").make(), np.random.default_rng(0), [], []
    env.reset(seed=0)
    for spread in np.repeat([0.0, 0.02, 0.1, 0.3, 1.0], 8):
        snapshot = env.snapshot()
        snapshot[5:7] = 256 + spread * rng.uniform(-120, 120, 2)
        snapshot[9] = np.pi / 4 + spread * rng.uniform(-3, 3)
        env.restore(snapshot)
        states.append(env.observe()["state"])
        wanted.append(env.coverage)
    now = {"state": torch.from_numpy(np.stack(states))}
    got = CoverageShaping(("push_t",), "cpu").reward(now, now, torch.zeros(len(states), dtype=torch.long))
    assert np.ptp(wanted) > 0.9
    np.testing.assert_allclose(got, wanted, atol=0.01)
