"""How long a dream takes for a chunk of actions, by family, number of envs and steps of its sampler.

    python benchmarks/chunk_latency.py --models latent=dreams/latent rssm=playtable

Writes rows {model, num_envs, sampler_steps, chunk, latency_s, steps_per_s, matmul_share, ...} into
benchmarks/results/chunk_latency.json. A chunk is ``chunk`` control actions, six frames where not given; ``steps_per_s``
counts control steps of all envs. ``matmul_share``: operations a second (torch's FlopCounterMode: matrix products,
convolutions, attention) over those of a square product of 1,024 in the same precision, measured in the same run.
``samples`` 1 is a model without its uncertainty. Times are the best of several: processor time on one thread, wall time
on more. Models without a sampler have ``sampler_steps`` null and one row a number of envs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from ladi.imaginations import changed
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import Checkpoint, load
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

RESULTS = Path(__file__).parent / "results" / "chunk_latency.json"
SIDE = 1024
LEAST = 0.5
"""Seconds that a setting is measured for at the least."""


def settings_of(model: WorldModel, steps: Sequence[int]) -> Iterator[tuple[dict[str, int], WorldModel]]:
    """Settings of a model's sampler and a view of it with each."""
    known = model.config.to_dict()
    if "sampler_steps" not in known:
        yield {}, model
        return
    for samples in sorted({1, int(known.get("samples", 1))}):
        for number in steps:
            fields = {"sampler_steps": number, **({"samples": samples} if "samples" in known else {})}
            yield fields, changed(model, **fields)


def drawn(model: WorldModel, num_envs: int, actions: int) -> tuple[State, Tensor]:
    """A state after a history of noise, and actions at random."""
    spec, generator = model.spec, torch.Generator().manual_seed(0)
    history: dict[str, Tensor] = {}
    for name, sensor in spec.observations.items():
        shape = (num_envs, spec.history, *sensor.shape)
        image = sensor.kind == "image"
        history[name] = torch.randint(256, shape, dtype=torch.uint8) if image else torch.zeros(shape)
    before = (spec.history - 1) * spec.actions_per_frame
    history["action"] = spec.control.prepare(torch.randn(num_envs, before, spec.control.dim, generator=generator))
    plan = spec.control.prepare(torch.randn(num_envs, actions, spec.control.dim, generator=generator))
    return model.start(history, generator), plan


@torch.no_grad()
def measured(model: WorldModel, num_envs: int, actions: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds and operations of a chunk."""
    state, plan = drawn(model, num_envs, actions)
    generator = torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        list(model.unroll(state, plan, generator))
    best, spent, count = float("inf"), 0.0, 0
    while spent < LEAST or count < 3:
        begun = clock()
        list(model.unroll(state, plan, generator))
        took = clock() - begun
        best, spent, count = min(best, took), spent + took, count + 1
    return best, float(counter.get_total_flops())


def matmul_rate(precision: str, clock: Callable[[], float]) -> float:
    """Operations a second of a square matrix product."""
    a = torch.randn(SIDE, SIDE, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best = float("inf")
    for _ in range(7):
        begun = clock()
        a @ a
        best = min(best, clock() - begun)
    return 2 * SIDE**3 / best


def rows_of(name: str, opened: Checkpoint, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of a model."""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    a = opened.spec.actions_per_frame
    actions = options.chunk or 6 * a
    for precision in options.precisions:
        rate = matmul_rate(precision, clock)
        for fields, view in settings_of(opened.model, options.sampler_steps):
            for num_envs in options.num_envs:
                context = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
                with context:
                    latency, operations = measured(view, num_envs, actions, clock)
                row: dict[str, Any] = {"model": name, "num_envs": num_envs, "chunk": actions, "latency_s": latency}
                row |= {"sampler_steps": fields.get("sampler_steps"), "samples": fields.get("samples", 1)}
                row |= {"steps_per_s": num_envs * actions / latency, "matmul_share": operations / latency / rate}
                row |= {"precision": precision, "threads": options.threads, "actions_per_frame": a}
                yield row | provenance(checkpoint_hashes(opened))


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 4, 16, 64, 256])
    parser.add_argument("--sampler-steps", nargs="+", type=int, default=[1, 2, 4, 10])
    parser.add_argument("--chunk", type=int, help="control actions; six frames of the model where not given")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> None:
    """Measures each model and replaces its rows."""
    options = parse(args)
    torch.set_num_threads(options.threads)
    for word in options.models:
        name, _, folder = word.partition("=")
        rows = []
        for row in rows_of(name, load(folder), options):
            rows.append(row)
            shown = ("model", "num_envs", "sampler_steps", "samples", "precision", "latency_s", "matmul_share")
            print({k: row[k] for k in shown}, flush=True)
        kept = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
        kept = [r for r in kept if (r["model"], r["threads"]) != (name, options.threads)]
        options.out.write_text(json.dumps({"rows": [*kept, *rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
