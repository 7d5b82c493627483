"""Policies on disk: a folder of JSON and safetensors, written whole or not at all. Never a pickle.

config.json            {format, library_version, policy, config, task, world_model, metrics, files: {name: sha256}}
policy.safetensors     weights, frozen and tuned; a shipped policy's in half precision
README.md              a shipped policy's card
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dreamgym.fields import from_json
from dreamgym_agents.common.folders import building, read_folder, write_folder
from dreamgym_agents.diffusion_ppo.config import DiffusionConfig, GaussianConfig
from dreamgym_agents.diffusion_ppo.diffusion import DiffusionPolicy
from dreamgym_agents.diffusion_ppo.gaussian import GaussianPolicy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy

WEIGHTS = "policy.safetensors"
KINDS: dict[str, tuple[type[ChunkPolicy], type]] = {
    DiffusionPolicy.kind: (DiffusionPolicy, DiffusionConfig),
    GaussianPolicy.kind: (GaussianPolicy, GaussianConfig),
}


def save_policy(
    path: str | os.PathLike[str],
    policy: ChunkPolicy,
    *,
    task: str | None = None,
    world_model: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    card: str | None = None,
) -> Path:
    """Writes a policy's folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        policy: any of `KINDS`.
        task: what it was made for.
        world_model: name of the checkpoint whose features it reads.
        metrics: JSON-ready: where in its run it stood, and what was measured.
        dtype: of the weights in the file; None: as they are. They are float32 again once loaded.
        card: text of a README.md.

    Returns:
        The folder.

    Raises:
        ValueError: the path holds something else.
    """
    weights = {k: v.detach().cpu().to(dtype or v.dtype).contiguous() for k, v in policy.state_dict().items()}
    about = {
        "policy": policy.kind,
        "config": policy.config.to_dict(),
        "task": task,
        "world_model": world_model,
        "metrics": dict(metrics or {}),
    }
    return write_folder(path, "policy", WEIGHTS, weights, about, card)


def read_policy_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """``config.json`` of a policy's folder, verified against its files.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer; the message names the file and the mend.
    """
    return read_folder(path, "policy", "save_policy", sorted(KINDS), lambda config: config.get("policy") in list(KINDS))


def load_policy(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> ChunkPolicy:
    """Loads a policy, ready to act; its weights need no gradients.

    Raises:
        CheckpointError: see `read_policy_config`; also weights of another policy.
    """
    folder = Path(path)
    config = read_policy_config(folder)
    kind, sizes = KINDS[config["policy"]]
    with building(folder, WEIGHTS, "policy") as tensors:
        policy = kind(from_json(sizes, config["config"]))
        policy.load_state_dict(tensors)
    return policy.to(device).eval().requires_grad_(False)
