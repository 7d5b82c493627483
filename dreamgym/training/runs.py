"""What a run was begun with, in its ``run.json``: a later call goes on with exactly that, or is refused.

    family, preset, model     the family, its preset and the whole of its config
    store, data               the store's path; a digest of the training episodes that are used
    tasks, episodes           of these tasks ([]: all); how many episodes, those published first
    init                      the run or the checkpoint whose weights it began with
    steps                     updates that were last asked for, which may grow
    batch_size, length, openings, balance                                        see `Windows`
    lr, warmup, cooldown, weight_decay, eps, betas, grad_clip, ema, seed, precision   see `FitConfig`

Nothing is pinned before there is progress to go on from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dreamgym.data.shards import locked
from dreamgym.data.store import EpisodeView
from dreamgym.fields import convert, field_types, parse_json
from dreamgym.places import check_place, write_whole
from dreamgym.training.progress import latest
from dreamgym.world_models.recipe import FitConfig, Windows

WINDOWS = tuple(f.name for f in fields(Windows))
SHAPING = (
    "lr", "warmup", "cooldown", "weight_decay", "eps", "betas", "grad_clip", "ema", "seed", "precision",
)  # fmt: skip
"""Fields of `FitConfig` that shape the curve; the others (threads, steps, log_every, ...) are free at every call."""


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `FitConfig` and `Windows` in their own types.

    Raises:
        ValueError: another name, or a value of another type.
    """
    known = {**field_types(FitConfig), **field_types(Windows)}
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"no setting is called {unknown[0]!r}; there are {sorted(known)}")
    return {name: convert(value, known[name], name) for name, value in settings.items()}


def check_run_folder(run_dir: str | os.PathLike[str]) -> Path:
    """The folder, if a run can live there.

    Raises:
        ValueError: a file stands there, nothing can be written there, or it holds a checkpoint, a policy or a store.
    """
    folder = check_place(run_dir, replaced=False)
    if foreign := [*folder.glob("*.safetensors"), *folder.glob("shards")]:
        raise ValueError(
            f"{folder} holds something else than a run ({foreign[0].name}): give the run a folder of its own"
        )
    return folder


def read_run(run_dir: Path) -> dict[str, Any] | None:
    """What the run was begun with, or None where it has made no progress yet.

    Runs of older versions say less; what they leave out is not checked.

    Raises:
        ValueError: progress without a readable run.json and fit.json.
    """
    if latest(run_dir) is None:
        return None
    run, fitted = read_json(run_dir / "run.json"), read_json(run_dir / "fit.json")
    kinds = {"family": str, "model": dict, "episodes": int, "tasks": list}
    if wrong := [k for k, kind in kinds.items() if not isinstance(run.get(k, kind()), kind)]:
        raise ValueError(f"{run_dir / 'run.json'} is damaged: {wrong[0]!r} is {run[wrong[0]]!r:.100}")
    return {**{k: fitted[k] for k in ("steps", *SHAPING) if k in fitted}, **run}


def run_config(run_dir: Path, run: Mapping[str, Any]) -> FitConfig:
    """The settings that a run was last called with: of its ``fit.json``, and what ``run`` pins over them.

    Args:
        run_dir: the run.
        run: what `read_run` gave.
    """
    types = field_types(FitConfig)
    asked = read_json(run_dir / "fit.json")
    known = {k: convert(v, types[k], k) for k, v in {**asked, **run}.items() if k in types}
    return FitConfig(**known)


def write_run(run_dir: Path, run: Mapping[str, Any]) -> None:
    """Writes ``run.json`` as a whole."""
    write_json(run_dir / "run.json", run)


def write_json(file: Path, value: Any) -> None:
    """Writes a file of JSON as a whole: a kill, or a full disk, leaves the one of before."""
    write_whole(file, json.dumps(value, indent=1))


def read_json(file: Path) -> dict[str, Any]:
    """What `write_json` wrote of a mapping.

    Raises:
        ValueError: the file is missing or damaged; the message names it.
    """
    mend = "put it back, or use a new run directory"
    try:
        found: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read ({error}): {mend}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} is damaged (it holds a {type(found).__name__}): {mend}")
    return found


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a folder that one process at a time works in; the kernel frees it when that process ends, however it ends.

    Raises:
        ValueError: another process works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, exclusive=True, wait=False, name=".held"))
        except BlockingIOError:
            raise ValueError(
                f"another process is at work in {folder}: wait until it is done, or use another folder"
            ) from None
        yield


def check_run(run_dir: Path, begun: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuses to go on with other settings.

    Args:
        run_dir: the run.
        begun: what it was begun with.
        asked: what is asked for now: entries of `begun`, "model" with the changed fields alone.

    Raises:
        ValueError: names every entry that differs, then and now.
    """
    then, now = _flat(begun), _flat(asked)
    differ = [f"{k}={_told(then[k])}, not {_told(v)}" for k, v in now.items() if k in then and then[k] != v]
    if differ:
        raise ValueError(
            f"{run_dir} was begun with {'; '.join(differ)}: leave that away to go on, or use a new run directory"
        )


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a run as JSON has them, those of "model" on the same level."""
    plain: dict[str, Any] = json.loads(json.dumps(run, default=asdict))
    model = plain.pop("model", {})
    return {**plain, **{f"model.{k}": v for k, v in model.items()}}


def _told(value: Any) -> str:
    """A value as a message has it: of a long mapping its names."""
    shown = repr(value)
    return shown if len(shown) <= 100 or not isinstance(value, dict) else f"{{{', '.join(value)}}}"


def new_run(family: str, preset: str, windows: Windows, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a new run is begun with, without its model and data.

    Args:
        family, preset: names.
        windows: the preset's.
        settings: fields of `FitConfig`, and of `Windows` where they differ from the preset's.
    """
    own = {**asdict(windows), **{k: v for k, v in settings.items() if k in WINDOWS}}
    fit = FitConfig(**{k: v for k, v in settings.items() if k not in WINDOWS})
    shaping = {k: getattr(fit, k) for k in SHAPING}
    return {"family": family, "preset": preset, "steps": fit.steps, **asdict(Windows(**own)), **shaping}


def data_digest(episodes: EpisodeView) -> str:
    """Sixteen hexadecimal digits that tell one set of episodes from another: lengths and metas, in order."""
    told = json.dumps([episodes.lengths.tolist(), episodes.metas], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
