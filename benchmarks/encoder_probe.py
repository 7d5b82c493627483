"""What a small network reads from the tokens of vision encoders: the suite's measures on held-out frames.

    python benchmarks/encoder_probe.py --store play --encoder dinov2=encoders/dino --encoder siglip=encoders/siglip \
        --out benchmarks/results/encoder_probe.json

Tokens of all cameras go through a perceptron of 256 x 2; it learns from frames of the training episodes and is tested
on those of "val".
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.data import EpisodeStore, EpisodeView
from dreamgym.nn.encoders import VisionEncoder, encoder_config
from dreamgym.provenance import provenance
from dreamgym.suites.facts import StoreFacts, store_facts
from dreamgym.training.runs import write_json
from dreamgym.training.train import training_episodes
from dreamgym.world_models.probe import StateProbe

BATCH = 256


def rows_of(view: EpisodeView, keys: list[str], count: int) -> dict[str, Tensor]:
    """About ``count`` rows spread over all episodes, in torch layout."""
    each, rng = max(1, count // len(view)), np.random.default_rng(0)
    found: dict[str, list[np.ndarray]] = {k: [] for k in keys}
    for i in range(len(view)):
        at = np.sort(rng.choice(int(view.lengths[i]), min(each, int(view.lengths[i])), replace=False))
        for name, values in view.episode(i, keys).items():
            found[name].append(np.array(values[at]))
    out = {k: torch.from_numpy(np.concatenate(v)) for k, v in found.items()}
    return {k: v.movedim(-1, 1) if v.dtype == torch.uint8 and v.dim() == 4 else v for k, v in out.items()}


def tokens_of(encoder: VisionEncoder, rows: dict[str, Tensor], cameras: list[str]) -> Tensor:
    """Tokens of all cameras [N, D], not standardised."""
    return torch.cat([torch.cat([encoder(x) for x in rows[name].split(BATCH)]) for name in cameras], 1).flatten(1)


def probe(
    encoder: VisionEncoder, train: dict[str, Tensor], held_out: dict[str, Tensor], facts: StoreFacts, updates: int
) -> dict[str, float]:
    """Mean error of each measure of the suite on held-out rows."""
    assert facts.suite is not None
    cameras = [k for k, s in facts.sensors.items() if s.kind == "image"]
    layouts = {k: facts.layouts[k] for k in facts.suite.layouts}
    seen, tested = tokens_of(encoder, train, cameras), tokens_of(encoder, held_out, cameras)
    mean, std = seen.mean(0), seen.std(0).clamp(min=1e-3)
    seen, tested = (seen - mean) / std, (tested - mean) / std
    torch.manual_seed(0)
    network = StateProbe(seen.shape[1], layouts, linear=False)
    network.fit_statistics({k: train[k] for k in layouts})
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    draws = torch.Generator().manual_seed(0)
    for step in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / updates)
        rows = torch.randint(len(seen), (BATCH,), generator=draws)
        loss = network.loss(seen[rows], {k: train[k][rows] for k in layouts})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        read = network(tested)
    truth = {k: held_out[k] for k in layouts}
    return {measure.name: float(measure.error(read, truth).mean()) for measure in facts.suite.measures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--encoder", action="append", required=True, metavar="KIND=SOURCE")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--grid", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = EpisodeStore.open(given.store)
    facts = store_facts(store)
    keys = [*(k for k, s in facts.sensors.items() if s.kind == "image"), *facts.suite.layouts]
    train = rows_of(training_episodes(store), keys, given.rows)
    held_out = rows_of(store.select(split="val"), keys, given.rows // 4)
    table: list[dict[str, Any]] = []
    for word in given.encoder:
        kind, _, source = word.partition("=")
        began, config = time.monotonic(), encoder_config(kind, source, grid=given.grid)
        read = probe(VisionEncoder(config), train, held_out, facts, given.steps)
        units = {m.name: m.unit for m in facts.suite.measures}
        table.append({"encoder": kind, "sha256": config.sha256, "errors": read, "units": units})
        print(f"{word}: {read} in {time.monotonic() - began:.0f} s", flush=True)
        about = {"rows": given.rows, "updates": given.steps, "grid": given.grid, "store": words_of(store)}
        write_json(given.out, {"table": table, "settings": about, **provenance()})


def words_of(store: EpisodeStore) -> dict[str, Any]:
    """What tells the store from others."""
    return {"name": store.path.name, "episodes": len(store), "steps": int(store.num_steps)}


if __name__ == "__main__":
    main()
