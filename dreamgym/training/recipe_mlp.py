"""Recipes of the state-based suites: from demonstrations to an MLP world model, and from that to a checkpoint.

    python -m dreamgym.training.recipe_mlp train --store data/reach --run runs/reach --steps 3000
    python -m dreamgym.training.recipe_mlp finish --store data/reach --run runs/reach --out checkpoints/reach

The same `train` command goes on with an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.data import EpisodeStore, EpisodeView, SequenceSampler
from dreamgym.rewards import SuccessConfig
from dreamgym.rewards.fit import SuccessFitConfig, fit_success
from dreamgym.rewards.samples import tasks_of
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.card_mlp import write_card
from dreamgym.training.fidelity_mlp import SENSOR, evaluate, evaluate_parts
from dreamgym.training.fit import FitConfig, FitResult, fit
from dreamgym.training.recipes import first_episodes, load_run, training_episodes
from dreamgym.types import ActionSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.mlp import MLPConfig, MLPWorldModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suite:
    """What a suite's world model must know of it.

    Attributes:
        action: bounds of the action, and the one that keeps still.
        frame_rate: control steps a second, Hz.
        still: see `MLPConfig`, where actions are positions.
        body: see there, what they push.
    """

    action: ActionSpec
    frame_rate: float
    still: tuple[int, ...] = ()
    body: tuple[int, ...] = ()


SUITES = {
    "metaworld": Suite(ActionSpec((-1.0,) * 4, (1.0,) * 4, hold=(0.0, 0.0, 0.0, -1.0)), 80.0),
    "pusht": Suite(ActionSpec((0.0,) * 2, (512.0,) * 2), 10.0, still=(0, 1), body=(2, 3, 4, 5)),
    "robosuite": Suite(ActionSpec((-1.0,) * 7, (1.0,) * 7, binary=(6,), hold=(0.0,) * 6 + (-1.0,)), 20.0),
}
# Preset: the model, changes of FitConfig, windows of a batch. WARPD's learning rate is 1e-4 in its section 4 and 3e-4
# in its Table 9; "paper" takes the text's, for it speaks of all experiments.
PRESETS: dict[str, tuple[Any, dict[str, Any], dict[str, int]]] = {
    "paper": (MLPConfig.paper, {"lr": 1e-4, "weight_decay": 0.0, "warmup": 1}, {"batch_size": 32, "length": 33}),
    "tiny": (
        MLPConfig.tiny,
        {"lr": 2e-3, "weight_decay": 1e-4, "warmup": 50, "ema": 0.995},
        {"batch_size": 32, "length": 14},
    ),
}

OPENINGS = 0.4
"""Share of windows that begin where an episode does: every dream does, and of windows drawn anywhere hardly one."""

REWARDS = SuccessFitConfig(epochs=45, batch_size=128, learning_rate=1e-3, weight_decay=1e-2, demo_passes=3)
"""Of the success classifier: a small one on a few dozen numbers takes larger steps than one on an RSSM's latents."""
REWARD_WIDTH = 128  # of its layers. At 64 the edge of Metaworld's "reach" blurs: F1 0.85 instead of 0.94


