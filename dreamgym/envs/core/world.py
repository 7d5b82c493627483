"""Where a core's transitions come from: the model's learned dynamics here, real simulators in `dreamgym.envs.twin`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.rows import take_rows
from dreamgym.envs.core.steps import Obs
from dreamgym.types import InstructionSpec, State
from dreamgym.world_models.base import WorldModel

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore

Begun = tuple[State, Tensor, Tensor]
"""States, task numbers and bank rows (-1: none) of envs whose episode begins."""


class World(ABC):
    """The part of a core that a dream and its twin do not share.

    Attributes:
        waits: whether something other than the device is waited for at every step, so that reading values is free.
        can_place: whether states may be put in from elsewhere; simulators would stay where they are.
        oracle: [B] bool of the frame that `unroll` gave last: the simulator's own verdict; None: the reward model's
            counts.
    """

    waits: bool = False
    can_place: bool = True
    oracle: Tensor | None = None

    @abstractmethod
    def begin(self, core: DreamCore, mask: Tensor | None, rows: Tensor | None, options: Mapping[str, Any]) -> Begun:
        """Begins episodes where ``mask`` [B] is true (None: everywhere).

        Returns:
            For the envs ``rows`` [K] alone where they are given (the same envs as ``mask``), else for all B; entries of
            envs that do not begin are not read.
        """

    @abstractmethod
    def unroll(self, core: DreamCore, action: Tensor) -> Iterator[State]:
        """The frames of a step from ``core.state``, each made when asked for; action as `ActionReader` gave it."""

    @abstractmethod
    def observe(self, core: DreamCore, rows: Tensor | None) -> Obs:
        """What the envs ``rows`` [K] show now, or all of them."""

    @abstractmethod
    def picture(self, core: DreamCore) -> Tensor:
        """The cameras of each env side by side, uint8 [B, H, W, 3]."""

    @abstractmethod
    def missing_camera(self, core: DreamCore) -> str | None:
        """What is missing where nothing can be rendered, and the mend; None where it can."""

    def leave(self, mask: Tensor) -> None:  # noqa: B027 - a dream costs the same
        """Nobody looks at the envs where ``mask`` [B] is true until they begin anew: their world may stand still."""

    def snapshot(self, core: DreamCore) -> np.ndarray | None:
        """What a snapshot of the core must hold beside its tensors."""
        return None

    def restore(self, core: DreamCore, snapshot: np.ndarray | None, tasks: list[int]) -> None:  # noqa: B027
        """Goes back to what `snapshot` gave; ``tasks`` [B] are the episodes'."""

    def close(self) -> None:  # noqa: B027 - a dream holds nothing
        """Lets go of what the world holds."""


class DreamWorld(World):
    """The learned dynamics.

    Args:
        model: whose they are.
        compile: run them through `torch.compile`.
    """

    def __init__(self, model: WorldModel, compile: bool = False) -> None:
        self._imagine, self._unroll = model.imagine, model.unroll
        self._one_by_one = type(model).unroll is WorldModel.unroll
        if compile:
            self._imagine, self._unroll = torch.compile(model.imagine), torch.compile(model.unroll)

    def begin(self, core: DreamCore, mask: Tensor | None, rows: Tensor | None, options: Mapping[str, Any]) -> Begun:
        return core.beginner.begin(core.seed, core.episode, rows, options)

    def unroll(self, core: DreamCore, action: Tensor) -> Iterator[State]:
        if core.chunk is None and not isinstance(core.spec.action, InstructionSpec):
            yield self._imagine(core.state, action, core.generator)
        elif not self._one_by_one:
            yield from self._unroll(core.state, action, core.generator)
        else:
            state = core.state
            for each in core.split(action):
                state = self._imagine(state, each, core.generator)
                yield state

    def observe(self, core: DreamCore, rows: Tensor | None) -> Obs:
        task = core.counters["task"]
        if rows is None:
            return core.reader(core.state, task)
        return core.reader.fresh(take_rows(core.state, rows), task, rows)

    def picture(self, core: DreamCore) -> Tensor:
        if core.reader.images or core.drawing is None:
            return core.reader.picture(core.state)
        decoded = core.model.decode(core.state, list(core.drawing.keys))
        return core.draw({k: v.cpu().numpy() for k, v in decoded.items()})

    def missing_camera(self, core: DreamCore) -> str | None:
        if core.reader.images:
            return None
        if core.drawing is not None and set(core.drawing.keys) <= set(core.reader.vectors):
            return core.drawing.missing
        decodes = list(core.spec.decodable)
        return f"a model that decodes images; this {core.spec.family} model decodes {decodes}. Use render_mode=None"
