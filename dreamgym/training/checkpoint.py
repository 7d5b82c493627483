"""Checkpoints: a folder of JSON and safetensors that becomes an environment. Never a pickle.

The layout stands in ``docs/architecture.md``. A folder is written under a temporary name and renamed into place, every
file's sha256 is in ``config.json``, and `load` answers anything wrong with one `CheckpointError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dreamgym.nn.layout import lay_out_by_input
from dreamgym.rewards.base import RewardModel
from dreamgym.training.packing import pack_bits, pack_weight, unpack
from dreamgym.types import WorldModelSpec
from dreamgym.version import __version__
from dreamgym.world_models import registry
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.probe import StateProbe

FORMAT = 2  # 1 had no packed tensors; it is read too
ModuleT = TypeVar("ModuleT", bound=nn.Module)
BUILT_IN = Path(__file__).resolve().parent.parent / "checkpoints"
HUB_PREFIX = "hf://"
OWN_FILES = ("model", "rewards", "probe", "starts")
DOWNLOADED = ["config.json", "README.md", "*.safetensors"]


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded: names the file and the mend."""


@dataclass
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: the world model, in eval mode.
        spec: its specification, with the calibrated uncertainty limit.
        rewards: reward models by name.
        starts: the start bank's tensors ("state/<key>", "task", "split", "snapshot"), or None.
        starts_meta: what ``config.json`` says of them ("tasks", ...).
        probe: features to simulator state, or None.
        simulator: {"id", "kwargs"} of the real twin, or None.
        metrics: measured fidelity, as in the card.
        dtype: what parameters were stored in; None: as they were.
        path: the folder it came from.
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
        files = sorted(self.path.glob("*.safetensors"))
        return {f.stem: _tensors(self.path, f.name) for f in files if f.stem not in OWN_FILES}


