"""The contract that every world-model family keeps, and the only thing envs, rewards and agents know of one.

State is explicit: a plain dict of tensors with leading dimension B that the caller holds. A model keeps nothing
between calls, so a dream can be snapshotted, branched, masked, reset in part, moved between devices and, where
gradients are on, differentiated.

Everything is counted in frames: a frame spans a = ``spec.actions_per_frame`` control actions. "A frame's actions" are
[B, a, A], or [B, A] where a is 1; those of a model driven by instructions are the instruction, int64 [B].
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dreamgym.types import InstructionSpec, Observation, State, WorldModelSpec


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
                between them under "action" as [B, (H - 1) * a, A] (empty when H = 1), prepared: control actions, of a
                model that is driven by instructions too.
            generator: source of randomness.
            instruction: B sentences, for action-conditioned families that are told what to do (``spec.instructions``).

        Returns:
            The state after the last observation.
        """

    @abstractmethod
    def observe(
        self, state: State, action: Tensor, obs: Observation, generator: torch.Generator | None = None
    ) -> State:
        """Filters the one real frame that followed ``state``: how a twin turns what a simulator shows into features.

        Args:
            state: B states.
            action: the actions that led to the frame, prepared: [B, a, A] (instructions: int64 [B]).
            obs: sensors as [B, ...].
            generator: source of randomness.
        """

    @abstractmethod
    def imagine(self, state: State, action: Tensor, generator: torch.Generator | None = None) -> State:
        """The learned dynamics: the state one frame on, after a frame's actions."""

    def unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> Iterable[State]:
        """F predicted frames, in order; each is an ordinary state.

        By default one `imagine` after the other, each made when it is asked for, so that a chunk which ends early costs
        no more than it lasts. A family that predicts frames jointly overrides this and returns a list from one
        sampling; its `imagine` is an unroll of one frame.

        Args:
            state: B states.
            actions: prepared [B, F * a, A]; or instructions int64 [B], whose F is ``spec.action.clip``.
            generator: source of randomness.
        """
        if isinstance(self.spec.action, InstructionSpec):
            for _ in range(self.spec.action.clip):
                state = self.imagine(state, actions, generator)
                yield state
            return
        per_frame = self.spec.actions_per_frame
        for action in actions.split(per_frame, 1):
            state = self.imagine(state, action[:, 0] if per_frame == 1 else action, generator)
            yield state

    def embody(self, name: str) -> WorldModel:
        """This model as the robot ``name`` sees it: the same weights, its ``spec.action``.

        Raises:
            ValueError: a robot that the model does not know.
        """
        if name not in self.spec.embodiments:
            known = list(self.spec.embodiments) or "none: it knows one robot, its own"
            raise ValueError(f"this {self.spec.family} model knows no embodiment {name!r}; it knows {known}")
        view = copy.copy(self)
        view.__dict__ = dict(self.__dict__)
        view.spec = replace(self.spec, action=self.spec.embodiments[name], embodiment=name)
        return view

    def at_fidelity(self, name: str) -> WorldModel:
        """This model as it predicts in the way ``name``: the same weights. A family with several overrides it.

        Raises:
            ValueError: none of ``spec.fidelities``.
        """
        self.check_fidelity(name)
        return self

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

    def frozen_modules(self) -> Mapping[str, str]:
        """Pretrained parts that are never trained: {name of the module: what the weights are called}.

        The constructor loads them. They are written into no file; a file is read only by a model with the same.
        """
        return {}

    def check_fidelity(self, name: str) -> None:
        """Raises ValueError if ``name`` is none of ``spec.fidelities``."""
        if name not in self.spec.fidelities:
            known = list(self.spec.fidelities) or "none: it predicts in one way"
            raise ValueError(f"this {self.spec.family} model knows no fidelity {name!r}; it knows {known}")

    def check_keys(self, keys: Sequence[str]) -> None:
        """Raises ValueError if ``keys`` are not all decodable."""
        unknown = [k for k in keys if k not in self.spec.decodable]
        if unknown:
            raise ValueError(f"{type(self).__name__} cannot decode {unknown}; it decodes {list(self.spec.decodable)}")


@runtime_checkable
class ObservationPredictor(Protocol):
    """What a family may offer beside `WorldModel`: the next observation as a differentiable normal distribution.

    For agents that learn through a world model of one vector sensor (``isinstance(model, ObservationPredictor)``). The
    sensor is the only entry of ``spec.observations``; H is ``spec.history``, O its entries, A those of an action.
    """

    spec: WorldModelSpec

    @property
    def std(self) -> Tensor:
        """[O]: standard deviation of the prediction, in the observation's own units."""
        ...

    @property
    def obs_std(self) -> Tensor:
        """[O]: standard deviation of the observations in the training data, in their own units."""
        ...

    def next_observation(self, obs: Tensor, action: Tensor) -> Tensor:
        """Mean of the next observation [..., O], in its own units.

        Args:
            obs: [..., H, O], the last H observations, oldest first.
            action: [..., H, A], the actions taken at them.
        """
        ...

    def fit_statistics(self, obs: Tensor, delta: Tensor) -> None:
        """Sets scales from training data: observations [N, O] and one-step changes [M, O]."""
        ...

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """As `WorldModel.loss`."""
        ...


@runtime_checkable
class ClipRefiner(Protocol):
    """What a family that is driven by instructions may offer beside `WorldModel`: clips that can be learned through.

    For agents that act on imagined clips and train the world model jointly with themselves
    (``isinstance(model, ClipRefiner)``): what is costly to sample is made once, without gradients, and what follows it
    is differentiable in the parameters that may be trained.
    """

    spec: WorldModelSpec

    def preview(self, state: State, instruction: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the clip is refined from, [B, ...], without gradients.

        Args:
            state: B states.
            instruction: int64 [B].
            generator: source of randomness.
        """
        ...

    def refined(
        self, preview: Tensor, state: State, instruction: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The frames of the clip, [B, F, C, H, W] in [0, 1], differentiable."""
        ...

    def refining_parameters(self) -> list[nn.Parameter]:
        """What may be trained through `refined`."""
        ...


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


def to_frames(batch: Mapping[str, Tensor], actions_per_frame: int) -> dict[str, Tensor]:
    """Windows at control rate as frames.

    Args:
        batch: sensors and "action" as [B, T, ...], a row a control step.
        actions_per_frame: a.

    Returns:
        Sensors [B, F, ...] at rows 0, a, 2a, ... with F = (T - 1) // a + 1, and "action" [B, F - 1, a, A]: what led
        from one frame to the next.
    """
    a = actions_per_frame
    action = batch["action"]
    steps = (action.shape[1] - 1) // a
    out = {k: v[:, : steps * a + 1 : a] for k, v in batch.items() if k != "action"}
    out["action"] = action[:, : steps * a].unflatten(1, (steps, a)) if steps else action[:, :0].unsqueeze(2)
    return out
