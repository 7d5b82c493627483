"""Guided policies on disk: a folder of JSON and safetensors, written whole or not at all. Never a pickle.

config.json            {format, library_version, policy: "refinement", config, task, times, world_model, metrics, files}
policy.safetensors     weights, statistics and the tasks' vectors
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dreamgym_agents.common.folders import building, read_folder, write_folder
from dreamgym_agents.refinement.config import GuidedConfig
from dreamgym_agents.refinement.policy import GuidedPolicy
from dreamgym_agents.refinement.refine import Refined, check_times, refine

POLICY = "refinement"
WEIGHTS = "policy.safetensors"


def save(
    path: str | os.PathLike[str],
    policy: GuidedPolicy,
    *,
    times: int = 2,
    world_model: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a policy's folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        policy: trained.
        times: refinements, where whoever loads it says nothing.
        world_model: name or folder of the checkpoint whose features it reads.
        metrics: JSON-ready.

    Raises:
        ValueError: the path holds something else.
    """
    weights = {k: v.detach().cpu().contiguous() for k, v in policy.state_dict().items()}
    about = {
        "policy": POLICY,
        "config": policy.config.to_dict(),
        "task": policy.config.tasks[policy.task],
        "times": times,
        "world_model": world_model,
        "metrics": dict(metrics or {}),
    }
    return write_folder(path, "policy", WEIGHTS, weights, about)


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu", times: int | None = None) -> Refined:
    """Loads a policy that refines itself: what `dreamgym evaluate FOLDER` calls.

    Args:
        path: the folder.
        device: where to.
        times: refinements; None: as it was saved.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer.
    """
    folder = Path(path)
    config = read_folder(path, "policy", "save", [POLICY], lambda config: config.get("policy") == POLICY)
    with building(folder, WEIGHTS, "policy") as tensors:
        policy = GuidedPolicy(GuidedConfig.from_dict(config["config"]), config["task"])
        policy.load_state_dict(tensors)
        refinements = check_times(config["times"] if times is None else times)
    made = policy.to(device).eval().requires_grad_(False)
    return refine(made, times=refinements)
