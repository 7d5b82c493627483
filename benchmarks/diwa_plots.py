"""The pictures of `diwa_results.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dreamgym.evaluation.pages.pictures import DREAM, GREY, INK, PALE, PLOT_STYLE, pyplot, quiet
from dreamgym.evaluation.statistics.inference import wilson
from dreamgym.suites.calvin.tasks import TASKS

Rows = list[dict[str, Any]]
RATES = ("base", "tuned", "base_imagined", "tuned_imagined")


def plot_gains(rows: Rows, variants: list[str]) -> Any:
    """Base to tuned in the simulator, a line a task, a panel a variant; hollow: what the dream said."""
    plt = pyplot()
    tasks = [t for t in TASKS if any(r["task"] == t for r in rows)]
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(variants), figsize=(4.6 * len(variants), 3.6), sharey=True, squeeze=False)
        for axis, name in zip(axes.flat, variants, strict=True):
            _gains(axis, [r for r in rows if r["variant"] == name], tasks, name)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, labelcolor=INK)
        figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _gains(axis: Any, rows: Rows, tasks: list[str], name: str) -> None:
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


def plot_ablation(rows: Rows, variants: dict[str, str]) -> Any:
    """Imagined and real success after fine-tuning, side by side, a panel a task; dashed: the base in the simulator.

    Args:
        rows: those of the variants.
        variants: names, in order, and how to call them.
    """
    plt = pyplot()
    tasks = [t for t in TASKS if any(r["task"] == t for r in rows)]
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(tasks), figsize=(5.2 * len(tasks), 3.6), sharey=True, squeeze=False)
        for axis, task in zip(axes.flat, tasks, strict=True):
            _ablation(axis, [r for r in rows if r["task"] == task], variants)
            axis.set_title(task.replace("_", " "), loc="left", fontsize=10.5, color=INK)
        axes.flat[0].set_ylabel("success, %", color=GREY, fontsize=9)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, labelcolor=INK)
        figure.tight_layout(rect=(0, 0.09, 1, 1))
    return figure


def _ablation(axis: Any, rows: Rows, variants: dict[str, str]) -> None:
    shown = [v for v in variants if any(r["variant"] == v for r in rows)]
    for key, color, shift, label in (
        ("tuned_imagined", DREAM, -0.13, "tuned, imagined"),
        ("tuned", INK, 0.13, "tuned, in the simulator"),
    ):
        for place, name in enumerate(shown):
            own = [r for r in rows if r["variant"] == name]
            hits, episodes = sum(r[key] * r["episodes"] for r in own), sum(r["episodes"] for r in own)
            low, high = wilson(hits, episodes)
            middle = hits / episodes
            bar = [[100 * (middle - low)], [100 * (high - middle)]]
            name_once = label if place == 0 else None
            axis.errorbar([place + shift], [100 * middle], bar, fmt="o", color=color, elinewidth=1.2, label=name_once)
    for place, name in enumerate(shown):
        base = 100 * np.mean([r["base"] for r in rows if r["variant"] == name])
        once = "cloned, in the simulator" if place == 0 else None
        axis.hlines(base, place - 0.35, place + 0.35, color=GREY, linestyle="--", linewidth=1.2, label=once)
    axis.set_xticks(range(len(shown)), [variants[v] for v in shown])
    axis.set_ylim(0, 103)
    quiet(axis)


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
        axis.set(xlim=(-2, 102), ylim=(-2, 102))
        axis.set_xlabel("imagined success, %", color=GREY, fontsize=9)
        axis.set_ylabel("success in the simulator, %", color=GREY, fontsize=9)
        axis.legend(frameon=False, labelcolor=INK, fontsize=9)
        quiet(axis)
        figure.tight_layout()
    return figure


def plot_trust(told: dict[str, Any]) -> Any:
    """What the classifier states against what the simulator says, and how the dream drifts with the horizon."""
    plt = pyplot()
    found = told["reliability"]
    count, said, true = (np.array(found[k], float) for k in ("count", "probability", "success"))
    some = count > 0
    drift = {int(k): v for k, v in told["drift"].items()}
    steps = sorted(drift)
    with plt.rc_context(PLOT_STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.6, 3.4))
        left.plot([0, 100], [0, 100], "--", color=PALE, linewidth=1)
        left.plot(100 * said[some] / count[some], 100 * true[some] / count[some], "o-", color=DREAM)
        left.set_title(f"success classifier, ECE {found['ece']:.3f}", loc="left", fontsize=10.5, color=INK)
        left.set_xlabel("probability it states, %", color=GREY, fontsize=9)
        left.set_ylabel("done by the simulator's rules, %", color=GREY, fontsize=9)
        marks = {"tcp": "hand", "slider": "slider", "drawer": "drawer"}
        for (name, called), style in zip(marks.items(), ("o-", "s--", "D:"), strict=True):
            middle.plot(steps, [100 * drift[s][name] for s in steps], style, color=DREAM, mfc="none", label=called)
        middle.set_title("error of the dream, cm", loc="left", fontsize=10.5, color=INK)
        marks = {"bulb": "bulb", "led": "LED", "verdicts": "verdict of the task"}
        for (name, called), style in zip(marks.items(), ("o-", "s--", "D:"), strict=True):
            right.plot(steps, [100 * drift[s][name] for s in steps], style, color=DREAM, mfc="none", label=called)
        right.set_title("agrees with the simulator, %", loc="left", fontsize=10.5, color=INK)
        right.set_ylim(0, 103)
        for axis in (middle, right):
            axis.set_xlabel("steps under the same actions", color=GREY, fontsize=9)
            axis.legend(frameon=False, labelcolor=INK, fontsize=9)
        for axis in (left, middle, right):
            quiet(axis)
        figure.tight_layout(w_pad=2)
    return figure
