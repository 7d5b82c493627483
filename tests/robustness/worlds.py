"""A small whole checkpoint of every family: of each recipe's example, of each toy, and of shipped dreams."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch

import dreamgym.testing as toys
from dreamgym.envs.core.starts import StartBank
from dreamgym.rewards.success import SuccessClassifier, SuccessConfig
from dreamgym.suites.facts import store_facts
from dreamgym.training.checkpoint import load, save
from dreamgym.types import InstructionSpec, WorldModelSpec
from dreamgym.world_models.probe import StateProbe
from dreamgym.world_models.registry import build, family_names, recipe

TASKS = ("push", "pull")
STARTS = 12

TOYS: dict[str, Callable[[Path], Path]] = {
    "toy point_mass": toys.point_mass_checkpoint,
    "toy joint_point": toys.joint_point_checkpoint,
    "toy two_robots": toys.two_robots_checkpoint,
    "toy instructed_point": toys.instructed_point_checkpoint,
}
SHIPPED = ("pusht", "robosuite")


def worlds() -> tuple[str, ...]:
    """Names of all of them."""
    return (*TOYS, *(f"family {name}" for name in _trainable()), *(f"shipped {name}" for name in SHIPPED))


def make_world(name: str, folder: Path) -> Path:
    """Writes one as a checkpoint."""
    kind, _, own = name.partition(" ")
    if kind == "toy":
        return TOYS[name](folder)
    return _of_family(own, folder) if kind == "family" else _small_copy(own, folder)


def _trainable() -> list[str]:
    out = []
    for name in family_names():
        try:
            made = recipe(name)
        except ValueError:  # a toy without one
            continue
        if not type(made).__module__.startswith("dreamgym.testing"):  # toys have their own checkpoints
            out.append(name)
    return out


@torch.no_grad()
def _of_family(name: str, folder: Path) -> Path:
    """A model of a recipe's example with drawn weights, so that none of its parts stands idle as untrained ones do that
    begin at zero; with a classifier, starts and a probe.
    """
    torch.manual_seed(0)
    made = recipe(name)
    example = made.example()
    facts = store_facts(example.write(folder.parent / f"{folder.name}_store"))
    model = build(name, made.config(facts, "tiny", example.changes).to_dict()).eval()
    spec, draws = model.spec, torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=draws))
    told = [spec.instructions[0]] * STARTS if spec.instructions else None
    bank = StartBank(
        model.start(drawn_history(spec, STARTS, draws), draws, told),
        TASKS,
        torch.arange(STARTS) % 2,
        torch.arange(STARTS) // 2 % 3,
    )
    width = math.prod(spec.feature_shape)
    sizes = SuccessConfig(TASKS, width, embedding=(16, 8), head=(8,), compare_start=True)
    probe = StateProbe(width, {"pose": (("linear", 2), ("euler", 3), ("binary", 1))}, units=8)
    model.spec = spec.with_uncertainty_limit(0.5)
    flat = len(spec.feature_shape) == 1 and not isinstance(spec.action, InstructionSpec)
    return save(folder, model, SuccessClassifier(sizes), bank, probe=probe if flat else None)


def drawn_history(spec: WorldModelSpec, count: int, draws: torch.Generator) -> dict[str, torch.Tensor]:
    """Real frames of noise, as many as the model reads, [count, h, ...] each, and the holding actions between them."""
    history = {
        key: (255 * torch.rand(count, spec.history, *sensor.shape, generator=draws)).byte()
        if sensor.kind == "image"
        else torch.randn(count, spec.history, *sensor.shape, generator=draws)
        for key, sensor in spec.observations.items()
    }
    hold = torch.tensor(spec.control.hold)
    history["action"] = hold.expand(count, (spec.history - 1) * spec.actions_per_frame, -1)
    return history


def _small_copy(name: str, folder: Path) -> Path:
    """A dream that comes with dreamgym, with few starts."""
    opened = load(name)
    starts = opened.starts or {}
    kinds = [(task, split) for task in range(len(opened.starts_meta["tasks"])) for split in (0, 1)]
    each = [((starts["task"] == task) & (starts["split"] == split)).nonzero().flatten()[:3] for task, split in kinds]
    rows = torch.cat(each)
    few = {key: value[rows] for key, value in starts.items()}
    told = {key: value for key, value in opened.starts_meta.items() if key != "counts"}
    return save(
        folder, opened.model, opened.rewards, few, probe=opened.probe, simulator=opened.simulator,
        metrics=opened.metrics, starts_meta=told, dtype=opened.dtype,
    )  # fmt: skip
