"""Experts on disk: config.json and expert.safetensors, written whole or not at all; never a pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dreamgym_agents.action_expert.config import ExpertConfig
from dreamgym_agents.action_expert.expert import ActionExpert
from dreamgym_agents.action_expert.policy import ClipExecutor
from dreamgym_agents.common.folders import building, read_folder, write_folder

POLICY = "action_expert"
WEIGHTS = "expert.safetensors"


def save(path: str | os.PathLike[str], expert: ActionExpert, metrics: Mapping[str, Any] | None = None) -> Path:
    """Writes an expert's folder; one that stood there before is replaced as a whole.

    Raises:
        ValueError: the path holds something else.
    """
    weights = {k: v.detach().cpu().clone().contiguous() for k, v in expert.state_dict().items()}
    about = {"policy": POLICY, "config": expert.config.to_dict(), "metrics": dict(metrics or {})}
    return write_folder(path, "expert", WEIGHTS, weights, about)


def load_expert(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> ActionExpert:
    """Loads an expert, in eval mode.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer.
    """
    config = read_folder(path, "expert", "save", [POLICY], lambda c: c.get("policy") == POLICY)
    with building(Path(path), WEIGHTS, "expert") as tensors:
        expert = ActionExpert(ExpertConfig.from_dict(config["config"]))
        expert.load_state_dict(tensors)
    return expert.to(device).eval().requires_grad_(False)


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> ClipExecutor:
    """Loads an expert as the executor of a twin: what ``dreamgym evaluate --executor FOLDER`` calls.

    Raises:
        CheckpointError: as in `load_expert`.
    """
    return ClipExecutor(load_expert(path, device))
