"""The end of an MLP world model: from a trained run to a checkpoint."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamgym.data import EpisodeStore, EpisodeView
from dreamgym.rewards import SuccessConfig
from dreamgym.rewards.fit import SuccessFitConfig, fit_success
from dreamgym.rewards.samples import tasks_of
from dreamgym.training import checkpoint
from dreamgym.training.bank import BankConfig, build_starts
from dreamgym.training.card_mlp import write_card
from dreamgym.training.fidelity_mlp import evaluate, evaluate_parts
from dreamgym.training.train import load_run
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.mlp import MLPWorldModel

_log = logging.getLogger(__name__)


REWARDS = SuccessFitConfig(epochs=45, batch_size=128, learning_rate=1e-3, weight_decay=1e-2, demo_passes=3)
"""Of the success classifier: a small one on a few dozen numbers takes larger steps than one on an RSSM's latents."""
REWARD_WIDTH = 128  # of its layers. At 64 the edge of Metaworld's "reach" blurs: F1 0.85 instead of 0.94


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
