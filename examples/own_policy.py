"""A policy of your own in ten lines, scored in a dream and in its simulator twin.

Run it: ``python examples/own_policy.py`` (on a tiny built-in world). Or from the command line, on any world model:

    dreamgym evaluate examples/own_policy.py:Right --checkpoint playtable --tasks open_drawer
"""

import tempfile
from pathlib import Path

import torch

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.testing import point_mass_checkpoint


# [policy]
class Right:
    """Moves along the first entry of the action, with a trembling hand."""

    def __init__(self, spec):
        self.dim = spec.action.dim

    def start(self, num_envs, generator):
        return None  # it remembers nothing from one step to the next

    def act(self, obs, carry, fresh, generator):
        noise = 0.5 * torch.randn(len(fresh), self.dim, generator=generator, device=fresh.device)
        noise[:, 0] = 0.6
        return noise.clamp(-1, 1), carry


# [end]


def main(world: str, episodes: int = 20) -> Evaluation:
    # Twenty episodes in the simulator, five times as many imagined ones: both say something about real success.
    result = evaluate(Right, world, "reach_right", episodes=episodes, imagined=5 * episodes, horizon=12)
    for side, told in result.summary().items():
        print(side, told)
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(str(point_mass_checkpoint(Path(scratch) / "point")))
