"""What goes in and out of a simulation core: steps, last observations of ended envs, snapshots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dreamgym.types import State

Obs = Tensor | dict[str, Tensor]
Info = dict[str, Tensor]


class Final(NamedTuple):
    """The last observation and info of envs that ended and were reset within one step (autoreset "same_step").

    Attributes:
        mask: [B] bool, the envs that ended.
        rows: [K] int64, the same as indices: ``obs`` and ``info`` hold those K rows. None on devices other than the
            CPU, where they hold all B rows and ``mask`` says which count.
        obs: their last observation.
        info: their last info.
    """

    mask: Tensor
    rows: Tensor | None
    obs: Obs
    info: Info


class Step(NamedTuple):
    """What a step returns: tensors [B, ...], fresh each time.

    Attributes:
        obs: after the step, and after the autoreset where there was one.
        reward: [B] float32, summed over a chunk.
        terminated: [B] bool, the task succeeded (reward "success" only).
        truncated: [B] bool, cut off by the horizon, the uncertainty limit or a model failure; never with terminated.
        info: is_success, success_probability, uncertainty, task, horizon_reached, uncertainty_exceeded (where a limit
            is set), model_failure, episode_return and episode_length (with ``episode_stats``); false and zero where the
            env was just reset.
        final: set where an autoreset took place in this step (on other devices than the CPU: may have).
    """

    obs: Obs
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    info: Info
    final: Final | None


@dataclass(frozen=True)
class Snapshot:
    """Everything that decides how a dream goes on; `DreamCore.restore` branches from it.

    Attributes:
        state, memory: model state and reward memory, [B, ...].
        counters: per-env tensors [B]; "begun" counts from the moment of the snapshot.
        last: the verdict that waiting envs repeat (autoreset "disabled").
        seed: seed of the start draws.
        noise: state of the noise generator.
        simulators: [B, 2, S] in a twin: simulator states at the start of the episode and now.
    """

    state: State
    memory: dict[str, Tensor]
    counters: dict[str, Tensor]
    last: dict[str, Tensor] | None
    seed: int
    noise: Tensor = field(repr=False)
    simulators: np.ndarray | None = field(default=None, repr=False)

    def select(self, index: Tensor) -> Snapshot:
        """The envs at ``index`` [K] as a snapshot of K envs: fans dreams out for planning."""
        state, memory, counters = (_rows(d, index) for d in (self.state, self.memory, self.counters))
        last = None if self.last is None else _rows(self.last, index)
        sims = None if self.simulators is None else self.simulators[index.cpu().numpy()]
        return Snapshot(state, memory, counters, last, self.seed, self.noise, sims)


def _rows(values: dict[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    return {k: v[index] for k, v in values.items()}
