"""Trains a world model of any family on the episodes of a store, and opens what was trained."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.fields import check_names, convert, field_types
from dreamgym.suites.facts import StoreFacts, store_facts
from dreamgym.training import checkpoint
from dreamgym.training.fit import EvalFn, FitResult, fit
from dreamgym.training.fitting import check_fits
from dreamgym.training.frozen import own_tensors
from dreamgym.training.openloop import HORIZONS, open_loop_eval, rows_of
from dreamgym.training.processes import Processes
from dreamgym.training.progress import averaged_weights, latest, load_averaged, load_matching, read_state
from dreamgym.training.runs import (
    SHAPING,
    WINDOWS,
    check_run,
    check_run_folder,
    checked_settings,
    data_digest,
    held,
    new_run,
    read_run,
    run_config,
    write_run,
)
from dreamgym.training.stages import change, rebuild
from dreamgym.world_models import registry
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.contract import check_foreign
from dreamgym.world_models.instructions import following, told_of
from dreamgym.world_models.recipe import FitConfig, Recipe, Stage, Windows

_log = logging.getLogger(__name__)


def train(
    store_path: str | Path,
    run_dir: str | Path,
    family: str | None = None,
    preset: str | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    tasks: Sequence[str] = (),
    refresh_data: bool = False,
    init: str | Path | None = None,
    **settings: Any,
) -> FitResult:
    """Trains a world model on the training episodes of a store, or goes on with the run in ``run_dir``.

    What the run was begun with stands in ``run_dir/run.json`` (`dreamgym.training.runs`); what a later call leaves out
    is the run's own, and episodes appended to the store since then make no difference.

    Args:
        store_path: an `EpisodeStore`; its episodes are for training where their meta's split is "train" or absent.
        run_dir: the run.
        family: a registered family; by default what the store's sensors suggest.
        preset: "tiny" (the default), "paper" or another of the family's.
        changes: fields of the family's config.
        tasks: use the episodes of these tasks only; () for all.
        refresh_data: take in episodes appended since the run began (from here on the curve is another).
        init: another run, whose averaged weights this one begins with wherever name and shape agree, or a checkpoint
            by name or folder; the optimizer begins anew.
        settings: fields of `FitConfig` and `Windows`; ``steps`` are all updates, those before a resume included, by
            default the preset's.

    Raises:
        ValueError: an unknown family, preset, task or setting; a store without what the family reads; a family of the
            caller's own that does not keep the contract of world models; or a run that was begun with something else.
    """
    run_dir, store = check_run_folder(run_dir), EpisodeStore.open(store_path)
    steps = settings.pop("steps", None)
    settings, facts = checked_settings(settings), store_facts(store)
    pinned = {k: v for k, v in settings.items() if k in (*WINDOWS, *SHAPING)}
    free = {k: v for k, v in settings.items() if k not in pinned}
    FitConfig(**free)  # a value out of range is refused before anything is read
    asked = {"family": family, "preset": preset, "tasks": sorted(tasks), "init": _identity(init), **pinned}
    begun = read_run(run_dir)
    if begun is None:
        run = _new(store, facts, asked, changes or {})
    else:
        run = _resumed(run_dir, begun, store, asked, changes or {}, refresh_data)
    chosen = _of_tasks(store, run["tasks"])
    recipe, episodes = registry.recipe(run["family"]), training_episodes(chosen).first(run["episodes"])
    run["steps"] = run["steps"] if steps is None else steps
    config = FitConfig(**{**{k: _typed(k, run[k]) for k in SHAPING}, **free, "steps": run["steps"]})
    torch.manual_seed(config.seed)
    model = registry.build(run["family"], json.loads(json.dumps(run["model"])))
    keys = sorted({*recipe.keys(model.config), "action"})
    check_fits(model.spec, keys, store, facts)
    if begun is None:
        _first_weights(recipe, model, episodes, init)
        check_foreign(model)
    windows = Windows(**{k: run[k] for k in WINDOWS})
    stages = recipe.stages(model.config, config)
    _check_windows(stages, run, settings, model.spec.actions_per_frame + 1)
    source, read = recipe.source(model, episodes)
    samplers = {s.name: _sampler(source, windows, s, sorted({*read, "action"}), config.seed) for s in stages}
    processes = Processes.current()
    processes.wait()  # all have read what the run was begun with, before the first one writes it
    with held(run_dir) if processes.main else nullcontext():
        if processes.main:
            _log.info("family %s, %d episodes of %s", run["family"], len(episodes), store.path)
            write_run(run_dir, run)
        return fit(model, samplers, config, run_dir, evaluation(model, facts, chosen.select(split="val"), keys), stages)


def _check_windows(stages: Sequence[Stage], run: Mapping[str, Any], settings: Mapping[str, Any], least: int) -> None:
    """ValueError where windows of some stage hold fewer than ``least`` rows, those from one frame to the next, or where
    a setting has no effect, since every stage has its own.
    """
    shortest = min(stage.windows.get("length", run["length"]) for stage in stages)
    if shortest < least:
        raise ValueError(
            f"windows of {shortest} rows: this model needs at least {least}, those from a frame to the next"
        )
    for name in WINDOWS:
        own = {stage.windows.get(name, run[name]) for stage in stages}
        if name in settings and run[name] not in own:
            raise ValueError(f"{name} is the family's own here, {sorted(own)}: leave it away, or change the config")


def family_for(store_path: str | Path, run_dir: str | Path) -> str:
    """The family of the run in ``run_dir``, or of a new one: what the store's sensors suggest.

    Raises:
        ValueError: no family suits the store.
    """
    begun = read_run(Path(run_dir))
    return registry.suggest(store_facts(EpisodeStore.open(store_path))) if begun is None else begun["family"]


def load_run(run_dir: str | Path) -> WorldModel:
    """The model of a run as it stands, in eval mode: averaged weights where it keeps an average.

    Raises:
        ValueError: the directory holds no run, or one without progress.
    """
    run_dir = Path(run_dir)
    path, run = latest(run_dir), read_run(run_dir)
    if path is None or run is None:
        raise ValueError(f"{run_dir} holds no training progress: train first, or give the run's own directory")
    model = registry.build(run["family"], run["model"])
    stages = registry.recipe(run["family"]).stages(model.config, run_config(run_dir, run))
    index = read_state(path)["extra"].get("stage", 0)
    rebuild(model, stages, index)
    load_averaged(path, model)
    change(stages[index].end, model, 0)
    return model.eval()


def training_episodes(store: EpisodeView) -> EpisodeView:
    """Episodes whose meta says split = "train", or nothing of a split."""
    return store.select(lambda meta: meta.get("split", "train") == "train")


def evaluation(model: WorldModel, facts: StoreFacts, held_out: EpisodeView, keys: Sequence[str]) -> EvalFn | None:
    """Open-loop errors on held-out episodes, at those horizons that one of them is long enough for.

    Returns:
        What `fit` calls; None without such episodes (of a model that is told something, such that say it) and of stores
        of several robots, whose actions mean different things.
    """
    spec = model.spec
    held_out = following(spec, held_out)
    reached = [h for h in HORIZONS if len(held_out) and (held_out.lengths >= rows_of(spec, h)).any()]
    if not reached or facts.robots:
        return None
    sampler = SequenceSampler(held_out, rows_of(spec, max(reached)), 16, keys, seed=1)
    measures = () if facts.suite is None else facts.suite.measures
    told = told_of(spec, held_out, sampler.episodes(0))

    def evaluate(trained: WorldModel, step: int) -> dict[str, float]:
        device = next(trained.parameters()).device
        batch = {k: v.to(device) for k, v in sampler.batch(0).items()}
        return open_loop_eval(trained, batch, reached, measures, told)

    return evaluate


def _of_tasks(store: EpisodeView, tasks: Sequence[str]) -> EpisodeView:
    return store.select(lambda meta: not tasks or meta.get("task") in tasks)


def _new(
    store: EpisodeStore, facts: StoreFacts, asked: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """What a new run is begun with."""
    family, preset = asked["family"], asked["preset"] or "tiny"
    if family is None:
        family = registry.suggest(facts)
    recipe = registry.recipe(family)
    episodes = training_episodes(_of_tasks(store, asked["tasks"]))
    if not len(episodes):
        raise ValueError(f"{store.path} has no training episode of {asked['tasks'] or 'any task'}")
    defaults = {"precision": best_precision(), **recipe.preset(preset).fit}
    given = {k: v for k, v in asked.items() if k in (*WINDOWS, *SHAPING)}
    config = recipe.config(facts, preset, _converted(family, changes))
    read = getattr(type(config), "from_dict", None)
    if read is not None and (kept := read(json.loads(json.dumps(config.to_dict())))) != config:
        raise ValueError(
            f"the config of family {family!r} is another after to_dict() and from_dict() ({kept} instead of {config}), "
            "and a run and a checkpoint would keep the wrong one: to_dict must give every field"
        )
    return {
        **new_run(family, preset, recipe.preset(preset).windows, {**defaults, **given}),
        "model": config.to_dict(),
        "store": str(store.path),
        "data": data_digest(episodes),
        "tasks": asked["tasks"],
        "init": asked["init"],
        "episodes": len(episodes),
    }


def _resumed(
    run_dir: Path,
    begun: dict[str, Any],
    store: EpisodeStore,
    asked: Mapping[str, Any],
    changes: Mapping[str, Any],
    refresh: bool,
) -> dict[str, Any]:
    """The run as it was begun; with ``refresh``, on all the episodes that there are now."""
    preset = registry.recipe(begun["family"]).preset(begun.get("preset", "tiny"))
    begun = {"preset": "tiny", "tasks": [], "store": "", **asdict(preset.windows), **begun}
    given = {k: v for k, v in asked.items() if v is not None and v != []}
    check_run(run_dir, begun, {**given, "model": _converted(begun["family"], changes)})
    episodes = training_episodes(_of_tasks(store, begun["tasks"]))
    if refresh:
        return {**begun, "store": str(store.path), "episodes": len(episodes), "data": data_digest(episodes)}
    digest = data_digest(episodes.first(begun["episodes"]))
    if begun.get("data", digest) != digest:
        raise ValueError(
            f"{run_dir} was begun with store={begun['store']!r}, not {str(store.path)!r}, which has other episodes: "
            "give the run's own store, or use a new run directory"
        )
    return begun


def _converted(family: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the family's config in their own types."""
    config_class = registry.recipe(family).config_class
    check_names(config_class, changes)
    types = field_types(config_class)
    return {k: convert(v, types[k], k) for k, v in changes.items()}


