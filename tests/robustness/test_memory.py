"""Long runs keep their memory: the resident size after warm-up stays within 1 MiB (``-m slow``).

python tests/robustness/test_memory.py point_mass 1000000
python tests/robustness/test_memory.py pusht 100000
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import gymnasium as gym
import numpy as np
import psutil
import pytest

import dreamgym
from dreamgym.testing import point_mass_checkpoint

MIB = 2**20
LOOKS = 20


def resident_mib(world: str, steps: int, num_envs: int = 8) -> list[float]:
    """Resident size in MiB at `LOOKS` moments of the run, the first after a tenth of it."""
    assert dreamgym.__version__
    name = str(point_mass_checkpoint(Path(mkdtemp()) / "point")) if world == "point_mass" else world
    env = gym.make_vec("Dream-v0", num_envs=num_envs, checkpoint=name, horizon=50)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    process, sizes = psutil.Process(), []
    every = max(1, int(steps * 0.9) // LOOKS)
    for step in range(steps):
        obs, *_ = env.step(actions[step % 64])
        if step >= steps // 10 and (step - steps // 10) % every == 0:
            sizes.append(process.memory_info().rss / MIB)
    assert np.isfinite(np.asarray(obs, np.float64)).all()
    return sizes


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("world", "steps"), [("point_mass", 1_000_000), ("pusht", 100_000)])
def test_memory_is_flat(world: str, steps: int, record_property: Callable[[str, object], None]) -> None:
    sizes = resident_mib(world, steps)
    record_property("steps", steps)
    record_property("growth_mib", round(max(sizes) - sizes[0], 3))
    assert max(sizes) - sizes[0] < 1.0, [round(x, 2) for x in sizes]


def test_memory_is_flat_for_a_while() -> None:
    sizes = resident_mib("point_mass", 3_000)
    assert max(sizes) - sizes[0] < 4.0, [round(x, 2) for x in sizes]


if __name__ == "__main__":
    found = resident_mib(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(f"grew by {max(found) - found[0]:.2f} MiB: {[round(x, 1) for x in found]}\n")
