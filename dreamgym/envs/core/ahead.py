"""Where the next episodes of every env begin, drawn ahead: by itself, the draw of one env costs what hundreds cost."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamgym.envs.core.begin import Beginner

EPISODES = 16


class StartsAhead:
    """Bank rows of the next episodes of every env, for a core that draws one task.

    Draws depend on (seed, env, episode) alone, so drawing them early changes none of them. A block serves as many
    partial resets as it holds episodes, since none begins more than one in any env.

    Args:
        beginner: the core's, with a bank.
    """

    def __init__(self, beginner: Beginner) -> None:
        self._beginner = beginner
        self._left = 0

    def forget(self) -> None:
        """To be called at a whole reset, and when the core goes on from elsewhere."""
        self._left = 0

    def note_begin(self) -> None:
        """To be called at every partial reset, once the core has counted its episodes."""
        self._left -= 1

    def __call__(self, seed: int, episode: Tensor, rows: Tensor) -> Tensor:
        """The bank rows [K] at which the envs ``rows`` [K] begin; ``seed``, ``episode`` [B] as for `Beginner.begin`."""
        if self._left <= 0:
            env = torch.arange(len(episode)).unsqueeze(1).expand(-1, EPISODES)
            number = episode.unsqueeze(1) + torch.arange(EPISODES)
            self._start = self._beginner.draw_start(seed, env.flatten(), number.flatten())
            self._offset = env[:, 0] * EPISODES - episode
            self._left = EPISODES
        return self._start.index_select(0, (episode + self._offset).index_select(0, rows))
