"""Recipes: what `dreamgym fit` and the scripts of the shipped checkpoints run.

    python -m dreamgym.training.recipes train --store data/play --run runs/play --variant hybrid --steps 15000
    python -m dreamgym.training.recipes export --run runs/play --out checkpoints/play

The same `train` command goes on with an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.training.fit import EvalFn, FitConfig, FitResult, fit
from dreamgym.training.openloop import open_loop_eval
from dreamgym.training.progress import latest, load_averaged, load_matching
from dreamgym.world_models import registry
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.rssm import RSSMConfig

_log = logging.getLogger(__name__)

PRESETS: dict[str, tuple[Callable[..., RSSMConfig], dict[str, Any], dict[str, Any]]] = {
    # name: model config, FitConfig changes, sampler's batch. "paper" is Table S.2 to the letter.
    "paper": (RSSMConfig.paper, {}, {"batch_size": 50, "length": 50}),
    "tiny": (
        RSSMConfig.tiny,
        {"lr": 8e-4, "weight_decay": 1e-2, "warmup": 300, "ema": 0.999},
        {"batch_size": 16, "length": 32},
    ),
}


def train_rssm(
    store_path: str | Path,
    run_dir: str | Path,
    variant: str = "vision",
    preset: str = "tiny",
    steps: int = 15_000,
    *,
    refresh_data: bool = False,
    init: str | Path | None = None,
    model_changes: Mapping[str, Any] | None = None,
    **fit_changes: Any,
) -> FitResult:
    """Trains an RSSM on the training episodes of a store, or goes on with the run in ``run_dir``.

    The first call fixes the model's config and how many episodes are used in ``run_dir/run.json``; later calls take
    them from there, so that a store that has grown does not bend the curve.

    Args:
        store_path: an `EpisodeStore`.
        run_dir: the run.
        variant, preset, model_changes: the model; must agree with the run's own when resuming.
        steps: updates in all.
        init: another run, whose averaged weights this one begins with wherever name and shape agree; its optimizer
            begins anew. Without effect on a run that has progress.
        refresh_data: take in episodes appended since the run began (from here on the curve is another).
        fit_changes: fields of `FitConfig`, and "batch_size" and "length".

    Raises:
        ValueError: an unknown preset, or a run that was begun with another model.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: choose one of {sorted(PRESETS)}")
    run_dir = Path(run_dir)
    make, defaults, windows = PRESETS[preset]
    store = EpisodeStore.open(store_path)
    shapes = {k: (s[2], s[0], s[1]) for k, (s, dtype) in store.keys.items() if len(s) == 3 and dtype == np.uint8}
    wanted = make(
        variant=variant, **{"images": shapes, **(model_changes or {})} if shapes else dict(model_changes or {})
    )
    windows = {k: fit_changes.pop(k, v) for k, v in windows.items()}
    episodes = training_episodes(store)
    precision = fit_changes.pop("precision", None) or best_precision()
    run = _begin(run_dir, wanted, len(episodes), {**windows, "precision": precision}, refresh_data)
    episodes = first_episodes(episodes, run["episodes"])
    config = replace(FitConfig(steps=steps, precision=run["precision"]), **{**defaults, **fit_changes})
    torch.manual_seed(config.seed)
    model = registry.build("rssm", run["model"])
    keys = sorted({*wanted.inputs, *wanted.targets, "action"})
    model.fit_statistics(gather(episodes, [k for k in wanted.vectors if k in keys]))  # type: ignore[operator]
    if init is not None and latest(run_dir) is None:
        _warm_start(model, Path(init))
    sampler = SequenceSampler(episodes, length=run["length"], batch_size=run["batch_size"], keys=keys, seed=config.seed)
    return fit(model, sampler, config, run_dir, _evaluation(store, wanted, keys))


def _warm_start(model: WorldModel, run_dir: Path) -> None:
    path = latest(run_dir)
    if path is None:
        raise ValueError(f"{run_dir} holds no training progress to begin with: give a run's own directory")
    fresh = load_matching(path, model)
    _log.info("began with the weights of %s; fresh: %s", path, fresh or "none")


def training_episodes(store: EpisodeView) -> EpisodeView:
    """Episodes whose meta does not say split = "val", in the order of their episode_index."""
    return store.select(lambda meta: meta.get("split", "train") != "val")


def first_episodes(view: EpisodeView, count: int) -> EpisodeView:
    """The ``count`` episodes that were published first."""
    if len(view) < count:
        raise ValueError(
            f"{view.path} has {len(view)} training episodes, the run began with {count}: restore the store"
        )
    return EpisodeView(view.path, view.keys, view.info, view._entries[:count], view._shards)


