"""From the rows of `converged_clones.py` to benchmarks/results/converged_clones.json and the table of the docs.

    python benchmarks/converged_clones_page.py WORK ...    # takes the rows of work folders, then renders
    python benchmarks/converged_clones_page.py             # renders the result file again

Intervals are for other seeds and other starts together (`dreamgym.evaluation.statistics.crossed`), from the outcome of
every episode. The page says how many rows of the plan are there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from converged_clones import GROUPS, VARIANTS

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.statistics.crossed import Mean, crossed_mean, mean_of

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "converged_clones.json"
PAGE = ROOT / "docs" / "results" / "converged_clones.md"
ORIGIN = ("machine", "library_version")
Rows = list[dict[str, Any]]

CONTROLS = {
    "gaussian": "Gaussian clone, not fine-tuned",
    "more": "diffusion clone of as many more demonstrations as the dream's data took steps",
    "online": "fine-tuned in the simulator (DPPO)",
    "online_no_cloning": "the same without the cloning term",
    "plain_reward": "dream and classifier without clumsy attempts and without labels on play",
}


def gathered(works: Sequence[Path]) -> dict[str, Any]:
    """The rows of work folders under one header.

    Raises:
        ValueError: no rows, or rows that were run with other settings or worlds, which no table may mix.
    """
    rows = [json.loads(file.read_text()) for work in works for file in sorted((work / "rows").glob("*.json"))]
    if not rows:
        raise ValueError(f"no rows in {[str(w) for w in works]}: run benchmarks/converged_clones.py first")
    keys = [tuple(r[k] for k in ("scene", "variant", "task", "demonstrations", "seed")) for r in rows]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"these rows are there more than once: {sorted(twice)}")
    rows.sort(key=lambda r: (list(VARIANTS).index(r["variant"]), r["scene"], r["demonstrations"], r["seed"]))
    settings, worlds = rows[0]["settings"], {}
    for row in rows:
        if row["settings"] != settings:
            raise ValueError(f"{row['variant']} {row['task']} was run with {row['settings']}, others with {settings}")
        hashes = {k: v for k, v in row["hashes"].items() if k != "demonstrations"}
        if worlds.setdefault(row["world_model"], hashes) != hashes:
            raise ValueError(f"{row['world_model']} changed between rows: {worlds[row['world_model']]} and {hashes}")
    header = {key: ", ".join(sorted({r[key] for r in rows})) for key in ORIGIN}
    left = [{k: v for k, v in r.items() if k not in ("settings", *ORIGIN)} for r in rows]
    return {**header, "settings": settings, "worlds": worlds, "rows": left}


def outcomes(rows: Rows, name: str) -> np.ndarray:
    """[seeds, starts] of one task: 1 where the episode succeeded."""
    if any(r["starts"] != rows[0]["starts"] for r in rows):
        raise ValueError(f"the seeds of {rows[0]['task']} did not begin from the same starts")
    return np.array([[int(x) for x in r[f"{name}_outcomes"]] for r in rows])


def by_task(rows: Rows) -> dict[str, Rows]:
    """Rows of each task, in the order in which tasks first appear."""
    return {task: [r for r in rows if r["task"] == task] for task in dict.fromkeys(r["task"] for r in rows)}


def rate(found: Mean) -> str:
    """Per cent with its interval."""
    low, high = found.rate_interval()
    return f"{100 * found.value:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def points(found: Mean) -> str:
    """A gain in points with its interval."""
    low, high = found.interval()
    return f"**{100 * found.value:+.1f}** ({100 * low:+.0f} to {100 * high:+.0f})"


def means(rows: Rows, name: str) -> list[Mean]:
    """Of each task, the success of "base" or "tuned", or the "gain"."""
    if name == "gain":
        return [crossed_mean(outcomes(own, "tuned") - outcomes(own, "base")) for own in by_task(rows).values()]
    return [crossed_mean(outcomes(own, name)) for own in by_task(rows).values()]


def task_table(rows: Rows) -> str:
    """A line a task of rows with one number of demonstrations, and their mean."""
    found = {name: means(rows, name) for name in ("base", "tuned", "gain")}
    lines = []
    for i, (task, own) in enumerate(by_task(rows).items()):
        imagined = [f"{100 * np.mean([r[f'{name}_imagined'] for r in own]):.0f}" for name in ("base", "tuned")]
        epochs = ", ".join(f"{r['epochs']:,}" for r in own)
        told = (rate(found["base"][i]), rate(found["tuned"][i]), points(found["gain"][i]))
        lines.append((f"`{task}`", len(own), epochs, *told, *imagined))
    imagined = [f"{np.mean([float(line[j]) for line in lines]):.0f}" for j in (-2, -1)]
    base, tuned = (f"{100 * mean_of(found[name]).value:.1f}" for name in ("base", "tuned"))
    lines.append(("mean", "", "", base, tuned, points(mean_of(found["gain"])), *imagined))
    heads = ("task", "seeds", "epochs", "clone", "fine-tuned", "gain", "clone, imagined", "fine-tuned, imagined")
    return table(heads, lines)


def curve_table(rows: Rows) -> str:
    """A line a number of demonstrations: what the dream adds to the mean over tasks."""
    lines = []
    for number in sorted({r["demonstrations"] for r in rows}):
        own = [r for r in rows if r["demonstrations"] == number]
        told = [f"{100 * mean_of(means(own, name)).value:.1f}" for name in ("base", "tuned")]
        fell = sum(m.value < 0 for m in means(own, "gain"))
        lines.append((number, len(by_task(own)), len(own), *told, points(mean_of(means(own, "gain"))), fell))
    heads = ("demonstrations", "tasks", "rows", "clone", "fine-tuned", "gain", "tasks that fell")
    return table(heads, lines)


def control_table(rows: Rows) -> str:
    """A line a control: success on its tasks and seeds, beside the dream's on the same; "" where none was run."""
    lines = []
    for name, words in CONTROLS.items():
        own = [r for r in rows if r["variant"] == name]
        for number in sorted({r["demonstrations"] for r in own}) if name != "more" else [None] * bool(own):
            part = [r for r in own if number in (None, r["demonstrations"])]
            keys = {(r["task"], r["seed"]) for r in part}
            beside = [
                r for r in rows
                if r["variant"] == "dream" and (r["task"], r["seed"]) in keys and number in (None, r["demonstrations"])
            ]  # fmt: skip
            side = "tuned" if all("tuned" in r for r in part) else "base"
            steps = sum(r.get("sim_steps", 0) for r in part) // len(part)
            dream = f"{100 * np.mean([r['tuned'] for r in beside]):.1f}" if beside else "-"
            count = ", ".join(f"{n:,}" for n in sorted({r["demonstrations"] for r in part}))
            told = f"{100 * mean_of(means(part, side)).value:.1f}"
            lines.append((words, count, len(part), told, dream, f"{steps:,}", f"{part[0]['world_sim_steps']:,}"))
    heads = (
        "control", "demonstrations", "rows", "success", "fine-tuned in the dream, same tasks and seeds",
        "simulator steps of fine-tuning", "simulator steps of the dream's data",
    )  # fmt: skip
    return table(heads, lines) if lines else ""


