"""Metaworld's suite: the experts."""

import numpy as np
import pytest

pytest.importorskip("metaworld")

from dreamgym.suites import suite
from dreamgym.suites.metaworld import Expert


@pytest.mark.slow
@pytest.mark.parametrize("task", suite("metaworld").tasks)
def test_the_expert_solves_the_task_within_the_horizon(task):
    env, expert = suite("metaworld").make(task=task), Expert(task)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    assert any(env.step(expert.act(env.observe()["state"], rng))[2] for _ in range(suite("metaworld").horizon))
    env.close()