def gather(view: EpisodeView, keys: list[str], limit: int = 200_000) -> dict[str, Tensor]:
    """Rows of vector keys over episodes, [N, d] each, at most about ``limit`` rows evenly spread."""
    stride = max(1, view.num_steps // limit)
    rows: dict[str, list[np.ndarray]] = {k: [] for k in keys}
    if keys:
        for i in range(len(view)):
            for name, values in view.episode(i, keys).items():
                rows[name].append(np.array(values[::stride]))
    return {k: torch.from_numpy(np.concatenate(v)) for k, v in rows.items()}


def best_precision() -> str:
    """The faster of "bf16" and "fp32": bf16 on recent GPUs and on CPUs with AMX."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"


def export(run_dir: str | Path, out: str | Path, **contents: Any) -> Path:
    """Writes a run's averaged (or last) weights as a checkpoint folder; see `dreamgym.training.checkpoint.save`."""
    from dreamgym.training import checkpoint

    return checkpoint.save(out, load_run(run_dir), **contents)


def load_run(run_dir: str | Path) -> WorldModel:
    """The model of a run as it stands: averaged weights where it keeps an average.

    Raises:
        ValueError: the directory holds no run, or one without progress.
    """
    run_dir = Path(run_dir)
    path = latest(run_dir)
    if path is None or not (run_dir / "run.json").exists():
        raise ValueError(f"{run_dir} holds no training progress: train first, or give the run's own directory")
    run = json.loads((run_dir / "run.json").read_text())
    model = registry.build(run["family"], run["model"])
    load_averaged(path, model)
    return model.eval()


def _begin(run_dir: Path, wanted: RSSMConfig, episodes: int, settings: dict[str, Any], refresh: bool) -> dict[str, Any]:
    """What the run was begun with; written on the first call."""
    path = run_dir / "run.json"
    run: dict[str, Any] = {"family": "rssm", "model": wanted.to_dict(), "episodes": episodes, **settings}
    if path.exists():
        begun = json.loads(path.read_text())
        if RSSMConfig.from_dict(begun["model"]) != wanted:
            old = RSSMConfig.from_dict(begun["model"]).to_dict()
            changed = [k for k, v in wanted.to_dict().items() if old[k] != v]
            raise ValueError(f"{run_dir} was begun with another model ({changed} differ): use a new run directory")
        if not refresh:
            return begun
        run = {**begun, "episodes": episodes}
    run_dir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(run, indent=1))
    temporary.replace(path)
    return run


def _evaluation(store: EpisodeStore, config: RSSMConfig, keys: list[str]) -> EvalFn | None:
    """Open-loop errors on held-out episodes, where the store has any of 52 steps."""
    held_out = store.select(split="val")
    horizon = 50
    if not any(held_out.lengths >= config.history + horizon):
        return None
    sampler = SequenceSampler(held_out, length=config.history + horizon, batch_size=16, keys=keys, seed=1)
    return lambda model, step: open_loop_eval(model, sampler.batch(0))


def model_fields(words: Sequence[str]) -> dict[str, Any]:
    """["deter=512"] as {"deter": 512}, the values read as JSON.

    Raises:
        ValueError: a word without a JSON value, or that names no field of `RSSMConfig`.
    """
    known = {f.name for f in fields(RSSMConfig)}
    changes = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            raise ValueError(f"--model: expected FIELD=JSON, as decoder_depth=32; got {word!r}") from None
        if name not in known:
            raise ValueError(f"--model: RSSMConfig has no field {name!r}; it has {sorted(known)}")
    return changes


def main(argv: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dreamgym.training.recipes")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train an RSSM, or go on with an interrupted run")
    train.add_argument("--store", required=True)
    train.add_argument("--run", required=True)
    train.add_argument("--variant", default="vision", choices=("vision", "hybrid", "state"))
    train.add_argument("--preset", default="tiny", choices=sorted(PRESETS))
    train.add_argument("--steps", type=int, default=15_000)
    train.add_argument("--threads", type=int, default=None)
    train.add_argument("--lr", type=float, default=None)
    train.add_argument("--cooldown", type=int, default=None)
    train.add_argument("--batch-size", type=int, default=None)
    train.add_argument("--length", type=int, default=None)
    train.add_argument("--eval-every", type=int, default=1000)
    train.add_argument("--seed", type=int, default=None)
    train.add_argument("--precision", default=None, choices=("fp32", "bf16"))
    train.add_argument("--refresh-data", action="store_true")
    train.add_argument("--init", default=None, help="another run, whose weights this one begins with")
    train.add_argument(
        "--model", nargs="+", default=[], metavar="FIELD=JSON", help='model config, as image_weights={"rgb_static":4}'
    )
    out = commands.add_parser("export", help="write a run's weights as a checkpoint folder")
    out.add_argument("--run", required=True)
    out.add_argument("--out", required=True)
    options = vars(parser.parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.pop("command") == "export":
        export(options["run"], options["out"])
        return
    store, run = options.pop("store"), options.pop("run")
    changes = model_fields(options.pop("model"))
    train_rssm(store, run, model_changes=changes, **{k: v for k, v in options.items() if v is not None})


if __name__ == "__main__":
    main()