def page(told: dict[str, Any]) -> str:
    """The Markdown of a result file, a part a scene."""
    parts = []
    for scene in dict.fromkeys(r["scene"] for r in told["rows"]):
        parts += scene_part(scene, [r for r in told["rows"] if r["scene"] == scene], told)
    return "\n\n".join(parts) + "\n"


def scene_part(scene: str, rows: Rows, told: dict[str, Any]) -> list[str]:
    """What one scene came to."""
    main = [r for r in rows if r["variant"] == "dream"]
    tasks = {r["task"] for r in main}
    planned, settings = len(GROUPS) * max(8, len(tasks)), told["settings"]
    parts = [f"**Scene {scene}: {len(main)} of {planned} rows are there.**"]
    for number in sorted({r["demonstrations"] for r in main}):
        parts += [f"{number} demonstrations", task_table([r for r in main if r["demonstrations"] == number])]
    parts += ["By the number of demonstrations", curve_table(main)]
    if controls := control_table(rows):
        parts += ["Controls", controls]
    return [*parts, footnote(main, settings, told["machine"])]


def footnote(main: Rows, settings: dict[str, Any], machine: str) -> str:
    """How the figures were measured."""
    imagined = sorted({r["dream_steps"] for r in main})
    spans = " to ".join(f"{s:,}" for s in dict.fromkeys((imagined[0], imagined[-1])))
    operators = ", ".join(sorted({o for r in main for o in r["operators"]}))
    commits = ", ".join(sorted({r["commit"][:7] for r in main}))
    ladder, val = ", ".join(f"{e:,}" for e in settings["epochs"]), settings["val_episodes"]
    return (
        f"Success in per cent in the simulator from {settings['episodes']} test starts, one a scene, the same before "
        "and after, with 95% intervals for other starts and seeds together (of one seed: for other starts). Each clone "
        f"was trained for {ladder} epochs in turn until success from {val} val starts no longer rose; the column says "
        f"what was chosen. Demonstrations by these operators: {operators}. Imagined steps a run, evaluations included: "
        f"{spans}; in the simulator none, but {main[0]['world_sim_steps']:,} simulator steps made the data that world "
        f"model and reward learned from. Commit {commits}; {machine}. File: `benchmarks/results/{RESULT.name}`."
    )


def main(args: Sequence[str] | None = None) -> int:
    """Gathers where a work folder is given, and renders."""
    words = list(sys.argv[1:] if args is None else args)
    if words:
        RESULT.write_text(json.dumps(gathered([Path(w) for w in words]), indent=1) + "\n")
    PAGE.write_text(page(json.loads(RESULT.read_text())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