def save(
    path: str | os.PathLike[str],
    model: WorldModel,
    rewards: Mapping[str, RewardModel] | None = None,
    starts: Mapping[str, Tensor] | None = None,
    probe: StateProbe | None = None,
    simulator: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    card: str = "",
    *,
    starts_meta: Mapping[str, Any] | None = None,
    attachments: Mapping[str, Mapping[str, Tensor]] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Writes a checkpoint folder; one that stood there before is replaced as a whole.

    Args:
        path: the folder.
        model: any registered family, with a ``config`` that has ``to_dict``.
        rewards: by name.
        starts: the start bank's tensors; floats of "state/..." are stored as they come.
        probe: the state probe.
        simulator: {"id": env id of the real twin, "kwargs": {...}}.
        metrics: JSON-ready.
        card: the model card, Markdown.
        starts_meta: JSON-ready, "tasks" among it.
        attachments: further tensors by file name ("demo": written as demo.safetensors), under the same checksums.
        dtype: store parameters in this type; buffers keep theirs, and `load` gives float32. float16 halves the files;
            int8 quarters the world model's (see `packing`) and stores the rest as float16.

    Returns:
        The folder.

    Raises:
        ValueError: an unregistered family, or something in it that JSON cannot hold.
    """
    final = Path(path)
    if final.exists() and any(final.iterdir()) and not (final / "config.json").exists():
        raise ValueError(f"{final} exists and is no checkpoint folder: choose another path")
    registry.family(model.spec.family)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".tmp-{final.name}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        for name, tensors in _files(model, rewards or {}, starts, probe, attachments or {}, dtype).items():
            save_file(tensors, temporary / f"{name}.safetensors")
        (temporary / "README.md").write_text(card or f"# {final.name}\n\nA dreamgym checkpoint.\n", encoding="utf-8")
        config = {
            "format": FORMAT,
            "library_version": __version__,
            "family": model.spec.family,
            "config": model.config.to_dict(),
            "dtype": None if dtype is None else str(dtype).removeprefix("torch."),
            "spec": model.spec.to_dict(),
            "rewards": {name: {"kind": r.kind, "config": r.to_config()} for name, r in (rewards or {}).items()},
            "starts": dict(starts_meta or {}) if starts is not None else None,
            "probe": probe.to_config() if probe is not None else None,
            "simulator": dict(simulator) if simulator is not None else None,
            "metrics": dict(metrics or {}),
            "files": {f.name: file_sha256(f) for f in sorted(temporary.iterdir())},
        }
        config["digest"] = _digest(json.loads(json.dumps(config)))
        (temporary / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _files(
    model: WorldModel,
    rewards: Mapping[str, RewardModel],
    starts: Mapping[str, Tensor] | None,
    probe: StateProbe | None,
    attachments: Mapping[str, Mapping[str, Tensor]],
    dtype: torch.dtype | None,
) -> dict[str, dict[str, Tensor]]:
    """The tensors of each file of a checkpoint, by name without suffix."""
    files = {"model": _weights(model, dtype)}
    dtype = torch.float16 if dtype == torch.int8 else dtype
    if rewards:
        files["rewards"] = {f"{name}/{k}": v for name, r in rewards.items() for k, v in _weights(r, dtype).items()}
    if probe is not None:
        files["probe"] = _weights(probe, dtype)
    if starts is not None:
        files["starts"] = {}
        for key, value in starts.items():
            files["starts"] |= pack_bits(key, value.detach().cpu())
    taken = sorted(set(attachments) & set(OWN_FILES))
    if taken:
        raise ValueError(f"attachments called {taken}: those files are the checkpoint's own; choose other names")
    return files | {name: {k: v.detach().cpu().contiguous() for k, v in t.items()} for name, t in attachments.items()}


def load(name_or_path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Checkpoint:
    """Loads a checkpoint.

    Args:
        name_or_path: a built-in name ("playtable", ...), a folder, or "hf://organisation/name".
        device: where the model, the rewards, the probe and the start tensors go.

    Raises:
        CheckpointError: nothing of that name; a file missing, cut short or altered; written by a newer format; a family
            that is not registered here; weights of another model.
        ImportError: "hf://" without huggingface_hub.
    """
    path = resolve(name_or_path)
    config = read_config(path)
    try:
        model = registry.build(config["family"], config["config"])
        spec = WorldModelSpec.from_dict(config["spec"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path / 'config.json'}: {error}") from error
    if spec.family != config["family"] or spec.feature_shape != model.spec.feature_shape:
        raise CheckpointError(f"{path / 'config.json'}: the spec belongs to another model; save the checkpoint again")
    _load_weights(model, _tensors(path, "model.safetensors"), path / "model.safetensors")
    model.spec = spec
    checkpoint = Checkpoint(
        model=_ready(model, device), spec=spec, path=path, simulator=config["simulator"], metrics=config["metrics"]
    )
    checkpoint.dtype = getattr(torch, config.get("dtype") or "", None)
    if config["rewards"]:
        checkpoint.rewards = _load_rewards(path, config["rewards"], device)
    if config["starts"] is not None:
        checkpoint.starts_meta = config["starts"]
        checkpoint.starts = {k: v.to(device) for k, v in _tensors(path, "starts.safetensors").items()}
    if config["probe"] is not None:
        probe = StateProbe.from_config(config["probe"])
        _load_weights(probe, _tensors(path, "probe.safetensors"), path / "probe.safetensors")
        checkpoint.probe = _ready(probe, device)
    return checkpoint


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The local folder of a built-in name, a path, or a Hub repository (downloaded where it is not cached)."""
    text = os.fspath(name_or_path)
    if text.startswith(HUB_PREFIX):
        return _from_hub(text)
    built_in = BUILT_IN / text
    if text in built_in_names():
        return built_in
    path = Path(text)
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint {text!r}: built-in names are {built_in_names()}; "
            "else give a folder that `dreamgym.training.checkpoint.save` wrote, or hf://organisation/name"
        )
    return path


