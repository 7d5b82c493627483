"""Renders benchmarks/results/diwa.json and agreement.json for the docs: docs/results/diwa.md and its two pictures.

python benchmarks/diwa_results.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.card import table
from dreamgym.evaluation.inference import difference, wilson
from dreamgym.evaluation.pictures import DREAM, GREY, INK, PALE, PLOT_STYLE, pyplot, quiet, save_figure
from dreamgym.rewards.tasks import TASKS

ROOT = Path(__file__).resolve().parent
RESULTS, DOCS = ROOT / "results", ROOT.parent / "docs" / "results"
MAIN = {"vision": "vision (pixels alone, as in the paper)", "state": "state (robot_obs and scene_obs)"}
PAPER = (55.2, 83.7)
RATES = ("base", "tuned", "base_imagined", "tuned_imagined")

Rows = list[dict[str, Any]]


def pooled(rows: Rows, key: str) -> tuple[float, int]:
    """Successes and episodes of all seeds together."""
    return sum(r[key] * r["episodes"] for r in rows), sum(r["episodes"] for r in rows)


def whole(text: str) -> str:
    """Text that no browser breaks into lines."""
    return text.replace(" ", "&nbsp;").replace("-", "&#8209;")


def share(rows: Rows, key: str) -> str:
    """A success rate in per cent with its Wilson interval."""
    found = pooled(rows, key)
    low, high = wilson(*found)
    return whole(f"{100 * found[0] / found[1]:.0f} ({100 * low:.0f}-{100 * high:.0f})")


def gain(rows: Rows) -> str:
    """Points gained, with Newcombe's interval."""
    middle, low, high = difference(pooled(rows, "base"), pooled(rows, "tuned"))
    return whole(f"**{100 * middle:+.0f}** ({100 * low:+.0f} to {100 * high:+.0f})")


def summary(rows: Rows) -> str:
    """One variant: a line a task and their mean."""
    by_task = {t: [r for r in rows if r["task"] == t] for t in TASKS if any(r["task"] == t for r in rows)}
    rates = {k: [100 * np.mean([r[k] for r in own]) for own in by_task.values()] for k in RATES}
    lines = [
        (f"`{task}`", len(own), share(own, "base"), share(own, "tuned"), gain(own))
        + tuple(f"{rates[k][i]:.0f}" for k in ("base_imagined", "tuned_imagined"))
        for i, (task, own) in enumerate(by_task.items())
    ]
    base, tuned, *imagined = (float(np.mean(rates[k])) for k in RATES)
    mean = ("mean", "", f"{base:.1f}", f"{tuned:.1f}", f"**{tuned - base:+.1f}**", *(f"{x:.0f}" for x in imagined))
    return table(("task", "seeds", "base", "tuned", "gain", "base, imagined", "tuned, imagined"), [*lines, mean])


def plot_gains(rows: Rows) -> Any:
    """Base to tuned in the simulator, a line a task, a panel a variant; hollow: what the dream said."""
    plt = pyplot()
    shown = [v for v in MAIN if any(r["variant"] == v for r in rows)]
    tasks = [t for t in TASKS if any(r["task"] == t for r in rows)]
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(shown), figsize=(4.6 * len(shown), 3.6), sharey=True, squeeze=False)
        for axis, name in zip(axes.flat, shown, strict=True):
            _panel(axis, [r for r in rows if r["variant"] == name], tasks, name)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, labelcolor=INK)
        figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _panel(axis: Any, rows: Rows, tasks: list[str], name: str) -> None:
    place = np.arange(len(tasks))[::-1]
    mean = {
        k: np.array([100 * np.mean([r[k] for r in rows if r["task"] == t] or [np.nan]) for t in tasks]) for k in RATES
    }
    axis.hlines(place, mean["base"], mean["tuned"], color=PALE, linewidth=3)
    axis.plot(mean["base"], place, "o", color=GREY, label="cloned, in the simulator")
    axis.plot(mean["tuned"], place, "o", color=DREAM, label="tuned, in the simulator")
    axis.plot(mean["base_imagined"], place, "o", mfc="none", mec=GREY, label="cloned, imagined")
    axis.plot(mean["tuned_imagined"], place, "o", mfc="none", mec=DREAM, label="tuned, imagined")
    axis.set_yticks(place, [t.replace("_", " ") for t in tasks])
    axis.set_xlim(0, 102)
    axis.set_xlabel("success, %", color=GREY, fontsize=9)
    axis.set_title(name, loc="left", fontsize=10.5, color=INK)
    quiet(axis, "x")


def plot_agreement(told: dict[str, Any]) -> Any:
    """Real against imagined success, a point a policy."""
    plt = pyplot()
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(4.4, 4.0))
        axis.plot([0, 100], [0, 100], "--", color=PALE, linewidth=1)
        for task, mark in zip(sorted({p["task"] for p in told["policies"]}), "osD^v<>*", strict=False):
            own = [p for p in told["policies"] if p["task"] == task]
            x, y = ([100 * p[k] for p in own] for k in ("imagined", "real"))
            axis.plot(x, y, mark, color=DREAM, mfc="none", label=task.replace("_", " "))
        axis.set(xlim=(0, 102), ylim=(0, 102))
        axis.set_xlabel("imagined success, %", color=GREY, fontsize=9)
        axis.set_ylabel("success in the simulator, %", color=GREY, fontsize=9)
        axis.legend(frameon=False, labelcolor=INK, fontsize=9)
        quiet(axis)
        figure.tight_layout()
    return figure


def main() -> int:
    """Writes the page's part and its pictures."""
    DOCS.mkdir(parents=True, exist_ok=True)
    found = json.loads((RESULTS / "diwa.json").read_text())
    rows, settings = found["rows"], found["settings"]
    parts = []
    for name, title in MAIN.items():
        own = [r for r in rows if r["variant"] == name]
        if own:
            parts.append(f"**{title}**\n\n{summary(own)}")
    steps = sorted({r["dream_steps"] for r in rows if r["variant"] in MAIN})
    span = " to ".join(f"{s:,}" for s in dict.fromkeys((steps[0], steps[-1])))
    parts.append(
        f"Success in per cent with Wilson 95% intervals, seeds pooled; gains in points with Newcombe's. "
        f"{rows[0]['episodes']} paired episodes a seed from held-out starts; {span} imagined steps a run, evaluations "
        f"included, and 0 in the simulator; {settings['num_envs']} dreams at a time. Machine: {found['machine']}. "
        f"The paper's mean is {PAPER[0]} to {PAPER[1]}."
    )
    save_figure(plot_gains(rows), DOCS / "diwa.png")
    parts.append("![Success before and after fine-tuning, in the simulator and as imagined](diwa.png)")
    file = RESULTS / "agreement.json"
    if file.is_file():
        save_figure(plot_agreement(json.loads(file.read_text())), DOCS / "agreement.png")
    (DOCS / "diwa.md").write_text("\n\n".join(parts) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
