"""The decoded-state reward (DiWA's "Hybrid WM + Latent Decoder"): a suite's task rules on the state that is decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamgym.fields import convert
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.suites.base import TaskRules
from dreamgym.suites.registry import suite as suite_by_name
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

FIRST_SUITE = "calvin"
"""The suite of checkpoints that were saved before the config named one: the only one with rules then."""


class DecodedStateReward(RewardModel):
    """Success by a suite's rules, read off the state that the model decodes.

    Memory is the state decoded at the start of the episode, since tasks may be changes: each of ``keys``, [B, d].

    Args:
        suite: name of a suite with rules (`Suite.rules`).
        tasks: some of its tasks.
        softness: None for 0 or 1; else the width of a sigmoid around the rule's threshold, in the rule's unit (of
            CALVIN metres, for a light's value too, so 0.02 is nearly hard for it).
        probe: a module features [B, Z] -> {key: [B, d]}, for models that cannot decode the rules' sensors themselves;
            None to call ``model.decode``.

    Raises:
        ValueError: the suite has no rules, or not for one of the tasks; or softness is not positive.
    """

    kind: ClassVar[str] = "decoded"

    def __init__(
        self, suite: str, tasks: Sequence[str], softness: float | None = None, probe: nn.Module | None = None
    ) -> None:
        super().__init__()
        if softness is not None and softness <= 0:
            raise ValueError(f"softness must be positive, or None for a hard 0/1 reward, got {softness}")
        self.suite, self.tasks = suite, tuple(tasks)
        self.softness = softness
        self.probe = probe
        self.register_buffer("thresholds", torch.full((len(self.tasks),), 0.5))
        self._rules: dict[torch.device, TaskRules] = {}
        self.keys = self._rules_on(torch.device("cpu")).keys

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """The decoded sensors that the rules read, [B, d] each."""
        return self.decoded(model, state)

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B]: 1 where the rule holds, else 0; a sigmoid of the distance to it with ``softness``."""
        past = self._progress(model, memory, state, task)
        if self.softness is None:
            return (past > 0).to(torch.float32)
        return torch.sigmoid(past / self.softness)

    def log_probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B], the logarithm of `probability`; with ``softness`` from the distance itself, which underflows nowhere."""
        if self.softness is None:
            return super().log_probability(model, memory, state, task)
        return F.logsigmoid(self._progress(model, memory, state, task) / self.softness)

    def _progress(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B]: how far past its threshold each rule is."""
        now = self.decoded(model, state)
        return self._rules_on(now[self.keys[0]].device).progress(memory, now, task)

    def decoded(self, model: WorldModel, state: State) -> dict[str, Tensor]:
        """Sensors [B, d] in simulator units, decoded by the model or by the probe.

        Raises:
            ValueError: the model cannot decode one of them, and there is no probe.
        """
        if self.probe is not None:
            out = self.probe(model.features(state))
            return {k: out[k] for k in self.keys}
        if missing := [k for k in self.keys if k not in model.spec.decodable]:
            raise ValueError(
                f"this {model.spec.family} model decodes {list(model.spec.decodable)}, not {', '.join(missing)}: train "
                "one that does, or give DecodedStateReward a StateProbe"
            )
        return model.decode(state, self.keys)

    def to_config(self) -> dict[str, Any]:
        """Suite, tasks and softness, and the probe's own config where there is one."""
        config: dict[str, Any] = {"suite": self.suite, "tasks": list(self.tasks), "softness": self.softness}
        if self.probe is not None:
            config["probe"] = self.probe.to_config()  # type: ignore[operator]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DecodedStateReward:
        """Builds what `to_config` described; the probe's weights come with ``load_state_dict``."""
        probe = None
        if config.get("probe") is not None:
            from dreamgym.world_models.probe import StateProbe

            probe = StateProbe.from_config(config["probe"])
        told = {"suite": FIRST_SUITE, "softness": None, **config}
        kinds = {"suite": str, "tasks": tuple[str, ...], "softness": float | None}
        suite, tasks, softness = (convert(told[name], kind, name) for name, kind in kinds.items())
        return cls(suite, tasks, softness, probe)

    def _rules_on(self, device: torch.device) -> TaskRules:
        """The rules with their tensors on a device, made once for each."""
        if device not in self._rules:
            make = suite_by_name(self.suite).rules
            if make is None:
                raise ValueError(
                    f"the suite {self.suite!r} has no rules on decoded state: train a success classifier for it"
                )
            self._rules[device] = make(self.tasks, device)
        return self._rules[device]
