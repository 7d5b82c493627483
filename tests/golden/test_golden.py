import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from golden_rollouts import FILE, cases, missing_assets, rollout

EXTRAS = {
    "pusht": "gym_pusht",
    "metaworld": "metaworld",
    "libero": "robosuite",
    "robosuite": "robosuite",
    "playtable": "pybullet",
    "calvin_d": "pybullet",
}


@pytest.fixture(scope="module")
def recorded():
    with np.load(FILE) as file:
        return {k: file[k] for k in file.files}


@pytest.mark.parametrize("case", cases())
def test_a_rollout_is_the_recorded_one(case, recorded):
    """To 1e-5: the order of operations may change. On one thread, as they were recorded."""
    kind, name, *_ = case.split("/")
    if kind == "twin":
        pytest.importorskip(EXTRAS[name])
    if (variable := missing_assets(case)) is not None:
        pytest.skip(f"{variable} is not set")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = rollout(case)
    finally:
        torch.set_num_threads(threads)
    expected = {k.partition(":")[2]: v for k, v in recorded.items() if k.partition(":")[0] == case}
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        assert found[key].shape == value.shape, key
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