def built_in_names() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return sorted(p.parent.name for p in BUILT_IN.glob("*/config.json"))


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads and verifies ``config.json`` and the sha256 of every file it lists.

    Raises:
        CheckpointError: as in `load`.
    """
    folder = Path(path)
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no config.json; give the folder that `save` wrote")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise CheckpointError(f"{file} is damaged ({error}): copy or download the checkpoint again") from error
    if not isinstance(config, dict) or not isinstance(config.get("format"), int) or "family" not in config:
        raise CheckpointError(f"{file} is not a dreamgym checkpoint's config: give a folder that `save` wrote")
    if config["format"] > FORMAT:
        raise CheckpointError(
            f"{file} has format {config['format']}, written by dreamgym {config.get('library_version')}; this is "
            f"dreamgym {__version__}, which reads up to format {FORMAT}: pip install -U dreamgym"
        )
    if config.get("digest") != _digest({k: v for k, v in config.items() if k != "digest"}):
        raise CheckpointError(f"{file} was altered after it was written: copy or download the checkpoint again")
    for name, expected in config["files"].items():
        verify_file(folder / name, expected)
    return config


def verify_file(file: Path, expected: str) -> None:
    """`CheckpointError` unless ``file`` is there and has the sha256 ``expected``."""
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: copy or download the checkpoint again")
    if file_sha256(file) != expected:
        raise CheckpointError(
            f"{file} is damaged ({file.stat().st_size} bytes, its sha256 differs from config.json): "
            "copy or download the checkpoint again"
        )


def _tensors(folder: Path, name: str) -> dict[str, Tensor]:
    file = folder / name
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: copy or download the checkpoint again")
    try:
        return unpack(load_file(file))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file} is no readable safetensors file ({error}): save the checkpoint again") from error


def _load_weights(module: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        raise CheckpointError(
            f"{file} holds the weights of another model than config.json describes ({' '.join(first).strip()}): "
            "do not mix files of two checkpoints; save it again"
        ) from error


def _load_rewards(path: Path, entries: dict[str, Any], device: torch.device | str) -> dict[str, RewardModel]:
    from dreamgym.rewards.registry import build_reward

    tensors = _tensors(path, "rewards.safetensors")
    rewards = {}
    for name, entry in entries.items():
        try:
            reward = build_reward(entry["kind"], entry["config"])
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"{path / 'config.json'}: {error}") from error
        own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
        _load_weights(reward, own, path / "rewards.safetensors")
        rewards[name] = _ready(reward, device)
    return rewards


def _ready(module: ModuleT, device: torch.device | str) -> ModuleT:
    return lay_out_by_input(module.to(device).eval().requires_grad_(False))


def _weights(module: nn.Module, dtype: torch.dtype | None) -> dict[str, Tensor]:
    parameters = {name for name, _ in module.named_parameters()}
    out: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        out |= pack_weight(name, value.detach().cpu(), dtype if name in parameters else None)
    return out


def _from_hub(text: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ImportError('hf:// checkpoints need huggingface_hub: pip install "dreamgym[hub]"') from error
    repository, _, revision = text.removeprefix(HUB_PREFIX).partition("@")
    if repository.count("/") != 1:
        raise CheckpointError(f"{text!r}: expected hf://organisation/name, with @revision if need be")
    download: Callable[..., str] = snapshot_download
    try:
        return Path(download(repository, revision=revision or None, allow_patterns=DOWNLOADED))
    except (OSError, ValueError) as error:  # the Hub's errors (not found, offline and not cached) are OSErrors
        raise CheckpointError(
            f"{text!r} could not be fetched ({type(error).__name__}: {error}): check the name and the network; "
            "offline (HF_HUB_OFFLINE=1) only what was downloaded before can be loaded"
        ) from error


def replace_folder(temporary: Path, final: Path) -> None:
    """Renames into place; an older folder steps aside first, since a folder that is not empty cannot be overwritten."""
    if not final.exists():
        os.rename(temporary, final)
        return
    aside = final.parent / f".old-{final.name}-{uuid.uuid4().hex[:8]}"
    os.rename(final, aside)
    os.rename(temporary, final)
    shutil.rmtree(aside, ignore_errors=True)


def file_sha256(file: Path) -> str:
    """Its sha256 in hexadecimal."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _digest(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
