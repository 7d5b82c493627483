"""Agents on disk: a folder of JSON and safetensors, written whole or not at all. Never a pickle::

    config.json           {format, library_version, policy: "warpd", kind, config, task, horizon, obs_key, obs,
                           world_model, metrics, files: {name: sha256}}
    agent.safetensors     weights and scales; "features/mean" and "features/std" where the policy reads features

`load` stands in the entry-point group ``dreamgym.policies``, so ``dreamgym evaluate`` takes such a folder as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dreamgym_agents.common.folders import building, read_folder, write_folder
from dreamgym_agents.common.scale import Scale
from dreamgym_agents.warpd.agent import Agent
from dreamgym_agents.warpd.baselines import (
    DiffusionBaseline,
    LatentDiffusionPolicy,
    MLPPolicy,
    RelativeDiffusionBaseline,
)
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.policy import PlanningPolicy
from dreamgym_agents.warpd.warpd import WARPD

POLICY = "warpd"
WEIGHTS = "agent.safetensors"
FEATURES = "features/"
KINDS: dict[str, type[Agent]] = {
    a.kind: a for a in (WARPD, DiffusionBaseline, RelativeDiffusionBaseline, LatentDiffusionPolicy, MLPPolicy)
}


def save(
    path: str | os.PathLike[str],
    policy: PlanningPolicy,
    *,
    world_model: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a policy's folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        policy: a trained agent, and how it is asked: its task where nobody tells it one (`dreamgym evaluate` does), its
            horizon and what it reads. A policy that reads a dream's features needs their scale (``world_model.scaling``
            of an MLP world model has it: `Scale(scaling.mean, scaling.std)`).
        world_model: name of the checkpoint in whose dream `dreamgym evaluate` puts it by default.
        metrics: JSON-ready.

    Returns:
        The folder.

    Raises:
        ValueError: the path holds something else, or the policy has a task for each env and not one name.
    """
    if not isinstance(policy.task, str):
        raise ValueError(f"a policy is saved with the name of one task, got {policy.task!r}")
    agent, features = policy.agent, policy.obs_scale
    # Copies: the scales are one module that stands in two places, and safetensors refuses shared memory.
    weights = {k: v.detach().cpu().clone().contiguous() for k, v in agent.state_dict().items()}
    if features is not None:
        weights |= {f"{FEATURES}mean": features.mean.cpu().clone(), f"{FEATURES}std": features.std.cpu().clone()}
    about = {
        "policy": POLICY,
        "kind": agent.kind,
        "config": agent.config.to_dict(),
        "task": policy.task,
        "horizon": policy.horizon,
        "obs_key": policy.obs_key,
        "obs": policy.obs,
        "world_model": world_model,
        "metrics": dict(metrics or {}),
    }
    return write_folder(path, "agent", WEIGHTS, weights, about)


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """``config.json`` of an agent's folder, verified against its files.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer; the message names the file and the mend.
    """
    return read_folder(path, "agent", "save", sorted(KINDS), _is_ours)


def _is_ours(config: dict[str, Any]) -> bool:
    return config.get("policy") == POLICY and config.get("kind") in list(KINDS)


def load_agent(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Agent:
    """Loads an agent, in eval mode; its weights need no gradients.

    Raises:
        CheckpointError: see `read_config`; also weights of another agent.
    """
    folder, config = Path(path), read_config(path)
    with building(folder, WEIGHTS, "agent") as tensors:
        return _build(config, tensors, device)[0]


def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> PlanningPolicy:
    """Loads an agent as a policy: what `dreamgym evaluate FOLDER` calls.

    Raises:
        CheckpointError: as in `load_agent`; or the agent knows several tasks and was saved without one.
    """
    folder, config = Path(path), read_config(path)
    with building(folder, WEIGHTS, "agent") as tensors:
        agent, features = _build(config, tensors, device)
        # Folders of before "obs" was there were always shown features.
        obs = config.get("obs", "features")
        return PlanningPolicy(agent, config["task"], config["horizon"], config["obs_key"], features, obs)


def _build(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device | str
) -> tuple[Agent, Scale | None]:
    agent = KINDS[config["kind"]](WARPDConfig.from_dict(config["config"]))
    features = {k: v for k, v in tensors.items() if k.startswith(FEATURES)}
    agent.load_state_dict({k: v for k, v in tensors.items() if k not in features})
    scale = None
    if features:
        scale = Scale(features[f"{FEATURES}mean"].to(device), features[f"{FEATURES}std"].to(device))
    return agent.to(device).eval().requires_grad_(False), scale
