"""The decoded-state reward (DiWA's "Hybrid WM + Latent Decoder"): the task oracle on decoded scene state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.rewards.tasks import TaskTable, check_tasks
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel


class DecodedStateReward(RewardModel):
    """Success by the simulator's rules, read off the scene state that the model decodes.

    Memory is the scene state decoded at the start of the episode, [B, 24], since CALVIN's tasks are changes.

    Args:
        tasks: some of the eight tasks.
        softness: None for 0 or 1; else the width of a sigmoid around the rule's threshold, in metres for joints (a
            light's value counts as metres, so 0.02 is nearly hard for it).
        probe: a module features [B, Z] -> {"scene_obs": [B, 24], ...} or [B, 24], for models that cannot decode
            scene_obs themselves; None to call ``model.decode``.
    """

    kind: ClassVar[str] = "decoded"

    def __init__(self, tasks: Sequence[str], softness: float | None = None, probe: nn.Module | None = None) -> None:
        super().__init__()
        if softness is not None and softness <= 0:
            raise ValueError(f"softness must be positive, or None for a hard 0/1 reward, got {softness}")
        self.tasks = check_tasks(tasks)
        self.softness = softness
        self.probe = probe
        self.register_buffer("thresholds", torch.full((len(self.tasks),), 0.5))
        self._table: tuple[torch.device, TaskTable] | None = None

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        """The decoded scene_obs, [B, 24]."""
        return {"scene_obs": self.scene_obs(model, state)}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        """[B]: 1 where the rule holds, else 0; a sigmoid of the distance to it with ``softness``."""
        scene = self.scene_obs(model, state)
        past = self._rules(scene.device).progress(memory["scene_obs"], scene, task)
        if self.softness is None:
            return (past > 0).to(torch.float32)
        return torch.sigmoid(past / self.softness)

    def scene_obs(self, model: WorldModel, state: State) -> Tensor:
        """Scene state [B, 24] in simulator units, decoded by the model or by the probe."""
        if self.probe is not None:
            out = self.probe(model.features(state))
            return out["scene_obs"] if isinstance(out, dict) else out
        if "scene_obs" not in model.spec.decodable:
            raise ValueError(
                f"this {model.spec.family} model decodes {list(model.spec.decodable)}, not scene_obs: "
                "train a hybrid or state variant, or give DecodedStateReward a StateProbe"
            )
        return model.decode(state, ("scene_obs",))["scene_obs"]

    def to_config(self) -> dict[str, Any]:
        """Tasks and softness, and the probe's own config where there is one."""
        config: dict[str, Any] = {"tasks": list(self.tasks), "softness": self.softness}
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
        return cls(config["tasks"], config.get("softness"), probe)

    def _rules(self, device: torch.device) -> TaskTable:
        if self._table is None or self._table[0] != device:
            self._table = (device, TaskTable(self.tasks, device))
        return self._table[1]
