"""Tables of docs/ladi_wm.md from the result files of this folder and of `benchmarks/chunk_latency.py`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.statistics.inference import clustered_wilson

RESULTS = Path(__file__).parents[1] / "results"
CONTROLS = {
    None: "the world model",
    "copy": "copies of the present frame",
    "own_action": "its own first action, nothing imagined",
    "mean": "no look ahead, mean of as many samples",
    "true_future": "the simulator's own future",
}
KINDS = {"own": "own decision", "recorded": "demonstrated actions", "future": "demonstration's future"}
ABLATIONS = {
    "frames": "imagined frames", "denoising": "denoising steps", "states": "proprioception",
    "world_model": "world model", "data": "world model's data",
}  # fmt: skip
MISSING = "*Not measured yet.*"
Rows = list[dict[str, Any]]


def of_file(name: str) -> Callable[[Callable[[Rows], str]], Callable[[], str]]:
    """Makes a table of the rows of a result file; a line that says so where nothing is measured yet."""

    def wrap(make: Callable[[Rows], str]) -> Callable[[], str]:
        @wraps(make)
        def made() -> str:
            file = RESULTS / f"{name}.json"
            return make(json.loads(file.read_text(encoding="utf-8"))["rows"]) if file.is_file() else MISSING

        return made

    return wrap


def rate(rows: Rows) -> str:
    """Success of some cells together; episodes of a task from one start are one cluster, of whatever seed."""
    if not rows:
        return ""
    done = [int(x) for row in rows for x in row["outcomes"]]
    low, high = clustered_wilson(done, [f"{row['task']} {start}" for row in rows for start in row["starts"]])
    return f"{mean(done):.0%} ({low:.0%} to {high:.0%})"


def kept(rows: Rows) -> str:
    """What the imagined frames are in training of the policies that are measured beyond the comparison of kinds."""
    counts = Counter(str(row["imagined"]) for row in rows if row["control"] is None)
    return counts.most_common(1)[0][0]


@of_file("ladi_refinement")
def refinement(rows: Rows) -> str:
    """Success by number of refinements and by what is shown."""
    kind, rows, lines = kept(rows), [row for row in rows if row["repeat"] == 0], []
    times = sorted({row["refinements"] for row in rows})
    for control, words in CONTROLS.items():
        for number in sorted({row["demonstrations"] for row in rows if row["control"] == control}):
            own = [row for row in rows if (row["control"], row["demonstrations"]) == (control, number)]
            own = [row for row in own if control is not None or row["imagined"] == kind]
            cells = [rate([row for row in own if row["refinements"] == n]) for n in times]
            lines.append((words, number, len({row["seed"] for row in own}), *cells))
    return table(("shown ahead", "demonstrations", "seeds", *(f"{n} refinements" for n in times)), lines)


@of_file("ladi_refinement")
def kinds(rows: Rows) -> str:
    """Success by what the imagined frames are in training."""
    first = min(row["seed"] for row in rows)
    own = [row for row in rows if row["control"] is None and (row["repeat"], row["seed"]) == (0, first)]
    fewest, lines = min(row["demonstrations"] for row in own), []
    for kind, words in KINDS.items():
        mine = [row for row in own if (row["imagined"], row["demonstrations"]) == (kind, fewest)]
        if mine:
            lines.append((words, *(rate([row for row in mine if row["refinements"] == n]) for n in (0, 1, 2))))
    return table(("imagined frames in training", *(f"{n} refinements" for n in (0, 1, 2))), lines)


@of_file("ladi_refinement")
def spread(rows: Rows) -> str:
    """Mean and standard deviation of success over evaluations with other noise from the same starts, in points."""
    usual, kind = [row for row in rows if row["control"] is None], kept(rows)
    again = {(row["demonstrations"], row["seed"]) for row in usual if row["repeat"]}
    times, lines = sorted({row["refinements"] for row in usual if row["repeat"]}), []
    for number, seed in sorted(again):
        cells = []
        for n in times:
            wanted = (number, seed, n, kind)
            own = [r for r in usual if (r["demonstrations"], r["seed"], r["refinements"], r["imagined"]) == wanted]
            rates = [100 * mean(r["success"] for r in own if r["repeat"] == i) for i in {r["repeat"] for r in own}]
            cells.append(f"{mean(rates):.1f} ± {stdev(rates):.2f} ({len(rates)})" if len(rates) > 1 else "")
        lines.append((number, seed, *cells))
    return table(("demonstrations", "seed", *(f"{n} refinements" for n in times)), lines) if lines else MISSING


@of_file("ladi_fidelity")
def fidelity(rows: Rows) -> str:
    """Open-loop errors by horizon."""
    names = [k for k in ("drawer_cm", "slider_cm", "hand_cm", "bulb", "led") if any(k in row for row in rows)]
    lines = []
    for row in sorted(rows, key=lambda r: (r["scene"], r["horizon"])):
        words = row["model"] + (", as it reads itself" if row["reader"] == "own" else "")
        cost = f"{1000 * row['seconds_per_step']:.2f}" if "seconds_per_step" in row else ""
        cells = ["" if k not in row else f"{row[k]:.2f}" if k.endswith("_cm") else f"{row[k]:.1%}" for k in names]
        lines.append((row["horizon"], words, row["scene"], *cells, cost))
    heads = [name.replace("_cm", ", cm") for name in names]
    return table(("control steps", "model", "scene", *heads, "ms a step"), lines)


@of_file("ladi_ablations")
def ablations(rows: Rows) -> str:
    """Success by what is changed."""
    lines = []
    for ablation, words in ABLATIONS.items():
        own = [row for row in rows if row["ablation"] == ablation]
        for value in dict.fromkeys(row["value"] for row in sorted(own, key=_order)):
            mine = [row for row in own if row["value"] == value]
            lines.append((f"{words}: {value}", rate(mine), len({row["seed"] for row in mine})))
    return table(("", "success in the simulator", "seeds"), lines)


def _order(row: dict[str, Any]) -> tuple[bool, float, str]:
    value = str(row["value"])
    return not value.isdigit(), float(value) if value.isdigit() else 0.0, value


@of_file("ladi_agents")
def agents(rows: Rows) -> str:
    """Imagined and real success of every agent in every dream."""
    dreams, lines = sorted({row["dream"] for row in rows}), []
    for agent in sorted({row["agent"] for row in rows}):
        cells = []
        for dream in dreams:
            own = [row for row in rows if (row["agent"], row["dream"]) == (agent, dream)]
            cells += [f"{mean(row['imagined'] for row in own):.0%}" if own else "", rate(own)]
        lines.append((agent, *cells))
    return table(("agent", *(f"{d}, {side}" for d in dreams for side in ("imagined", "real"))), lines)


@of_file("chunk_latency")
def latency(rows: Rows) -> str:
    """Milliseconds of a chunk, imagined steps a second and share of the matmul rate."""
    envs, lines = sorted({row["num_envs"] for row in rows}), []
    keys = ("model", "sampler_steps", "samples", "precision", "threads", "chunk")
    for key in dict.fromkeys(tuple(row[k] for k in keys) for row in rows):
        own = {row["num_envs"]: row for row in rows if tuple(row[k] for k in keys) == key}
        words = key[0] if key[1] is None else f"{key[0]}, {key[1]} steps, {key[2]} sample{'s' * (key[2] > 1)}"
        lines.append((f"{words}, {key[3]}", key[4], key[5], *(_cell(own.get(n)) for n in envs)))
    return table(("ms (steps/s, share of matmul)", "threads", "chunk", *(f"{n} envs" for n in envs)), lines)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{1000 * row['latency_s']:.0f} ({row['steps_per_s']:,.0f}, {row['matmul_share']:.0%})"


def blocks() -> dict[str, Callable[[], str]]:
    """The page's tables by the name in their markers."""
    makers: Sequence[Callable[[], str]] = (refinement, kinds, spread, fidelity, ablations, agents, latency)
    return {make.__name__: make for make in makers}
