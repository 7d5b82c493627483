"""Opens a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamgym.nn.layout import lay_out_by_input
from dreamgym.rewards.base import RewardModel
from dreamgym.training.checkpoint.bounded import no_larger_than, no_tensor_above
from dreamgym.training.checkpoint.config import read_config
from dreamgym.training.checkpoint.folders import CheckpointError
from dreamgym.training.checkpoint.names import resolve
from dreamgym.training.checkpoint.parts import check_layouts, check_starts, check_tasks, try_parts
from dreamgym.training.checkpoint.saving import OWN_FILES
from dreamgym.training.frozen import check_identities, load_own, own_tensors
from dreamgym.training.packing import unpack
from dreamgym.types import WorldModelSpec
from dreamgym.world_models import registry
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.probe import StateProbe

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: the world model, in eval mode.
        spec: its specification, with the calibrated uncertainty limit.
        path: the folder it came from.
        rewards: reward models by name.
        starts: the start bank's tensors ("state/<key>", "task", "split", "snapshot"), or None.
        starts_meta: what ``config.json`` says of them ("tasks", ...).
        probe: features to simulator state, or None.
        simulator: {"id", "kwargs"} of the real twin, or None.
        metrics: measured fidelity, as in the card.
        dtype: what parameters were stored in; None: as they were.
    """

    model: WorldModel
    spec: WorldModelSpec
    path: Path
    rewards: dict[str, RewardModel] = field(default_factory=dict)
    starts: dict[str, Tensor] | None = None
    starts_meta: dict[str, Any] = field(default_factory=dict)
    probe: StateProbe | None = None
    simulator: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    dtype: torch.dtype | None = None

    def attachments(self) -> dict[str, dict[str, Tensor]]:
        """The further tensors that `save` was given, by file name."""
        files = [Path(name) for name in sorted(read_config(self.path)["files"])]
        further = [f for f in files if f.suffix == ".safetensors" and f.stem not in OWN_FILES]
        return {f.stem: _tensors(self.path, f.name) for f in further}


