"""Planning by branching a dream: try many futures from the present state, act on the best, go on.

Run it: ``python examples/plan_by_branching.py`` (on a tiny built-in world), or with a checkpoint and a task of yours:
``python examples/plan_by_branching.py playtable open_drawer``.
"""

import sys
import tempfile
from pathlib import Path

import torch

import dreamgym
from dreamgym.testing import point_mass_checkpoint


def best_first_action(planner: dreamgym.DreamCore, now, horizon: int, generator: torch.Generator) -> torch.Tensor:
    """The first of the random action sequences whose imagined success probabilities add up to most; [A]."""
    spec, branches = planner.spec.action, planner.num_envs
    low, high = torch.tensor(spec.low), torch.tensor(spec.high)
    # One action a branch, held along it: coarse, and enough to see which way to go.
    held = low + (high - low) * torch.rand(branches, spec.dim, generator=generator)
    planner.restore(now.select(torch.zeros(branches, dtype=torch.int64)))
    value = torch.zeros(branches)
    for _ in range(horizon):
        value += planner.step(held).reward
    return held[value.argmax()]


def plan(checkpoint: str, task: str, *, branches: int = 64, horizon: int = 8, steps: int = 40, seed: int = 0) -> int:
    """Plays one episode; returns the step at which the dream calls the task done, or -1."""
    options = {"task": task, "autoreset_mode": "disabled", "uncertainty": False}
    dream = dreamgym.make_core(checkpoint, num_envs=1, horizon=steps, **options)
    planner = dreamgym.make_core(checkpoint, num_envs=branches, horizon=10**6, reward="probability", **options)
    generator = torch.Generator().manual_seed(seed)
    dream.reset(seed=seed)
    for t in range(1, steps + 1):
        step = dream.step(best_first_action(planner, dream.snapshot(), horizon, generator).unsqueeze(0))
        if step.terminated.item():
            return t
    return -1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint, task = sys.argv[1:3] or (str(point_mass_checkpoint(Path(scratch) / "point")), "reach_right")
        print(f"{task}: done at step {plan(checkpoint, task)}")
