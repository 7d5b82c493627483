"""Planners and refiners: the core that they imagine in, kept where the world that they act in is.

A policy with a method ``bind(core)`` gets a dream core of the same world model with as many envs as the world it acts
in. Before each ``act`` the core stands at that world's filtered states, with the reward's memory and the elapsed time
of each episode. Its noise is its own: neither a simulator's future nor a dream's is in it.
"""

from __future__ import annotations

import numpy as np

from dreamgym.envs.core.core import DreamCore
from dreamgym.types import Policy


class BoundCore:
    """A planner's core, and how it follows a world.

    Args:
        core: a dream of the world's model and reward, with as many envs.
        policy: has a method ``bind``.
        seed: of the evaluation; the core's noise is drawn from another stream than the world's.
    """

    def __init__(self, core: DreamCore, policy: Policy, seed: int) -> None:
        self.core, self._seed = core, seed
        self.begin(0)
        core.reset(seed=self._draw())
        policy.bind(core)  # type: ignore[attr-defined]

    def begin(self, wave: int) -> None:
        """Seeds the core's noise for a wave of episodes (see `run_episodes`)."""
        # Another stream than the world's, whose noise the core would know otherwise.
        self._noise = np.random.default_rng([self._seed, wave, 1])

    def follow(self, world: DreamCore) -> None:
        """Puts the core where ``world`` stands: states, reward memory, tasks and elapsed time of all envs."""
        # The memory comes along: a reward that compares with the start of the episode still does.
        self.core.place(world.state, world.counters["task"], world.elapsed, world.memory, seed=self._draw())

    def _draw(self) -> int:
        return int(self._noise.integers(2**62))


def is_planner(policy: Policy) -> bool:
    """Whether the policy wants a core to imagine in."""
    return callable(getattr(policy, "bind", None))
