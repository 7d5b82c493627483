"""What a training run keeps on disk to go on after a kill: weights, optimizer, average; never a pickle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer

from dreamgym.fields import parse_json
from dreamgym.places import save_tensors
from dreamgym.training.ema import EMA
from dreamgym.training.frozen import check_identities, identities, load_own, own_tensors

FORMAT = 1
KEEP = 2


def save_progress(
    run_dir: Path, step: int, model: nn.Module, optimizer: Optimizer, ema: EMA | None, extra: dict[str, Any]
) -> Path:
    """Writes ``run_dir/progress/step_XXXXXXXX``, first under a temporary name, and drops all but the newest two.

    Args:
        run_dir: the run.
        step: updates done.
        model, optimizer, ema: what to save; of the model without its frozen parts.
        extra: JSON-ready, given back by `load_progress`.
    """
    root = run_dir / "progress"
    root.mkdir(parents=True, exist_ok=True)
    final = root / f"step_{step:08d}"
    temporary = root / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        _write(temporary, step, model, optimizer, ema, extra)
    except BaseException:  # a full disk must not stay full of what cannot be used
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():
        shutil.rmtree(final)
    os.rename(temporary, final)
    _sync(root)
    for old in _steps(root)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    for orphan in root.glob(".tmp-*"):
        shutil.rmtree(orphan, ignore_errors=True)
    return final


def _write(
    folder: Path, step: int, model: nn.Module, optimizer: Optimizer, ema: EMA | None, extra: dict[str, Any]
) -> None:
    save_tensors(_contiguous(own_tensors(model)), folder / "model.safetensors")
    save_tensors(_optimizer_tensors(optimizer), folder / "optimizer.safetensors")
    if ema is not None:
        save_tensors(_contiguous(ema.state_dict()), folder / "ema.safetensors")
    save_tensors({"torch": torch.get_rng_state()}, folder / "rng.safetensors")
    state = {"format": FORMAT, "step": step, "ema_updates": ema.updates if ema else None, "extra": extra}
    state["frozen"] = identities(model)
    (folder / "state.json").write_text(json.dumps(state))
    for file in folder.iterdir():
        _sync(file)


def latest(run_dir: Path) -> Path | None:
    """The newest complete progress folder of a run, or None."""
    steps = _steps(run_dir / "progress")
    return steps[-1] if steps else None


def load_progress(
    path: Path, model: nn.Module, optimizer: Optimizer | None = None, ema: EMA | None = None, rng: bool = False
) -> tuple[int, dict[str, Any]]:
    """Restores what `save_progress` wrote.

    Args:
        path: a progress folder.
        model, optimizer, ema: what to restore into; of a model alone only the weights are read.
        rng: also restore torch's global random state.

    Returns:
        The number of updates done, and ``extra``.

    Raises:
        ValueError: written by a newer version, or for another model; or damaged.
    """
    state = read_state(path)
    _load(path, model, _tensors(path / "model.safetensors"))
    with _damage_told(path):
        if optimizer is not None:
            _restore_optimizer(optimizer, _tensors(path / "optimizer.safetensors"))
        if ema is not None and (path / "ema.safetensors").exists():
            ema.load_state_dict(_tensors(path / "ema.safetensors"), state["ema_updates"])
        if rng:
            torch.set_rng_state(_tensors(path / "rng.safetensors")["torch"])
    return state["step"], state["extra"]


def read_state(path: Path) -> dict[str, Any]:
    """What a progress folder says of itself: "step", "extra", ...

    Raises:
        ValueError: written by a newer version, or damaged.
    """
    with _damage_told(path):
        state: dict[str, Any] = parse_json((path / "state.json").read_text(encoding="utf-8"))
        kinds = {"format": int, "step": int, "extra": dict}
        if wrong := [k for k, kind in kinds.items() if type(state[k]) is not kind]:
            raise TypeError(f"{wrong[0]!r} is {state[wrong[0]]!r:.100}")
        if state["step"] != int(path.name.removeprefix("step_")):
            raise ValueError(f"it says step {state['step']}")
    if state["format"] > FORMAT:
        raise ValueError(f"{path} was written by a newer dreamgym (format {state['format']} > {FORMAT}): upgrade")
    return state


def load_averaged(path: Path, model: nn.Module) -> None:
    """Loads a run's averaged weights into ``model``, or its last weights where it kept no average.

    Raises:
        ValueError: as `load_progress`.
    """
    _load(path, model, averaged_weights(path))


def _load(path: Path, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        check_identities(model, read_state(path).get("frozen", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    try:
        load_own(model, tensors)
    except RuntimeError as error:
        raise ValueError(
            f"{path} holds another model than this run's config builds: use a new run directory"
        ) from error


def load_matching(tensors: dict[str, Tensor], model: nn.Module, source: Path) -> list[str]:
    """Loads weights into ``model`` wherever name and shape agree; returns what was left as it was.

    Args:
        tensors: a run's averaged weights, or a checkpoint's.
        model: to be loaded.
        source: where they are from, for the message.

    Raises:
        ValueError: nothing agrees: weights of another family.
    """
    own = model.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and v.shape == own[k].shape}
    if not fitting:
        raise ValueError(f"{source} holds no weight of this model's names and shapes: give a run of the same family")
    model.load_state_dict(fitting, strict=False)
    return sorted(own.keys() - fitting.keys())


def averaged_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a folder of progress; averaged where an average is kept."""
    tensors = _tensors(path / "model.safetensors")
    if (path / "ema.safetensors").exists():
        tensors.update(_tensors(path / "ema.safetensors"))
    return tensors


def _tensors(file: Path) -> dict[str, Tensor]:
    with _damage_told(file.parent):
        return load_file(file)


@contextlib.contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What reading a damaged progress folder raises, as a ValueError with the mend."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        if str(error).startswith(str(path)):  # told already
            raise
        mend = "delete that folder, and the run goes on from what it saved before, if there is something"
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}): {mend}") from error


def _steps(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("step_*") if (p / "state.json").exists())


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts as flat tensors: "<parameter number>/<name>"."""
    state = optimizer.state_dict()["state"]
    return _contiguous({f"{i}/{k}": v for i, entry in state.items() for k, v in entry.items()})


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        parameter = parameters[int(number)]
        if value.shape != parameter.shape and value.dim():
            raise ValueError(f"{key!r} is {tuple(value.shape)}, its parameter {tuple(parameter.shape)}")
        if value.shape == parameter.shape:
            # The fused kernel pairs moments with weights by position in memory: keep the weight's own order.
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
