"""The report's plots: training curves, real against imagined, reliability, exploitation gap. Needs the report extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.evaluation.pages.experiment import Run
from dreamgym.evaluation.pages.pictures import DREAM, GREY, INK, PALE, PLOT_STYLE, pyplot, quiet
from dreamgym.evaluation.statistics.agreement import Score
from dreamgym.evaluation.statistics.calibration import Reliability
from dreamgym.evaluation.statistics.inference import wilson


def plot_training(runs: Sequence[Run], columns: int = 3) -> Any:
    """Success over fine-tuning, a panel a task (and variant): thin while exploring, points as evaluated in both worlds.

    Returns:
        A matplotlib figure; None where no run has a log or two evaluations.
    """
    shown = [r for r in runs if r.log or len(r.dated()) > 1]
    tasks = list(dict.fromkeys((r.variant, r.task) for r in shown))
    if not tasks:
        return None
    plt = pyplot()
    columns = min(columns, len(tasks))
    rows = -(-len(tasks) // columns)
    wide = 10.6 if columns > 1 else 7.0
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(wide, 2.9 * rows + 0.3), squeeze=False, sharey=True)
        for axis in axes.flat[len(tasks) :]:
            axis.axis("off")
        for axis, task in zip(axes.flat, tasks, strict=False):
            _training_panel(axis, [r for r in shown if (r.variant, r.task) == task])
            name = ": ".join(x.replace("_", " ") for x in task if x)
            axis.set_title(name, loc="left", fontsize=10.5, color=INK)
        handles: dict[str, Any] = {}
        for axis in axes.flat:
            handles |= {label: h for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=3, frameon=False, labelcolor=INK)
        figure.tight_layout(rect=(0, 0.33 / (2.9 * rows + 0.3), 1, 1), h_pad=1.4, w_pad=1.4)
    return figure


def _training_panel(axis: Any, runs: Sequence[Run]) -> None:
    for run in runs:
        line = [(p["steps"], 100 * p["success"]) for p in run.log if p["success"] is not None]
        if line:
            axis.plot(
                *zip(*line, strict=True),
                color=DREAM,
                alpha=0.35,
                linewidth=1.1,
                label="while exploring, as told by the log",
            )
        dated = run.dated()
        for kind, color, label in (("dream", DREAM, "dream, 95% interval"), ("twin", INK, "twin, 95% interval")):
            points = [(s, getattr(e, kind)) for s, e in dated if getattr(e, kind) is not None]
            if points:
                counts = [(p.success.sum(), len(p)) for _, p in points]
                _with_intervals(axis, [s for s, _ in points], counts, color, label)
    axis.set_ylim(-3, 103)
    axis.set_xlabel("environment steps", color=GREY, fontsize=9)
    axis.set_ylabel("success, %", color=GREY, fontsize=9)
    axis.xaxis.set_major_formatter(_short_number)
    quiet(axis)


def _with_intervals(axis: Any, x: Sequence[float], counts: Sequence[tuple[int, int]], color: str, label: str) -> None:
    rate = np.array([k / n for k, n in counts])
    ends = np.array([wilson(k, n) for k, n in counts])
    bars = np.abs(ends - rate[:, None]).T
    style = {"markersize": 5.5, "linewidth": 1.6, "elinewidth": 1.1, "capsize": 0}
    axis.errorbar(x, 100 * rate, 100 * bars, fmt="-o", color=color, label=label, **style)


def _short_number(value: float, _: Any = None) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def plot_trust(
    scores: Sequence[Score],
    told: Mapping[str, Any],
    reliability: Reliability | None,
    gap: Sequence[Mapping[str, float]],
) -> Any:
    """Three panels, those that there is something for: real against imagined, reliability, exploitation gap.

    Args:
        scores: a point each.
        told: `study.Study.to_dict`, whose figures are written into the panels.
        reliability: of the reward model.
        gap: `agreement.exploitation_gap`.

    Returns:
        A matplotlib figure.
    """
    plt = pyplot()
    panels: list[Any] = [lambda axis: _scatter(axis, scores, told)]
    if reliability is not None and reliability.count.sum():
        panels.append(lambda axis: _reliability(axis, reliability))
    if len(gap) > 1:
        panels.append(lambda axis: _gap(axis, gap))
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(10.6 if len(panels) == 3 else 3.7 * len(panels), 3.9), squeeze=False
        )
        for axis, draw in zip(axes.flat, panels, strict=True):
            draw(axis)
        figure.tight_layout(w_pad=2.2)
    return figure


def _square(axis: Any, title: str, x: str, y: str) -> None:
    axis.plot([0, 100], [0, 100], color=PALE, linestyle="--", linewidth=1.2, zorder=0)
    axis.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
    axis.set_title(title, loc="left", fontsize=10.5, color=INK)
    axis.set_xlabel(x, color=GREY, fontsize=9)
    axis.set_ylabel(y, color=GREY, fontsize=9)
    quiet(axis, "both")


def _scatter(axis: Any, scores: Sequence[Score], told: Mapping[str, Any]) -> None:
    real, dream = (100 * np.array([getattr(s, k) for s in scores]) for k in ("real", "imagined"))
    ends = [np.array([wilson(rate * n, n) for rate, n in (s.sure_of(k) for s in scores)]) for k in ("real", "imagined")]
    bars = [np.abs(100 * e - v[:, None]).T for e, v in zip(ends, (real, dream), strict=True)]
    axis.errorbar(real, dream, bars[1], bars[0], fmt="none", ecolor=PALE, elinewidth=1, zorder=1)
    axis.scatter(real, dream, s=30, color=DREAM, edgecolor="white", linewidth=0.7, zorder=2)
    _square(axis, "real against imagined", "success in the twin, %", "success in the dream, %")
    figures = [("r", told.get("pearson")), ("MMRV", told.get("mmrv"))]
    text = "\n".join(f"{name} = {value:.2f}" for name, value in figures if value is not None)
    axis.text(0.97, 0.05, text, transform=axis.transAxes, ha="right", va="bottom", color=INK, fontsize=10)


def _reliability(axis: Any, found: Reliability) -> None:
    some = found.count > 0
    count, said = found.count[some], 100 * found.probability[some] / found.count[some]
    true = 100 * found.success[some] / count
    ends = 100 * np.array([wilson(k, n) for k, n in zip(found.success[some], count, strict=True)])
    axis.errorbar(said, true, np.abs(ends - true[:, None]).T, fmt="none", ecolor=PALE, elinewidth=1, zorder=1)
    size = 14 + 60 * np.log1p(count) / np.log1p(count.max())
    axis.scatter(said, true, s=size, color=INK, edgecolor="white", linewidth=0.7, zorder=2)
    _square(axis, "reward model in the twin", "probability it states, %", "done by the simulator's rules, %")
    text = f"ECE = {found.ece:.3f}\nF1 = {found.f1:.2f}"
    axis.text(0.97, 0.05, text, transform=axis.transAxes, ha="right", va="bottom", color=INK)


def _gap(axis: Any, gap: Sequence[Mapping[str, float]]) -> None:
    step, value, low, high = (np.array([g[k] for g in gap]) for k in ("step", "gap", "gap_low", "gap_high"))
    axis.axhline(0, color=PALE, linestyle="--", linewidth=1.2)
    axis.fill_between(step, 100 * low, 100 * high, color=DREAM, alpha=0.13, linewidth=0)
    axis.plot(step, 100 * value, "-o", color=DREAM, markersize=4.5, linewidth=1.7)
    axis.set_box_aspect(1)
    axis.set_title("exploitation gap", loc="left", fontsize=10.5, color=INK)
    axis.set_xlabel("steps of fine-tuning", color=GREY, fontsize=9)
    axis.set_ylabel("imagined minus real success, points", color=GREY, fontsize=9)
    axis.xaxis.set_major_formatter(_short_number)
    quiet(axis)
