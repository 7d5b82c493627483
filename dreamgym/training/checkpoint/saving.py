"""Writes a checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, runtime_checkable

import torch
from torch import Tensor, nn

from dreamgym.places import check_place, save_tensors
from dreamgym.rewards.base import RewardModel
from dreamgym.training.checkpoint.config import CARD, FORMAT, digest
from dreamgym.training.checkpoint.folders import file_sha256, recover, replace_folder
from dreamgym.training.checkpoint.parts import check_starts, check_tasks, count_starts, try_parts
from dreamgym.training.frozen import identities, own_tensors
from dreamgym.training.packing import pack_bits, pack_weight
from dreamgym.version import __version__
from dreamgym.world_models import registry
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.probe import StateProbe

OWN_FILES = ("model", "rewards", "probe", "starts")


@runtime_checkable
class Starts(Protocol):
    """What `save` takes of a `dreamgym.StartBank`."""

    tasks: tuple[str, ...]

    def to_tensors(self) -> dict[str, Tensor]:
        """Tensors by name: ``state/<key>``, ``task``, ``split`` and perhaps ``snapshot``."""
        ...


class SaveKwargs(TypedDict, total=False):
    """`SaveOptions` as keyword arguments of `save`, for type checkers and completion."""

    metrics: Mapping[str, Any] | None
    card: str
    starts_meta: Mapping[str, Any] | None
    attachments: Mapping[str, Mapping[str, Tensor]] | None
    dtype: torch.dtype | None


@dataclass(frozen=True)
class SaveOptions:
    """What `save` takes beside the parts of a dream.

    Attributes:
        metrics: JSON-ready.
        card: the model card, Markdown.
        starts_meta: JSON-ready, "tasks" among it unless the starts are a bank.
        attachments: further tensors by file name ("demo": written as demo.safetensors), under the same checksums.
        dtype: store parameters in this type; buffers keep theirs, and `load` gives float32. float16 halves the files;
            int8 quarters the world model's (see `packing`) and stores the rest as float16.
    """

    metrics: Mapping[str, Any] | None = None
    card: str = ""
    starts_meta: Mapping[str, Any] | None = None
    attachments: Mapping[str, Mapping[str, Tensor]] | None = None
    dtype: torch.dtype | None = None


def save(
    path: str | os.PathLike[str],
    model: WorldModel,
    rewards: RewardModel | Mapping[str, RewardModel] | None = None,
    starts: Starts | Mapping[str, Tensor] | None = None,
    *,
    probe: StateProbe | None = None,
    simulator: Mapping[str, Any] | None = None,
    **options: Unpack[SaveKwargs],
) -> Path:
    """Writes a checkpoint folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        model: any registered family, with a ``config`` that has ``to_dict``. Its frozen parts are left out.
        rewards: by name; one alone is called "success".
        starts: a `StartBank`, or its tensors; floats of "state/..." are stored as they come.
        probe: the state probe.
        simulator: {"id": env id of the real twin, "kwargs": {...}}.
        options: fields of `SaveOptions`: metrics, card, starts_meta, attachments, dtype.

    Returns:
        The folder.

    Raises:
        ValueError: an unregistered family, parameters that are not finite, starts without tasks or of several lengths,
            or a folder of something else at ``path``.
        TypeError: an argument of another kind, or something in it that JSON cannot hold.
    """
    more, final = SaveOptions(**options), check_target(path)
    recover(final)
    _check_model(model)
    by_name, (tensors, about_starts) = _rewards(rewards), _starts(starts, more.starts_meta or {})
    if about_starts is not None:
        check_tasks(about_starts["tasks"], simulator, "starts: tasks")
    try_parts(model, by_name, tensors, probe)
    _write(Contents(model, by_name, tensors, about_starts, probe, simulator, more), final)
    return final


def _write(contents: Contents, final: Path) -> None:
    """Writes beside the place, then puts the whole folder there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        for name, file in contents.files().items():
            save_tensors(file, temporary / f"{name}.safetensors")
        config = contents.config() | {"files": {f.name: file_sha256(f) for f in sorted(temporary.iterdir())}}
        config["digest"] = digest(json.loads(json.dumps(config)))
        card = contents.options.card or f"# {final.name}\n\nA dreamgym checkpoint.\n"
        (temporary / CARD).write_text(card, encoding="utf-8")
        (temporary / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds beside its card, checked; ``about_starts`` is what it says of its starts."""

    model: WorldModel
    rewards: Mapping[str, RewardModel]
    starts: Mapping[str, Tensor] | None
    about_starts: Mapping[str, Any] | None
    probe: StateProbe | None
    simulator: Mapping[str, Any] | None
    options: SaveOptions

    def config(self) -> dict[str, Any]:
        """config.json without the checksums."""
        model, probe, simulator, dtype = self.model, self.probe, self.simulator, self.options.dtype
        return {
            "format": FORMAT,
            "library_version": __version__,
            "family": model.spec.family,
            "config": model.config.to_dict(),
            "frozen": identities(model),
            "dtype": None if dtype is None else str(dtype).removeprefix("torch."),
            "spec": model.spec.to_dict(),
            "rewards": {
                name: {"kind": r.kind, "config": r.to_config(), "tasks": list(r.tasks)}
                for name, r in self.rewards.items()
            },
            "starts": self.about_starts,
            "probe": probe.to_config() if probe is not None else None,
            "simulator": dict(simulator) if simulator is not None else None,
            "metrics": dict(self.options.metrics or {}),
        }

    def files(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each file, by its name without suffix.

        Raises:
            ValueError: an attachment has the name of another file.
        """
        attachments, stored = self.options.attachments or {}, self.options.dtype
        if taken := sorted(set(attachments) & set(OWN_FILES)):
            raise ValueError(f"attachments called {taken}: those files are the checkpoint's own; choose other names")
        files = {"model": _weights(self.model, stored)}
        dtype = torch.float16 if stored == torch.int8 else stored
        if self.rewards:
            weights = {name: _weights(reward, dtype) for name, reward in self.rewards.items()}
            files["rewards"] = {f"{name}/{k}": v for name, own in weights.items() for k, v in own.items()}
        if self.probe is not None:
            files["probe"] = _weights(self.probe, dtype)
        if self.starts is not None:
            files["starts"] = {}
            for key, value in self.starts.items():
                files["starts"] |= pack_bits(key, value.detach().cpu())
        for name, tensors in attachments.items():
            files[name] = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        return files


def check_target(path: str | os.PathLike[str]) -> Path:
    """The path, if a checkpoint can be written there; asked before the work whose result it is to hold.

    Raises:
        ValueError: a file stands there or on the way, or a folder of something else; or nothing can be written there.
    """
    final = check_place(path)
    if final.exists() and any(final.iterdir()) and not (final / "config.json").exists():
        raise ValueError(f"{final} exists and is no checkpoint folder: choose another path")
    return final


def _check_model(model: WorldModel) -> None:
    if not isinstance(model, WorldModel) or not callable(getattr(getattr(model, "config", None), "to_dict", None)):
        raise TypeError(f"model: expected a WorldModel whose config has to_dict(), got {type(model).__name__}")
    registry.family(model.spec.family)
    _check_finite(model, "model")


def _check_finite(module: nn.Module, what: str) -> None:
    for name, parameter in module.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"{what}: parameter {name!r} is not finite: train anew, with a lower rate")


