"""Policies on disk: a folder of JSON and safetensors, written whole or not at all. Never a pickle.

config.json            {format, library_version, policy, config, task, world_model, metrics, files: {name: sha256}}
policy.safetensors     weights, frozen and tuned
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dreamgym import __version__
from dreamgym.training.checkpoint import CheckpointError, file_sha256, replace_folder, verify_file
from dreamgym_agents.diffusion_ppo.config import DiffusionConfig, GaussianConfig
from dreamgym_agents.diffusion_ppo.diffusion import DiffusionPolicy
from dreamgym_agents.diffusion_ppo.gaussian import GaussianPolicy
from dreamgym_agents.diffusion_ppo.policy import ChunkPolicy

FORMAT = 1
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
) -> Path:
    """Writes a policy's folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        policy: any of `KINDS`.
        task: what it was made for.
        world_model: name of the checkpoint whose features it reads.
        metrics: JSON-ready: where in its run it stood, and what was measured.

    Returns:
        The folder.

    Raises:
        ValueError: the path holds something else.
    """
    final = Path(path)
    if final.exists() and any(final.iterdir()) and not (final / WEIGHTS).exists():
        raise ValueError(f"{final} exists and is no policy's folder: choose another path")
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        weights = {k: v.detach().cpu().contiguous() for k, v in policy.state_dict().items()}
        save_file(weights, temporary / WEIGHTS)
        config = {
            "format": FORMAT,
            "library_version": __version__,
            "policy": policy.kind,
            "config": policy.config.to_dict(),
            "task": task,
            "world_model": world_model,
            "metrics": dict(metrics or {}),
            "files": {WEIGHTS: file_sha256(temporary / WEIGHTS)},
        }
        (temporary / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def read_policy_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """``config.json`` of a policy's folder, verified against its files.

    Raises:
        CheckpointError: no such folder, or it is damaged, foreign or newer; the message names the file and the mend.
    """
    file = Path(path) / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{path} is no policy: it has no config.json; give the folder that `save_policy` wrote")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged ({error}): copy or make the policy again") from error
    if not isinstance(config, dict) or config.get("policy") not in KINDS:
        known = sorted(KINDS)
        raise CheckpointError(f"{file} describes no policy of {known}: give a folder that `save_policy` wrote")
    if config["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {config['format']}, written by dreamgym {config.get('library_version')}; this is "
            f"dreamgym {__version__}, which reads up to format {FORMAT}: pip install -U dreamgym"
        )
    for name, expected in config["files"].items():
        verify_file(file.parent / name, expected)
    return config


def load_policy(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> ChunkPolicy:
    """Loads a policy, ready to act; its weights need no gradients.

    Raises:
        CheckpointError: see `read_policy_config`; also weights of another policy.
    """
    folder = Path(path)
    config = read_policy_config(folder)
    kind, sizes = KINDS[config["policy"]]
    try:
        policy = kind(sizes(**config["config"]))
        policy.load_state_dict(load_file(folder / WEIGHTS))
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: weights and config do not fit ({error}): make the policy again") from error
    return policy.to(device).eval().requires_grad_(False)