def train_mlp(
    store_path: str | Path,
    run_dir: str | Path,
    preset: str = "tiny",
    steps: int = 3000,
    *,
    tasks: Sequence[str] = (),
    model_changes: Mapping[str, Any] | None = None,
    **fit_changes: Any,
) -> FitResult:
    """Trains an MLP world model on the training episodes of a store, or goes on with the run in ``run_dir``.

    The first call fixes in ``run_dir/run.json`` the model, windows, seed, tasks and how many episodes are used; a store
    that has grown since makes no difference.

    Args:
        store_path: an `EpisodeStore` with "state" and "action", made by `dreamgym.data.state_demonstrations` (its info
            names the suite).
        run_dir: the run.
        preset: "tiny" or "paper".
        steps: updates in all.
        tasks: use the episodes of these tasks only; () for all.
        model_changes: fields of `MLPConfig`.
        fit_changes: fields of `FitConfig`, and "batch_size", "length" and "openings" (by default `OPENINGS`).

    Raises:
        ValueError: an unknown preset or suite, no training episode, or a run begun with something else.
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: choose one of {sorted(PRESETS)}")
    make, defaults, windows = PRESETS[preset]
    store = EpisodeStore.open(store_path)
    suite = suite_of(store)
    (obs_dim,), _ = store.keys[SENSOR]
    known = {"frame_rate": suite.frame_rate, "still": suite.still, "body": suite.body}
    wanted = make(obs_dim, suite.action, **{**known, **(model_changes or {})})
    windows = {k: fit_changes.pop(k, v) for k, v in windows.items()}
    openings = fit_changes.pop("openings", OPENINGS)
    config = replace(FitConfig(steps=steps), **{**defaults, "cooldown": steps // 5, **fit_changes})
    chosen = store.select(lambda meta: not tasks or meta.get("task") in tasks)
    episodes = training_episodes(chosen)
    if not len(episodes):
        raise ValueError(f"{store_path} has no training episode of {list(tasks) or 'any task'}")
    settings = {**windows, "seed": config.seed, "tasks": sorted(tasks), "openings": openings}
    begun = _begin(Path(run_dir), wanted, {**settings, "episodes": len(episodes)})
    episodes = first_episodes(episodes, begun["episodes"])
    torch.manual_seed(config.seed)
    model = MLPWorldModel(wanted)
    model.fit_statistics(*statistics(episodes))
    sampler = SequenceSampler(
        episodes, windows["length"], windows["batch_size"], [SENSOR, "action"], config.seed, "episode", openings
    )
    return fit(model, sampler, config, run_dir, lambda m, _: evaluate(m, chosen.select(split="val")))


def suite_of(store: EpisodeView) -> Suite:
    """The suite that the store's info names."""
    name = store.info.get("suite")
    if name not in SUITES:
        raise ValueError(f"{store.path}: its info names the suite {name!r}, expected one of {sorted(SUITES)}")
    return SUITES[name]


def statistics(view: EpisodeView) -> tuple[Tensor, Tensor]:
    """Observations [N, O] and one-step changes [M, O] of all episodes."""
    rows = [torch.from_numpy(np.array(view.episode(i, [SENSOR])[SENSOR])) for i in range(len(view))]
    return torch.cat(rows), torch.cat([r.diff(dim=0) for r in rows])


