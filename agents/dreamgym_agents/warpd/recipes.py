"""From a store of demonstrations to a trained agent by name: what the command line and the experiments share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dreamgym import suites
from dreamgym.data import EpisodeStore
from dreamgym.suites.facts import FRAME_RATE, StoreFacts
from dreamgym.types import ActionSpec, ObservationSpec
from dreamgym.world_models import registry
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.warpd.agent import Agent
from dreamgym_agents.warpd.baselines import (
    DiffusionBaseline,
    LatentDiffusionPolicy,
    MLPPolicy,
    RelativeDiffusionBaseline,
)
from dreamgym_agents.warpd.config import WARPDConfig
from dreamgym_agents.warpd.dynamics import WorldModelDynamics, check_predictor
from dreamgym_agents.warpd.warpd import WARPD

PRESETS = ("paper", "tiny")
WORLD_MODEL_PRESETS = {"paper": "paper", "tiny": "tiny_single"}
"""Of the world model's recipe, by the agent's own preset."""
WITHOUT_WORLD_MODEL = "warpd_no_world_model"
BASELINES: dict[str, type[Agent]] = {
    a.kind: a for a in (DiffusionBaseline, RelativeDiffusionBaseline, LatentDiffusionPolicy, MLPPolicy)
}
METHODS = (WARPD.kind, WITHOUT_WORLD_MODEL, *BASELINES)
BLIND = (DiffusionBaseline.kind, LatentDiffusionPolicy.kind)  # their chunks are as recorded
CHUNKS = (*BLIND, RelativeDiffusionBaseline.kind)


def as_learned(demonstrations: Demonstrations, suite: str, method: str) -> Demonstrations:
    """The demonstrations as a method learns them: closed-loop policies count positions to go to from where they are.

    What acts on what it sees at every step has that as a skip connection; chunks, which are planned blindly, stay
    positions, as Chi et al. found best, but for those that are counted from where they begin.

    Args:
        demonstrations: of the sensor "state".
        suite: whose; where its actions are positions its hints say in which entries the robot's own lies.
        method: one of `METHODS`.

    Raises:
        ValueError: no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    hints = suites.suite(suite).hints.get("state", {}) if suite in suites.suites() else {}
    position: tuple[int, ...] = hints.get("position", ())
    return demonstrations if method in BLIND or not position else demonstrations.counted_from(position)


def cut(demonstrations: Demonstrations, config: WARPDConfig, method: str, whole: bool | None = None) -> Demonstrations:
    """The demonstrations so that snippets of ``config.length`` can be drawn of each.

    Told the task alone, a policy is of a whole trajectory, and a shorter one goes on with its last row; told the state,
    it is of what follows any row. ``whole`` says otherwise.
    """
    if whole is None:
        whole = config.condition == "task" and method not in CHUNKS
    return demonstrations.padded(config.length) if whole else demonstrations.trailed(config.length - 1)


def read_demonstrations(
    store: str | os.PathLike[str], tasks: Sequence[str] | None = None, obs: str = "state"
) -> Demonstrations:
    """The training demonstrations of a store, of some tasks or all.

    Args:
        store: an episode store.
        tasks: in the order of the condition.
        obs: name of the observation.

    Raises:
        ValueError: there are none, or none of one of the tasks; the message names the tasks that are there.
    """
    return Demonstrations.from_store(select_demonstrations(EpisodeStore.open(store), tasks), obs, tasks)


def configure(suite: str, preset: str, demonstrations: Demonstrations, **changes: Any) -> WARPDConfig:
    """The paper's settings for a suite, or its choices at sizes that two cores train.

    Args:
        suite: see `WARPDConfig.paper`.
        preset: "paper" or "tiny", which keeps the paper's length, horizon, condition and KL weight.
        demonstrations: for dimensions, tasks, and what actions are counted from.
        changes: fields of `WARPDConfig`, over either.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {PRESETS}, got {preset!r}")
    dims, tasks = (demonstrations.obs_dim, demonstrations.action_dim), demonstrations.tasks
    paper = WARPDConfig.paper(suite, *dims, tasks=tasks, **changes)
    if preset == "paper":
        return replace(paper, action_origin=demonstrations.origin)
    tiny = WARPDConfig.tiny(*dims, paper.length, tasks=tasks)
    tiny = replace(tiny, horizon=paper.horizon, condition=paper.condition)
    tiny = replace(tiny, vae=replace(tiny.vae, kl_weight=paper.vae.kl_weight))
    tiny = replace(tiny, action_origin=demonstrations.origin)
    return replace(tiny, **{k: v for k, v in changes.items() if k not in ("length", "horizon")})


def make_agent(
    method: str,
    config: WARPDConfig,
    demonstrations: Demonstrations,
    action: ActionSpec,
    preset: str = "tiny",
    finest: Tensor | None = None,
) -> Agent:
    """A new agent by name, seeded by ``config.train.seed`` as its world model is.

    Entries of the observation that never change are left out.

    Args:
        method: one of `METHODS`.
        config: its sizes.
        demonstrations: for the scales.
        action: bounds of the actions as they are learned (`bounds`), which the world model scales by.
        preset: size of the world model.
        finest: see `Agent.for_demonstrations`.

    Raises:
        ValueError: no such method.
    """
    scaled: dict[str, Any] = {"constant": "ignore", "finest": finest}
    if method == WARPD.kind:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.train.seed)
            world = make_dynamics(demonstrations.obs_dim, action, preset)
        return WARPD.for_demonstrations(config, demonstrations, dynamics=world, **scaled)
    if method == WITHOUT_WORLD_MODEL:
        return WARPD.for_demonstrations(config.without_world_model(), demonstrations, **scaled)
    if method not in BASELINES:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    return BASELINES[method].for_demonstrations(config, demonstrations, **scaled)


def make_dynamics(obs_dim: int, action: ActionSpec, preset: str = "tiny") -> WorldModelDynamics:
    """A new world model of one vector, of the family that is registered for such stores.

    Args:
        obs_dim: O.
        action: its bounds.
        preset: "paper" or "tiny".
    """
    facts = StoreFacts({"state": ObservationSpec("vector", (obs_dim,))}, action, FRAME_RATE)
    family = registry.suggest(facts)
    config = registry.recipe(family).config(facts, WORLD_MODEL_PRESETS[preset], {})
    return WorldModelDynamics(check_predictor(registry.build(family, json.loads(json.dumps(config.to_dict())))))


def bounds(demonstrations: Demonstrations) -> ActionSpec:
    """The bounds of the demonstrated actions; an entry that never changes gets a unit of room about it."""
    low, high = demonstrations.action.amin(0), demonstrations.action.amax(0)
    room = (low == high) * 0.5
    return ActionSpec(tuple((low - room).tolist()), tuple((high + room).tolist()))
