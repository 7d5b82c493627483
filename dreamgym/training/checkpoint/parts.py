"""Whether the parts of a checkpoint fit each other: asked when it is saved, and again when it is loaded.

Shapes are not compared by rule but tried: one blank frame goes through the model, every reward and the probe, so that
what does not fit is told here and not in the middle of a rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dreamgym.rewards.base import RewardModel
from dreamgym.suites import suite, suites
from dreamgym.types import SPLITS, State
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.history import blank_state

ANY = ("any",)  # the one task of data without tasks


def check_tasks(tasks: Any, simulator: Mapping[str, Any] | None, what: str) -> None:
    """ValueError unless ``tasks`` are distinct names, of the suite where it is known here."""
    if not isinstance(tasks, (list, tuple)) or not all(isinstance(t, str) and t for t in tasks):
        raise ValueError(f"{what} are a list of names, got {tasks!r:.80}")
    if twice := [task for task, count in Counter(tasks).items() if count > 1]:
        raise ValueError(f"{what} name {twice[0]!r} twice")
    if simulator is not None and simulator["id"] in suites():
        known = (*suite(simulator["id"]).tasks, *ANY)
        if strangers := [task for task in tasks if task not in known]:
            raise ValueError(f"{what} name {strangers[0]!r}, which is no task of {simulator['id']!r}")


def check_layouts(vectors: Mapping[str, Any], simulator: Mapping[str, Any] | None) -> None:
    """ValueError where a probe reads a sensor otherwise than the suite, where it is known here, says that it lies."""
    if simulator is None or simulator["id"] not in suites():
        return
    known = suite(simulator["id"]).layouts
    for name, layout in vectors.items():
        said = [list(segment) for segment in known.get(name, layout)]
        if said != [list(segment) for segment in layout]:
            raise ValueError(f"it reads {name!r} as {layout}, which in {simulator['id']!r} lies as {said}")


def check_starts(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Refuses tensors that are no start bank.

    Args:
        tensors: "state/<key>", "task" and "split", one row a start, and perhaps "snapshot".
        told: what config.json says of them: "tasks", and perhaps "counts" by task and split.

    Raises:
        ValueError: they are of another form, not finite, or not those of which ``told`` tells.
    """
    missing = [k for k in ("task", "split") if k not in tensors]
    if missing or not any(k.startswith("state/") for k in tensors):
        raise ValueError(f"starts: expected 'state/<key>', 'task' and 'split', got {sorted(tensors)}")
    strangers = [k for k in tensors if not k.startswith("state/") and k not in ("task", "split", "snapshot")]
    if strangers:
        raise ValueError(f"starts: {strangers[0]!r} is no part of a start bank")
    sizes = {k: len(v) if v.dim() else 0 for k, v in tensors.items()}
    if len(set(sizes.values())) != 1 or not min(sizes.values()):
        raise ValueError(f"starts: every tensor has one row a start, got {sizes}")
    for key, value in tensors.items():
        if value.dtype in (torch.bfloat16, torch.complex64, torch.complex128):
            raise ValueError(f"starts: {key!r} is {_shown(value)}: expected whole numbers, float16, 32 or 64")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"starts: {key!r} is not finite")
    if "snapshot" in tensors and (tensors["snapshot"].dim() != 2 or tensors["snapshot"].dtype != torch.float64):
        raise ValueError(f"starts: 'snapshot' is [N, S] float64, got {_shown(tensors['snapshot'])}")
    for key, low, high in (("task", -1, len(told["tasks"])), ("split", 0, len(SPLITS))):
        value = tensors[key]
        whole = value.dtype in (torch.int64, torch.int32) and value.dim() == 1
        if not whole or value.min() < low or value.max() >= high:
            raise ValueError(f"starts: {key!r} is [N] int64 in {low}..{high - 1}, got {_shown(value)}")
    _check_counts(tensors, told)


def count_starts(tensors: Mapping[str, Tensor], tasks: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """How many starts there are, by task and split; those of any task are left out."""
    pairs = Counter(zip(tensors["task"].tolist(), tensors["split"].tolist(), strict=True))
    return {task: {name: pairs[i, j] for j, name in enumerate(SPLITS) if pairs[i, j]} for i, task in enumerate(tasks)}


def _check_counts(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """The counts in config.json are a second record of tasks and splits: where one was changed, they disagree."""
    counts = told.get("counts")
    if counts is None:
        return
    if not isinstance(counts, Mapping) or not all(isinstance(entry, Mapping) for entry in counts.values()):
        raise ValueError(f"starts: 'counts' are numbers by task and split, got {counts!r:.80}")
    if not told["tasks"] and list(counts) == ["any"]:
        return  # starts of data without tasks: every row suits any
    if list(counts) != list(told["tasks"]):
        raise ValueError(f"starts: 'counts' has the tasks {list(counts)}, 'tasks' {list(told['tasks'])}")
    found = count_starts(tensors, tuple(told["tasks"]))
    for task, entry in counts.items():
        if found[task] != {k: v for k, v in entry.items() if v}:
            raise ValueError(f"starts: 'counts' says {entry} of task {task!r}, the tensors hold {found[task]}")


@torch.no_grad()
def try_parts(
    model: WorldModel,
    rewards: Mapping[str, RewardModel],
    starts: Mapping[str, Tensor] | None,
    probe: nn.Module | None,
) -> None:
    """One blank frame through everything.

    Raises:
        ValueError: something gives another shape than it says, or start states are not the model's.
        Exception: whatever the parts raise where they do not fit.
    """
    state = blank_state(model, next((p.device for p in model.parameters()), torch.device("cpu")))
    features = model.features(state)
    if features.shape != (1, *model.spec.feature_shape):
        raise ValueError(f"features have shape {tuple(features.shape)}, the spec says {model.spec.feature_shape}")
    task = torch.zeros(1, dtype=torch.int64, device=features.device)
    for name, reward in rewards.items():
        probability = reward.probability(model, reward.start(model, state, task), state, task)
        if probability.shape != (1,):
            raise ValueError(f"reward {name!r} gives {tuple(probability.shape)} for one env")
        thresholds = reward.thresholds
        if thresholds.shape != (len(reward.tasks),) or not torch.isfinite(thresholds).all():
            raise ValueError(f"reward {name!r} has thresholds {thresholds.tolist()} of its {len(reward.tasks)} tasks")
    if probe is not None:
        probe(features)
    if starts is not None:
        _check_states({k.removeprefix("state/"): v for k, v in starts.items() if k.startswith("state/")}, state)


def _check_states(held: State, state: State) -> None:
    if held.keys() != state.keys():
        raise ValueError(f"starts: they hold states of {sorted(held)}, the model's have {sorted(state)}")
    for key, value in state.items():
        same = held[key].shape[1:] == value.shape[1:]
        if not same or held[key].is_floating_point() != value.is_floating_point():
            raise ValueError(f"starts: 'state/{key}' is {_shown(held[key])}, the model's states are {_shown(value)}")


def _shown(value: Tensor) -> str:
    return f"{list(value.shape)} {str(value.dtype).removeprefix('torch.')}"
