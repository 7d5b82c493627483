"""`Planner`: a policy that searches in the dream before it acts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym.types import InstructionSpec, WorldModelSpec
from dreamgym_agents.planning.config import PlannerConfig
from dreamgym_agents.planning.imagination import imagine
from dreamgym_agents.planning.objectives import Objective, Success
from dreamgym_agents.planning.search import search


class Planner:
    """Plans ``config.frames`` frames ahead, carries out ``config.execute`` of them, and plans again.

    The carry is each env's plan, [B, K, A] in units of half the action's range; the next search begins with the rest
    of it.

    Args:
        spec: of the world model, as `dreamgym evaluate` gives it.
        config: how it searches.
        objective: what it wants; None: the success of each env's task.
        changes: fields of the config.

    Attributes:
        chunk: control actions a decision.

    Raises:
        ValueError: a model that is driven by instructions, a plan that ``hold`` does not divide, or a spread for
            another action.
    """

    obs = "features"

    def __init__(
        self,
        spec: WorldModelSpec,
        config: PlannerConfig | None = None,
        objective: Objective | None = None,
        **changes: Any,
    ) -> None:
        if isinstance(spec.action, InstructionSpec):
            raise ValueError("planners search over actions, and this model is driven by instructions")
        self.config = replace(config or PlannerConfig(), **changes)
        self.objective: Objective = objective or Success()
        self.spec, per_frame = spec, spec.actions_per_frame
        usual = per_frame if per_frame > 1 else self.config.execute
        self.hold = usual if self.config.hold is None else self.config.hold
        self.length = self.config.frames * per_frame
        self.chunk = self.config.execute * per_frame
        if self.length % self.hold or self.chunk % self.hold:
            raise ValueError(
                f"hold={self.hold}: a plan of {self.length} control actions of which {self.chunk} are carried out must "
                "both be multiples of it"
            )
        if len(self.config.spreads) not in (1, spec.control.dim):
            raise ValueError(
                f"spread has {len(self.config.spreads)} entries, an action of this model {spec.control.dim}: give one, "
                "or one for each"
            )
        low, high = torch.tensor(spec.control.low), torch.tensor(spec.control.high)
        self._middle, self._half = (low + high) / 2, (high - low) / 2
        self._core: DreamCore | None = None

    def bind(self, core: DreamCore) -> None:
        """Takes the core to imagine in.

        Raises:
            ValueError: ``cut`` is "auto" and the checkpoint has no calibrated limit.
        """
        self._core = core
        self._middle, self._half = self._middle.to(core.device), self._half.to(core.device)
        limit = core.spec.uncertainty_limit if self.config.cut == "auto" else self.config.cut
        if self.config.cut == "auto" and limit is None:
            raise ValueError("cut='auto' needs a calibrated checkpoint, and this one records no limit; pass a number")
        self._cut = limit

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> Tensor:
        """Nothing planned yet, [B, K, A]."""
        return torch.zeros((num_envs, self.length // self.hold, len(self._half)), device=self._half.device)

    def act(
        self, obs: Any, carry: Tensor, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """The first actions of the best plan: [B, chunk, A].

        Raises:
            ValueError: it was not bound to a core.
        """
        core = self._core
        if core is None:
            raise ValueError("a planner imagines in a core: call bind(core) first, as dreamgym evaluate does")
        mean = torch.where(fresh[:, None, None], torch.zeros_like(carry), carry)

        def score(drawn: Tensor) -> Tensor:
            return imagine(core, self.actions(drawn), self.objective, generator, self.config.penalty, self._cut)

        plan = search(self.config, score, mean, generator)
        done = self.chunk // self.hold
        rest = torch.cat([plan[:, done:], plan[:, -1:].expand(-1, done, -1)], 1)
        return self.actions(plan)[:, : self.chunk], rest

    def actions(self, drawn: Tensor) -> Tensor:
        """Control actions [..., H * a, A] within their bounds, of sequences [..., K, A] in [-1, 1]."""
        return self.spec.prepare(self._middle + self._half * drawn).repeat_interleave(self.hold, -2)


def shooting(spec: WorldModelSpec) -> Planner:
    """Random shooting."""
    return Planner(spec, method="shooting")


def cem(spec: WorldModelSpec) -> Planner:
    """The cross-entropy method."""
    return Planner(spec, method="cem")


def mppi(spec: WorldModelSpec) -> Planner:
    """Model-predictive path integral control."""
    return Planner(spec, method="mppi")
