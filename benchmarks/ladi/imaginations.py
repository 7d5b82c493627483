"""What a policy is shown in place of a world model's imagination: the controls of `refinement.py`.

Each is a view of a world model, with its weights, whose `unroll` does something else. `GuidedPolicy` is trained on it
and refines itself with it as with any model; states that follow real frames are the model's own.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.observation import sensors_to_torch
from dreamgym.envs.twin import TwinCore
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

ACTION = "own_action"
"""Key of a state that stands for a frame whose actions are all that is known of it."""


def changed(model: WorldModel, **fields: Any) -> WorldModel:
    """A view of a model with other fields of its config, such as ``samples`` or ``sampler_steps``."""
    view = _view(model)
    view.config = type(model.config).from_dict({**model.config.to_dict(), **fields})  # type: ignore[attr-defined]
    return view


def copy_model(model: WorldModel) -> WorldModel:
    """The paper's copy model (Table 8): every frame ahead is the present one."""
    view, a = _view(model), model.spec.actions_per_frame

    def unroll(state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        return [state] * (actions.shape[1] // a)

    view.unroll = unroll  # type: ignore[method-assign]
    return view


def own_action(model: WorldModel) -> WorldModel:
    """The copy model, with the actions that lead to each frame, scaled to [-1, 1], in the first features: a second pass
    of a policy that sees its own first decision and imagines nothing.

    Raises:
        ValueError: the model has fewer features than a frame has actions.
    """
    view, spec = _view(model), model.spec
    low, high = torch.tensor(spec.control.low), torch.tensor(spec.control.high)
    if (size := spec.actions_per_frame * spec.control.dim) > int(np.prod(spec.feature_shape)):
        raise ValueError(f"a frame's {size} actions do not fit into features of shape {spec.feature_shape}")

    def unroll(state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        scaled = (2 * (actions - low) / (high - low) - 1).unflatten(1, (-1, spec.actions_per_frame)).flatten(2)
        return [{**state, ACTION: scaled[:, i]} for i in range(scaled.shape[1])]

    def features(state: State) -> Tensor:
        found = model.features({k: v for k, v in state.items() if k != ACTION})
        if ACTION not in state:
            return found
        flat = found.flatten(1)
        return torch.cat([state[ACTION], flat[:, size:]], 1).view_as(found)

    view.unroll, view.features = unroll, features  # type: ignore[method-assign]
    return view


class TrueFuture:
    """What the simulators really show after a chunk: they are taken ahead, looked at and put back.

    Args:
        model: whose features the policy reads.
        core: the twin in which it acts; its simulators are of this process.
    """

    def __init__(self, model: WorldModel, core: TwinCore) -> None:
        self.view, self._model, self._core = _view(model), model, core
        self.view.unroll = self._unroll  # type: ignore[method-assign]

    def _unroll(self, state: State, actions: Tensor, generator: torch.Generator | None = None) -> list[State]:
        sims, spec, out = self._core.world.sims, self._model.spec, []
        before, envs = sims.snapshot(), list(range(len(actions)))
        for part in actions.split(spec.actions_per_frame, 1):
            controls = part.cpu().numpy()
            for i in range(spec.actions_per_frame - 1):
                sims.advance(envs, controls[:, i])
            moved = sims.step(envs, controls[:, -1])
            frame = {k: np.stack([obs[k] for obs, _ in moved]) for k in spec.observations}
            taken = part[:, 0] if spec.actions_per_frame == 1 else part
            state = self._model.observe(state, taken, sensors_to_torch(frame, spec, actions.device), generator)
            out.append(state)
        sims.restore(before)
        return out


def _view(model: WorldModel) -> WorldModel:
    view = copy.copy(model)
    view.__dict__ = dict(model.__dict__)
    return view
