"""The contract that every world-model family keeps, and the only thing envs, rewards and agents know of one.

State is explicit: a plain dict of tensors with leading dimension B that the caller holds. A model keeps nothing
between calls, so a dream can be snapshotted, branched, masked, reset in part, moved between devices and, where
gradients are on, differentiated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from dreamgym.types import Observation, State, WorldModelSpec


class Config(Protocol):
    """A family's frozen config dataclass: saved in the checkpoint, with presets ``paper()`` and ``tiny()``."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        ...


class WorldModel(nn.Module, ABC):
    """A learned simulator.

    A subclass also has ``from_config(config: dict) -> WorldModel`` (a classmethod), which reads what its config's
    ``to_dict`` gave through JSON: so `registry.build` makes one when a checkpoint is opened.

    Randomness comes from the ``generator`` passed in (None: torch's global one); every call draws for the whole batch,
    so that masking some envs never changes what the others draw.
    """

    family: ClassVar[str]
    spec: WorldModelSpec
    config: Config

    @abstractmethod
    def start(self, history: Observation, generator: torch.Generator | None = None, instruction: Any = None) -> State:
        """Filters a short real history into a state.

        Args:
            history: every sensor of ``spec.observations`` as [B, H, ...] with H = ``spec.history``, and the actions
                between them under "action" as [B, H - 1, A] (absent or empty when H = 1).
            generator: source of randomness.
            instruction: for language-conditioned families.

        Returns:
            The state after the last observation.
        """

    @abstractmethod
    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        """Filters real observations that follow ``state``: how a twin turns a real sim's frames into features.

        Args:
            state: B states.
            action: [B, j, A], prepared; ``action[:, i]`` leads to ``obs[:, i]``.
            obs: sensors as [B, j, ...].
            generator: source of randomness.
        """

    @abstractmethod
    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        """The learned dynamics: the state after one action [B, A], or after a chunk [B, j, A]."""

    @abstractmethod
    def features(self, state: State) -> Tensor:
        """What policies and rewards read: ``[B, *spec.feature_shape]``, float32."""

    @abstractmethod
    def decode(self, state: State, keys: Sequence[str]) -> dict[str, Tensor]:
        """What people look at; only the keys asked for.

        Args:
            state: B states.
            keys: a subset of ``spec.decodable``; anything else is a ValueError.

        Returns:
            Images as float32 [B, C, H, W] in [0, 1]; vectors as float32 [B, d] in their own units.
        """

    @abstractmethod
    def uncertainty(self, state: State) -> Tensor:
        """[B], at least 0: how unsure the model was of the transition into this state (unit in the spec)."""

    @abstractmethod
    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Training losses on ``batch`` [B, T, ...] (sensors, "action", "is_first" [B, T] bool).

        Returns:
            Scalars by name; "loss" is the one to minimise, the rest are for the log (detached).
        """

    def check_keys(self, keys: Sequence[str]) -> None:
        """Raises ValueError if ``keys`` are not all decodable."""
        unknown = [k for k in keys if k not in self.spec.decodable]
        if unknown:
            raise ValueError(f"{type(self).__name__} cannot decode {unknown}; it decodes {list(self.spec.decodable)}")


def select(state: State, index: Tensor) -> State:
    """The states at ``index`` (int64 or bool [B])."""
    return {k: v[index] for k, v in state.items()}


def where(mask: Tensor, new: State, old: State) -> State:
    """Per env: ``new`` where ``mask`` [B] is true, else ``old``."""
    return {k: torch.where(mask.view(-1, *([1] * (v.dim() - 1))), new[k], v) for k, v in old.items()}


def clone(state: State) -> State:
    """A deep copy: a branch of the dream."""
    return {k: v.clone() for k, v in state.items()}


def to(state: State, device: torch.device | str) -> State:
    """The state on another device."""
    return {k: v.to(device) for k, v in state.items()}