def load(name_or_path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Checkpoint:
    """Loads a checkpoint.

    Args:
        name_or_path: a built-in name ("playtable", ...), a folder, or "hf://organisation/name".
        device: where the model, the rewards, the probe and the start tensors go.

    Raises:
        CheckpointError: nothing of that name; a file missing, cut short or altered; written by a newer format; a family
            that is not registered here; weights of another model, or that are not finite.
        ImportError: "hf://" without huggingface_hub.
    """
    path = resolve(name_or_path)
    config = read_config(path)
    file = path / "config.json"
    tensors = _tensors(path, "model.safetensors")
    with _told(file, "config"), _bounded(tensors):
        model = registry.build(config["family"], config["config"])
    with _told(file, "spec"):
        spec = WorldModelSpec.from_dict(config["spec"])
    if replace(spec, uncertainty_limit=None) != replace(model.spec, uncertainty_limit=None):
        raise CheckpointError(f"{file}: the spec belongs to another model; save the checkpoint again")
    with _told(file, "frozen"):
        check_identities(model, config.get("frozen", {}))
    _load_weights(model, tensors, path / "model.safetensors", config)
    model.spec = spec = model.spec.with_uncertainty_limit(spec.uncertainty_limit)
    checkpoint = Checkpoint(
        model=_ready(model, device), spec=spec, path=path, simulator=config["simulator"], metrics=config["metrics"]
    )
    checkpoint.dtype = getattr(torch, config.get("dtype") or "", None)
    if config["rewards"]:
        checkpoint.rewards = _load_rewards(path, config, device)
    if config["starts"] is not None:
        starts = _tensors(path, "starts.safetensors")
        with _told(path / "starts.safetensors"):
            check_starts(starts, config["starts"])
        with _told(file, "starts"):
            check_tasks(config["starts"]["tasks"], config["simulator"], "tasks")
        checkpoint.starts_meta = config["starts"]
        checkpoint.starts = {k: v.to(device) for k, v in starts.items()}
    if config["probe"] is not None:
        tensors = _tensors(path, "probe.safetensors")
        with _told(file, "probe"), _bounded(tensors):
            probe = StateProbe.from_config(config["probe"])
            check_layouts(config["probe"]["vectors"], config["simulator"])
        _load_weights(probe, tensors, path / "probe.safetensors", config)
        checkpoint.probe = _ready(probe, device)
    largest = max(t.numel() for t in (*model.state_dict().values(), *(checkpoint.starts or {}).values()))
    with _told(file), no_tensor_above(4 * largest):
        try_parts(checkpoint.model, checkpoint.rewards, checkpoint.starts, checkpoint.probe)
    return checkpoint


@contextmanager
def _told(file: Path, field: str = "") -> Iterator[None]:
    """What building from a file's content raises, as a `CheckpointError` that names file and field."""
    try:
        yield
    except Exception as error:  # a family builds parts by other libraries, whose errors are of any class
        if isinstance(error, ImportError):
            raise
        where = f"{file}: {field!r}" if field else str(file)
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{where} does not fit ({said}): save the checkpoint again") from error


def _bounded(tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    return no_larger_than(sum(t.numel() for t in tensors.values()), len(tensors))


def _tensors(folder: Path, name: str) -> dict[str, Tensor]:
    file = folder / name
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: copy or download the checkpoint again")
    try:
        return unpack(load_file(file))
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{file} is no readable safetensors file ({error}): save the checkpoint again") from error


def _load_weights(module: nn.Module, tensors: dict[str, Tensor], file: Path, config: Mapping[str, Any]) -> None:
    parameters = {name for name, _ in module.named_parameters()}
    own = own_tensors(module)
    for name, value in tensors.items():
        if value.is_floating_point() and not _is_finite(value, own.get(name), name in parameters):
            raise CheckpointError(f"{file}: {name!r} is not finite: save the checkpoint again, from finite weights")
        if name in own and value.dtype not in _dtypes(own[name], name in parameters, config):
            raise CheckpointError(f"{file}: {name!r} is {value.dtype}, which the checkpoint's dtype does not allow")
    try:
        load_own(module, tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise CheckpointError(
            f"{file} holds the weights of another model than config.json describes ({' '.join(first).strip()}): "
            "do not mix files of two checkpoints; save it again"
        ) from error


def _is_finite(value: Tensor, built: Tensor | None, is_parameter: bool) -> bool:
    """Whether every number is finite; a bound that a buffer holds may be infinite where it is built so."""
    finite = torch.isfinite(value)
    if not is_parameter and built is not None and built.shape == value.shape:
        finite = finite | (value == built.to(value.device))
    return bool(finite.all())


def _dtypes(tensor: Tensor, is_parameter: bool, config: Mapping[str, Any]) -> set[torch.dtype]:
    """What a tensor of a module may have been stored in: buffers as they are, parameters in the checkpoint's type."""
    stored = config.get("dtype")
    if not is_parameter or stored is None:
        return {tensor.dtype}
    return {torch.float32, torch.float16} if stored == "int8" else {getattr(torch, stored), tensor.dtype}


def _load_rewards(path: Path, config: Mapping[str, Any], device: torch.device | str) -> dict[str, RewardModel]:
    from dreamgym.rewards.registry import build_reward

    tensors = _tensors(path, "rewards.safetensors")
    if strangers := [k for k in tensors if k.partition("/")[0] not in config["rewards"]]:
        raise CheckpointError(f"{path / 'rewards.safetensors'}: {strangers[0]!r} is of no reward in config.json")
    rewards = {}
    for name, entry in config["rewards"].items():
        own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
        with _told(path / "config.json", f"rewards.{name}"), _bounded(own):
            reward = build_reward(entry["kind"], entry["config"])
            check_tasks(reward.tasks, config["simulator"], "tasks")
            if entry.get("tasks", list(reward.tasks)) != list(reward.tasks):
                raise ValueError(f"its tasks are {entry['tasks']}, its config makes one of {list(reward.tasks)}")
        _load_weights(reward, own, path / "rewards.safetensors", config)
        rewards[name] = _ready(reward, device)
    return rewards


def _ready(module: ModuleT, device: torch.device | str) -> ModuleT:
    return lay_out_by_input(module.to(device).eval().requires_grad_(False))
