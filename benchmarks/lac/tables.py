"""LAC-WM's tables for docs/lac_wm.md, of the result files that are there; `benchmarks/figures.py` writes them.

Success is given with an interval for other seeds and other starts together (`dreamgym.evaluation.statistics.crossed`),
all else as the mean over seeds, +- their standard deviation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.statistics.crossed import crossed_mean

RESULTS = Path(__file__).parents[1] / "results"
SPLITS = {"instances": "new instances", "categories": "new categories"}
METHODS = {
    "mean": "policy, mean of its proposals", "random": "policy, any proposal", "EAC-S": "EAC-WM-S, from scratch",
    "EAC": "EAC-WM", "LAC": "LAC-WM",
}  # fmt: skip
"""Table 2, in its order; Table 1 takes the last three."""
ABLATIONS = {
    "LAC": "LAC-WM", "LAC-MD-CA": "no motion decoder, no cross-augmentation", "LAC-DFT": "projector and LoRA at once",
    "LAC-(2,3)": "no first stage", "LAC-(1,2)": "no stage for the projector", "EAC": "EAC-WM",
    "EAC-TFT": "EAC-WM, encoder first, then LoRA",
}  # fmt: skip
"""Tables 3 and 5."""
SCALING = {
    "1": "one robot", "2-half": "two robots, half of the episodes each", "2": "two robots", "": "three robots",
}  # fmt: skip
"""Figs. 4 and 5: suffixes of variants."""
Rows = Sequence[dict[str, Any]]


def rows_of(name: str) -> Rows:
    """The rows of a result file."""
    found: Rows = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return found


def spread(values: Sequence[float], form: str) -> str:
    """Mean over seeds, and their standard deviation."""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form}}" if len(values) > 1 else "")


def rate(rows: Rows, name: str) -> str:
    """Per cent of an outcome with its interval, over seeds and starts."""
    found = crossed_mean(np.array([[int(x) for x in row[f"{name}_outcomes"]] for row in rows]))
    low, high = found.rate_interval()
    return f"{100 * found.value:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def rollouts(rows: Rows | None = None) -> str:
    """Table 1."""
    rows, lines = rows_of("lac_rollouts") if rows is None else rows, []
    for split, where in SPLITS.items():
        for method in ("EAC-S", "EAC", "LAC"):
            own = [r for r in rows if (r["model"], r["split"]) == (method, split)]
            if own:
                forms = {"psnr": ".2f", "ssim": ".3f", "frechet": ".2f"}
                cells = [spread([r[key] for r in own], form) for key, form in forms.items()]
                lines.append((where, METHODS[method], *cells, f"{own[0]['copy_psnr']:.2f}", len(own)))
    return table(("objects", "", "PSNR, dB", "SSIM", "Fréchet, own encoder", "PSNR of the first frame", "seeds"), lines)


def selected(words: dict[str, str], rows: Rows) -> str:
    """A line a split and method of `words`, in their order."""
    lines = []
    for split, where in SPLITS.items():
        for method, name in words.items():
            own = [r for r in rows if (r["method"], r["split"]) == (method, split)]
            if own:
                gaps = [spread([r[key] for r in own], ".2f") for key in ("delta_f", "delta_f_goal")]
                shares = [rate(own, key) for key in ("contact", "lift", "success")]
                lines.append((where, name, *gaps, *shares, f"{len(own)} x {own[0]['episodes']}"))
    heads = ("objects", "", "delta f", "delta f_g", "touched, %", "lifted, %", "success, %", "seeds x episodes")
    return table(heads, lines)


def selection(rows: Rows | None = None) -> str:
    """Table 2."""
    return selected(METHODS, rows_of("lac_selection") if rows is None else rows)


def ablations(rows: Rows | None = None) -> str:
    """Tables 3 and 5."""
    return selected(ABLATIONS, rows_of("lac_selection") if rows is None else rows)


def scaling(rows: Rows | None = None) -> str:
    """Figs. 4 and 5: both splits together."""
    rows, lines = rows_of("lac_selection") if rows is None else rows, []
    for suffix, words in SCALING.items():
        for family in ("LAC", "EAC"):
            own = [r for r in rows if r["method"] == "-".join(filter(None, (family, suffix)))]
            seeds = sorted({r["seed"] for r in own})
            whole = [[r for r in own if r["seed"] == seed] for seed in seeds]
            whole = [sorted(part, key=lambda r: r["split"]) for part in whole if len(part) == len(SPLITS)]
            if whole:
                joint = [{"success_outcomes": "".join(r["success_outcomes"] for r in part)} for part in whole]
                gaps = [spread([mean(r[k] for r in p) for p in whole], ".2f") for k in ("delta_f", "delta_f_goal")]
                lines.append((words, METHODS[family], *gaps, rate(joint, "success"), len(whole)))
    return table(("pretrained on", "", "delta f", "delta f_g", "success, %", "seeds"), lines)


def probe(rows: Rows | None = None, played: Rows | None = None) -> str:
    """Figs. 2 and 3 in numbers."""
    rows = rows_of("lac_probe") if rows is None else rows
    played, lines = rows_of("lac_transfer") if played is None else played, []
    for name in dict.fromkeys(row["embedding"] for row in rows):
        own, moved = ([r for r in part if r["embedding"] == name] for part in (rows, played))
        told, still = ([100 * r[k] for r in part] for part, k in ((own, "robot_accuracy"), (moved, "still")))
        ways = [spread([r[key] for r in moved], ".2f") for key in ("agreement", "own")]
        lines.append((name, spread(told, ".0f"), *ways, spread(still, ".0f"), len(own)))
    heads = (
        "latent actions of", "robot told, % (chance 33)", "agreement on another robot", "on its own", "stood still, %",
        "seeds",
    )  # fmt: skip
    return table(heads, lines)


def speed(rows: Rows | None = None) -> str:
    """Seconds of a decision."""
    lines = [
        (f"{r['candidates']} x {r['frames']}", r["precision"], f"{r['seconds']:.2f}", f"{r['matmul_share']:.0%}")
        for r in (rows_of("lac_speed") if rows is None else rows)
    ]
    return table(("candidates x frames", "precision", "seconds, one thread", "share of the matmul rate"), lines)


TABLES: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
    "rollouts": (rollouts, ("lac_rollouts",)),
    "selection": (selection, ("lac_selection",)),
    "ablations": (ablations, ("lac_selection",)),
    "scaling": (scaling, ("lac_selection",)),
    "probe": (probe, ("lac_probe", "lac_transfer")),
    "speed": (speed, ("lac_speed",)),
}
"""Tables by their marker, and the result files that they are made of."""


def blocks() -> dict[str, Callable[[], str]]:
    """The tables whose results are there."""
    return {
        name: make
        for name, (make, files) in TABLES.items()
        if all((RESULTS / f"{file}.json").is_file() for file in files)
    }