def finish_mlp(
    run_dir: str | Path,
    store_path: str | Path,
    out: str | Path,
    *,
    tasks: Sequence[str] = (),
    rewards: SuccessFitConfig | None = None,
    more_starts: str | Path | None = None,
    simulator_kwargs: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    env_id: str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Adds a success classifier, start states and measured errors to a trained model, and writes the checkpoint.

    Args:
        run_dir: the run.
        store_path: the demonstrations, with snapshots.
        out: the checkpoint's folder.
        tasks: tasks of the checkpoint; () for all that the store has.
        rewards: training of the success classifier; `REWARDS` by default.
        more_starts: a store whose episodes are to begin dreams too, were they but two rows long.
        simulator_kwargs: of the twin (robosuite's robot).
        notes: what else the card is to say: "command", "machine", "beginnings" (how many of ``more_starts``).
        env_id: the registered id of this dream, for the card.
        progress: whether to show bars.

    Returns:
        What was measured, as in the checkpoint.
    """
    store = EpisodeStore.open(store_path)
    names = tuple(tasks) or tuple(dict.fromkeys(meta["task"] for meta in store.metas))
    names = tasks_of(store, names)
    view = store.select(lambda meta: meta["task"] in names)
    model = load_run(run_dir)
    errors = evaluate(model, view.select(split="val"))
    model.spec = model.spec.with_uncertainty_limit(errors.get("uncertainty_p99"))
    sizes = SuccessConfig(names, int(np.prod(model.spec.feature_shape)), (REWARD_WIDTH,) * 2, (REWARD_WIDTH,))
    fit_config = rewards or REWARDS
    classifier, scores = fit_success(model, view, None, sizes, fit_config, progress)
    sources = [view] if more_starts is None else [view, EpisodeStore.open(more_starts)]
    starts, meta = build_starts(model, sources, names, BankConfig(context=model.spec.history, offsets=(0,)), progress)
    metrics = {"open_loop": errors, "rewards": scores, **describe(run_dir, model, view), **(notes or {})}
    metrics["starts"] = meta["counts"]
    arm = {"robot": store.info["robot"]} if store.info["suite"] == "robosuite" and "robot" in store.info else {}
    simulator = {"id": store.info["suite"], "kwargs": {**arm, **(simulator_kwargs or {})}}
    checkpoint.save(
        out, model, {"success": classifier}, starts, simulator=simulator, metrics=metrics, starts_meta=meta,
        card=write_card(Path(out).name, metrics, env_id), dtype=torch.float16,
    )  # fmt: skip
    return metrics


def describe(run_dir: str | Path, model: WorldModel, view: EpisodeView) -> dict[str, Any]:
    """What a card says beside rewards and starts: "model", "training", "seed", "data", "parts"."""
    assert isinstance(model, MLPWorldModel)
    begun = json.loads((Path(run_dir) / "run.json").read_text())
    fitted = json.loads((Path(run_dir) / "fit.json").read_text())
    operators = Counter(meta["operator"] for meta in view.metas)
    held_out, suite = view.select(split="val"), view.info.get("suite", "")
    data = {"suite": suite, "episodes": len(view), "steps": int(view.num_steps), "held_out": len(held_out)}
    return {
        "model": {
            "parameters": sum(p.numel() for p in model.parameters()),
            "hidden": model.config.hidden,
            "ensemble": model.config.ensemble,
        },
        "training": {
            "updates": fitted["steps"], "batch_size": begun["batch_size"], "length": begun["length"],
            **({"openings": begun["openings"]} if "openings" in begun else {}),
            "unroll": model.config.unroll, "learning_rate": fitted["lr"], "ema": fitted["ema"],
        },
        "seed": fitted["seed"],
        "data": data | {"operators": dict(operators)},
        "parts": evaluate_parts(model, held_out, suite),
    }  # fmt: skip


def _begin(run_dir: Path, wanted: MLPConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the run was begun with, now or before; ValueError where that was something else."""
    path = run_dir / "run.json"
    run = {"family": MLPWorldModel.family, "model": wanted.to_dict(), **settings}
    if path.exists():
        begun: dict[str, Any] = {**run, **json.loads(path.read_text())}
        if MLPConfig.from_dict(begun["model"]) != wanted:
            raise ValueError(f"{run_dir} was begun with another model: use a new run directory")
        differ = [f"{k}={begun[k]!r}, not {v!r}" for k, v in settings.items() if k != "episodes" and begun[k] != v]
        if differ:
            raise ValueError(f"{run_dir} was begun with {'; '.join(differ)}: use a new run directory")
        return begun
    run_dir.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1))
    return run


def main(argv: list[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m dreamgym.training.recipe_mlp")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train an MLP world model, or go on with an interrupted run")
    train.add_argument("--preset", default="tiny", choices=sorted(PRESETS))
    train.add_argument("--steps", type=int, default=3000)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--threads", type=int, default=None)
    train.add_argument("--eval-every", type=int, default=500)
    finish = commands.add_parser("finish", help="add rewards and start states and write the checkpoint")
    finish.add_argument("--out", required=True)
    for command in (train, finish):
        command.add_argument("--store", required=True)
        command.add_argument("--run", required=True)
        command.add_argument("--tasks", nargs="*", default=[])
    options = vars(parser.parse_args(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    store, run = options.pop("store"), options.pop("run")
    if options.pop("command") == "finish":
        _log.info("%s", json.dumps(finish_mlp(run, store, **options)["open_loop"]))
        return
    result = train_mlp(store, run, **options)
    _log.info("%s", json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