def _rewards(rewards: RewardModel | Mapping[str, RewardModel] | None) -> dict[str, RewardModel]:
    rewards = {"success": rewards} if isinstance(rewards, RewardModel) else rewards
    if rewards is None:
        return {}
    if not isinstance(rewards, Mapping):
        raise TypeError(f"rewards: expected a RewardModel or a mapping of them by name, got {type(rewards).__name__}")
    for name, reward in rewards.items():
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"rewards: expected names without '/', got {name!r}")
        if not isinstance(reward, RewardModel):
            raise TypeError(f"rewards[{name!r}]: expected a RewardModel, got {type(reward).__name__}")
        _check_finite(reward, f"rewards[{name!r}]")
    return dict(rewards)


def _starts(
    starts: Starts | Mapping[str, Tensor] | None, meta: Mapping[str, Any]
) -> tuple[dict[str, Tensor] | None, dict[str, Any] | None]:
    """The tensors, and what config.json says of them."""
    if starts is None:
        return None, None
    told = dict(meta)
    if isinstance(starts, Mapping):
        tensors = dict(starts)
    elif isinstance(starts, Starts):
        tensors = starts.to_tensors()
        told.setdefault("tasks", list(starts.tasks))
    else:
        raise TypeError(f"starts: expected a StartBank or its tensors by name, got {type(starts).__name__}")
    if wrong := [k for k, v in tensors.items() if not isinstance(v, Tensor)]:
        raise TypeError(f"starts[{wrong[0]!r}]: expected a tensor, got {type(tensors[wrong[0]]).__name__}")
    if told.get("tasks") is None:  # none at all is an answer: starts of data without tasks suit every task
        raise ValueError("starts: their tasks are not named; give a StartBank, or starts_meta={'tasks': [...]}")
    if not isinstance(told["tasks"], (list, tuple)):
        raise TypeError(f"starts: their tasks are a list of names, got {told['tasks']!r}")
    check_starts(tensors, told)
    told.setdefault("counts", count_starts(tensors, tuple(told["tasks"])))
    return tensors, told


def _weights(module: nn.Module, dtype: torch.dtype | None) -> dict[str, Tensor]:
    parameters = {name for name, _ in module.named_parameters()}
    out: dict[str, Tensor] = {}
    for name, value in own_tensors(module).items():
        out |= pack_weight(name, value.detach().cpu(), dtype if name in parameters else None)
    return out
