"""How far latent diffusion and other world models of the same data drift, and at what cost.

    python benchmarks/ladi/fidelity.py --store data/play --models latent=dreams/latent rssm=playtable

Writes rows {model, scene, horizon, drawer_cm, slider_cm, hand_cm, bulb, led, seconds_per_step, ...} into
benchmarks/results/ladi_fidelity.json: open-loop errors on held-out play ``horizon`` control steps after the last real
frame, in centimetres, and shares of frames at which a light is right; on other suites their own measures, each with its
unit. A ``_moving`` column counts the windows alone in which the thing has moved since. The rows of one model are
replaced together.

- All models imagine the same windows: each begins after the same ``--context`` rows, of which a model sees every a-th.
- All are read by probes of one kind, fitted to each anew on the same training windows (``reader`` "probe"); what a
  model decodes itself, or its checkpoint's own probe, makes further rows ("own").
- "last frame": what repeating the last real state comes to.
- seconds_per_step: processor time of one thread for a control step of one of 16 envs, imagining to the longest horizon.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from experiment import write

from dreamgym.data import EpisodeStore, SequenceSampler
from dreamgym.data.store import EpisodeView
from dreamgym.evaluation.making.fidelity import Fidelity, FidelityConfig, measure_fidelity
from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.provenance import provenance
from dreamgym.suites.facts import store_facts
from dreamgym.training.checkpoint import Checkpoint, load
from dreamgym.training.train import training_episodes
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import filter_to
from dreamgym.world_models.probe import ProbeFitConfig, StateProbe, fit_probe

RESULTS = Path(__file__).parents[1] / "results" / "ladi_fidelity.json"
COPY = "last frame"
TIMED = 16
"""Envs whose imagination is timed."""
NAMES = {"tcp": "hand"}
CENTIMETRES = {"m": 100.0, "cm": 1.0}


def readers(opened: Checkpoint, train: EpisodeView, batches: int) -> Iterator[tuple[str, WorldModel, Any]]:
    """How a model's imagined states are read: name, the model, and a probe or None."""
    model, vectors = opened.model, store_facts(train).layouts
    keys = [*dict.fromkeys([*model.spec.observations, *vectors, "action"])]
    sampler = SequenceSampler(train, length=min(32, int(train.lengths.max())), batch_size=16, keys=keys, seed=0)
    yield "probe", blind(model), fit_probe(model, sampler, vectors, ProbeFitConfig(batches))
    if isinstance(opened.probe, StateProbe) or set(vectors) & set(model.spec.decodable):
        yield "own", model, opened.probe


def blind(model: WorldModel) -> WorldModel:
    """A view of a model that decodes pictures alone."""
    view = copy.copy(model)
    view.__dict__ = {**model.__dict__, "spec": replace(model.spec, decodable=model.spec.cameras)}
    return view


def table(found: Fidelity, horizons: Sequence[int], curve: str) -> list[dict[str, float]]:
    """A dict of measures for each horizon, of "model" or of "repeat"."""
    rows = []
    for horizon in horizons:
        row: dict[str, float] = {"horizon": horizon}
        for group, suffix in ((found.curves, ""), (found.moving, "_moving")):
            for name, one in group.items():
                if horizon not in one.steps or one.unit == "dB" or not (values := getattr(one, curve)):
                    continue
                value, scale = values[one.steps.index(horizon)], CENTIMETRES.get(one.unit)
                if math.isnan(value):  # nothing had moved yet
                    continue
                unit = "" if one.higher_is_better else "_cm" if scale else f"_{one.unit.replace(' ', '_')}"
                row[f"{NAMES.get(name, name)}{unit}{suffix}"] = round(value * (scale or 1.0), 5)
        rows.append(row)
    return rows


@torch.no_grad()
def seconds_per_step(model: WorldModel, held_out: EpisodeView, steps: int, context: int) -> float:
    """Processor seconds of a control step of one env; the best of three."""
    a, best = model.spec.actions_per_frame, float("inf")
    rows = (context - 1) * a + steps + 1
    keys = [*model.spec.observations, "action"]
    batch = SequenceSampler(held_out, rows, TIMED, keys, seed=0).batch(0)
    generator = torch.Generator().manual_seed(0)
    state = filter_to(model, batch, context, generator)
    first = (context - 1) * a
    ahead = model.spec.prepare(batch["action"][:, first : first + steps])
    for _ in range(3):
        begun = time.process_time()
        list(model.unroll(state, ahead, generator))
        best = min(best, time.process_time() - begun)
    return best / (TIMED * steps)


def measured(name: str, opened: Checkpoint, store: EpisodeStore, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one model.

    Raises:
        ValueError: the context is no whole number of its frames, or shorter than its history.
    """
    a, history = opened.model.spec.actions_per_frame, opened.model.spec.history
    context = (options.context - 1) // a + 1
    if (options.context - 1) % a or context < history:
        raise ValueError(
            f"--context {options.context}: {name} needs {(history - 1) * a + 1} rows or more, and {a} rows a frame "
            "after the first"
        )
    train, held_out = training_episodes(store), store.select(split=options.split)
    config = FidelityConfig(options.windows, context, max(options.horizons), openings=False)
    cost = seconds_per_step(opened.model, held_out, max(options.horizons), context)
    about = {"scene": str(store.info.get("scene", store.info.get("suite"))), "windows": options.windows}
    about |= {"split": options.split, "context": options.context, "probe_batches": options.probe_batches}
    about |= provenance(checkpoint_hashes(opened))
    rows: list[dict[str, Any]] = []
    for reader, model, probe in readers(opened, train, options.probe_batches):
        found = measure_fidelity(model, held_out, train, config, probe)
        auroc = {k: v for k, v in found.uncertainty.items() if "auroc" in k}
        told = {**about, "reader": reader, "seconds_per_step": cost, "actions_per_frame": a, "uncertainty": auroc}
        rows += [{"model": name, **row, **told} for row in table(found, options.horizons, "model")]
        if reader == "probe":
            bare = {**about, "reader": "simulator"}
            rows += [{"model": COPY, **row, **bare} for row in table(found, options.horizons, "repeat")]
    return rows


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True, help="play with the scene's state, some of it held out")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--horizons", nargs="+", type=int, default=[3, 6, 12, 18, 24, 36, 48], help="control steps")
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--context", type=int, default=10, help="rows before the prediction")
    parser.add_argument("--probe-batches", type=int, default=200, help="of 16 windows, that a probe learns from")
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> None:
    """Measures each model and writes its rows."""
    options = parse(args)
    torch.set_num_threads(1)
    store = EpisodeStore.open(options.store)
    for word in options.models:
        name, _, folder = word.partition("=")
        rows = measured(name, load(folder), store, options)
        kept = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
        scene = rows[0]["scene"]
        kept = [r for r in kept if r["scene"] != scene or r["model"] not in (name, COPY)]
        write(options.out, {"rows": [*kept, *rows]}, indent=1)
        for row in rows:
            print({k: v for k, v in row.items() if isinstance(v, (float, int)) or k in ("model", "reader")}, flush=True)


if __name__ == "__main__":
    main()
