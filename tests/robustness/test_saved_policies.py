"""Policies of every agent on disk, each field of their config.json changed: a CheckpointError, or it opens."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mutations import other_value, paths
from point_policies import make_policy
from safetensors.torch import load_file, save_file

pytest.importorskip("accelerate")
pytest.importorskip("diffusers")

from dreamgym_agents import action_expert, diffusion_ppo, refinement
from dreamgym_agents.action_expert import ActionExpert, ExpertConfig
from dreamgym_agents.refinement import GuidedConfig, GuidedPolicy

from dreamgym.training.checkpoint import CheckpointError, file_sha256
from dreamgym.types import ActionSpec

ACTION = ActionSpec((-1.0, -1.0), (1.0, 1.0))


def write_diffusion(folder: Path) -> Path:
    return diffusion_ppo.save_policy(folder, make_policy("diffusion"), task="reach_right", world_model="point")


def write_gaussian(folder: Path) -> Path:
    return diffusion_ppo.save_policy(folder, make_policy("gaussian"), task="reach_right", world_model="point")


def write_guided(folder: Path) -> Path:
    sizes = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "chunk": 3, "history": 2}
    config = GuidedConfig(feature_dim=3, action=ACTION, tasks=("reach_right",), instruction_dim=1, **sizes)
    return refinement.save(folder, GuidedPolicy(config))


def write_expert(folder: Path) -> Path:
    sizes = {"chunk": 2, "depth": 2, "embed": 8, "hidden": (8, 8), "diffusion_steps": 5, "sampling_steps": 2}
    return action_expert.save(folder, ActionExpert(ExpertConfig("rgb", (3, 16, 16), ACTION, **sizes)))


SAVED: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    "diffusion": (write_diffusion, diffusion_ppo.load_policy),
    "gaussian": (write_gaussian, diffusion_ppo.load_policy),
    "guided": (write_guided, refinement.load),
    "expert": (write_expert, action_expert.load_expert),
}


def changed(config: dict[str, Any], where: tuple[str | int, ...], rng: random.Random) -> dict[str, Any]:
    config = copy.deepcopy(config)
    at: Any = config
    for key in where[:-1]:
        at = at[key]
    if rng.random() < 0.2 and isinstance(at, dict):
        del at[where[-1]]
    else:
        at[where[-1]] = other_value(at[where[-1]], rng)
    return config


@pytest.mark.parametrize("each", [1, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SAVED)
def test_fields_of_any_value_are_refused_or_open(
    name: str, each: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    write, load = SAVED[name]
    folder, rng, refused = write(tmp_path / "policy"), random.Random(name), 0
    load(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    fields = [path for path in paths(config) if path and path[0] not in ("metrics", "library_version")]
    for where in each * fields:
        file.write_text(json.dumps(changed(config, where, rng)))
        try:
            load(folder)
        except CheckpointError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{where}: {error!r}")
    record_property("tries", each * len(fields))
    record_property("refused", refused)
    assert refused > each * len(fields) / 3


@pytest.mark.parametrize("name", SAVED)
def test_weights_that_are_not_finite_or_not_signed_are_refused(name: str, tmp_path: Path) -> None:
    write, load = SAVED[name]
    folder = write(tmp_path / "policy")
    file, weights = folder / "config.json", next(folder.glob("*.safetensors"))
    config, tensors = json.loads(file.read_text()), load_file(weights)
    first = next(key for key, value in tensors.items() if value.is_floating_point())
    save_file({**tensors, first: torch.full_like(tensors[first], torch.nan)}, weights)
    file.write_text(json.dumps({**config, "files": {weights.name: file_sha256(weights)}}))
    with pytest.raises(CheckpointError, match="is not finite"):
        load(folder)
    shutil.rmtree(folder)
    write(folder)
    file.write_text(json.dumps({**config, "files": {}}))
    with pytest.raises(CheckpointError, match="has no sha256 of"):
        load(folder)
