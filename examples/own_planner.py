"""A planner of your own in a few lines: it tries actions out in the dream before it acts, in the dream and in its twin.

Run it: ``python examples/own_planner.py`` (on a tiny built-in world). Or from the command line, on any world model that
takes one action a step:

    dreamgym evaluate examples/own_planner.py:Planner --checkpoint metaworld --tasks reach
"""

import tempfile
from pathlib import Path

import torch

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.testing import point_mass_checkpoint


# [planner]
class Planner:
    """Tries 16 random actions, each for five steps, and takes the one that the reward model likes best."""

    def bind(self, core):
        self.core = core  # a dream of the same world model, which stands where the world stands before each act

    def start(self, num_envs, generator):
        return None  # it plans anew at every step

    def act(self, obs, carry, fresh, generator):
        core, here, worth = self.core, self.core.snapshot(), []
        low, high = (torch.tensor(bound) for bound in (core.spec.action.low, core.spec.action.high))
        tries = low + (high - low) * torch.rand((16, len(low)), generator=generator)
        for action in tries:
            core.restore(here)
            worth.append(sum(core.step(action.expand(len(fresh), -1)).reward for _ in range(5)))
        return tries[torch.stack(worth).argmax(0)], carry


# [end]


def main(world: str, episodes: int = 10) -> tuple[Evaluation, Evaluation]:
    planned, random = (
        evaluate(policy, world, "reach_right", episodes=episodes, horizon=12) for policy in (Planner, "random")
    )
    for name, found in (("planner", planned), ("random", random)):
        print(name, found.summary()["dream"]["success_rate"], found.summary()["twin"]["success_rate"])
    return planned, random


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(str(point_mass_checkpoint(Path(scratch) / "point")))