def _typed(name: str, value: Any) -> Any:
    return convert(value, field_types(FitConfig)[name], name)


def _sampler(episodes: EpisodeView, windows: Windows, stage: Stage, keys: list[str], seed: int) -> SequenceSampler:
    own = replace(windows, **stage.windows)
    return SequenceSampler(episodes, own.length, own.batch_size, keys, seed, own.balance, own.openings)


def _first_weights(recipe: Recipe, model: WorldModel, episodes: EpisodeView, init: str | Path | None) -> None:
    recipe.prepare(model, episodes)
    if init is not None:
        _warm_start(model, init)


def _identity(init: str | Path | None) -> str | None:
    """What a run begins with, as its run.json has it: the place of another run, or the sha256 of a checkpoint.

    Raises:
        ValueError: there is neither.
    """
    if init is None:
        return None
    if latest(Path(init)) is not None:
        return f"run {Path(init).resolve()}"
    try:
        return f"weights {checkpoint.file_sha256(checkpoint.load(init).path / 'model.safetensors')}"
    except checkpoint.CheckpointError as error:
        raise ValueError(
            f"{init} holds no training progress to begin with, and is no checkpoint ({error}): give a run's own "
            "directory, or a checkpoint"
        ) from error


def _warm_start(model: WorldModel, source: str | Path) -> None:
    path = latest(Path(source))
    tensors = own_tensors(checkpoint.load(source).model) if path is None else averaged_weights(path)
    fresh = load_matching(tensors, model, Path(source))
    _log.info("began with the weights of %s; fresh: %s", path or source, fresh or "none")


def best_precision() -> str:
    """The faster of "bf16" and "fp32": bf16 on recent GPUs and on CPUs with AMX."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"
