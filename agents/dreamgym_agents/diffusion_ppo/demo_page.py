"""The demo's section on fine-tuning, for the page and for the terminal. Needs the report extra."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from dreamgym.evaluation.pages.experiment import read_experiment
from dreamgym.evaluation.pages.page import html_table, tiles
from dreamgym.evaluation.pages.parts import Section
from dreamgym.evaluation.pages.pictures import DREAM, GREY, INK, PLOT_STYLE, data_uri, figure_svg, pyplot, quiet
from dreamgym.evaluation.statistics.inference import wilson
from dreamgym_agents.diffusion_ppo.tuned import Tuned, counts, flattery, gain, words

HEADS = ["", "before", "after", "gain"]
SIDES = (("twin", "in the simulator"), ("dream", "in the dream"))
TITLES = {"successes": "Done in both worlds", "disagreements": "Done in one world alone"}


def section(done: Tuned) -> Section:
    """Everything that is shown of a fine-tuned policy."""
    told = words(done)
    name = done.task.replace("_", " ")
    title = f"{name}: success in %, 95% intervals, {len(done.base.twin or ())} paired episodes"
    rows = _rows(done, lambda value, interval: f"{value} ({interval})")
    return Section("tuning", _html(done, told), done.to_dict(), title, HEADS, rows, told)


def _rows(done: Tuned, join: Callable[[str, str], str]) -> list[list[str]]:
    """The table; ``join`` puts a value and its interval together."""

    def rate(k: int, n: int) -> str:
        low, high = wilson(k, n)
        return join(f"{100 * k / n:.0f}", f"{100 * low:.0f}–{100 * high:.0f}")

    def change(value: float, low: float, high: float) -> str:
        return join(f"{100 * value:+.0f}", f"{100 * low:+.0f} to {100 * high:+.0f}")

    pair = (done.base, done.tuned)
    rows = [[title, *(rate(*counts(e, side)) for e in pair), change(*gain(done, side))] for side, title in SIDES]
    return [*rows, ["dream minus simulator", *(change(*flattery(e)) for e in pair), ""]]


def _html(done: Tuned, told: list[str]) -> str:
    name = escape(done.task.replace("_", " "))
    rows = _rows(done, lambda value, interval: f"<b>{value}</b><small>{interval}</small>")
    parts = [
        "<h2>A policy practises in the dream</h2>",
        f'<p class="note">A diffusion policy, cloned from demonstrations of “{name}”, was fine-tuned by PPO on imagined episodes (DiWA), '
        "rewarded by the learned success classifier. The simulator was switched off meanwhile. Then the policy as it was before and as it is "
        "after each played from the same held-out starts, in the simulator and in the dream.</p>",
        _tiles(done),
        _curve(done),
        "<h2>Before and after</h2>",
        f'<p class="note">Success in percent over {len(done.base.twin or ())} episodes, 95% intervals beside it (Wilson; Bonett and Price for differences of pairs). '
        "The tuned policy was chosen by its imagined return; real success had no say.</p>",
        html_table(HEADS, rows),
        *(f'<p class="note" style="margin:14px 0 0">{escape(sentence)}</p>' for sentence in told),
        _clips(done),
    ]
    return "".join(parts)


def _tiles(done: Tuned) -> str:
    (before, n), (after, m) = (counts(e, "twin") for e in (done.base, done.tuned))
    figures = [
        (f"{100 * after / m:.0f}", "%", f"success in the simulator after fine-tuning; {100 * before / n:.0f}% before"),
        (f"{done.sim_steps:,}", "", "simulator steps spent on fine-tuning"),
        (f"{done.dream_steps:,}", "", f"imagined steps instead, in {done.seconds:.0f} s"),
        (f"{done.dream_steps / done.seconds:,.0f}", "/s", "imagined steps, learning included"),
    ]
    return tiles(figures)


def _curve(done: Tuned) -> str:
    figure = plot_course(done)
    width = 96 * figure.get_figwidth()
    return f'<div class="plot" style="max-width:{width:.0f}px;margin-top:26px">{figure_svg(figure)}</div>'


def plot_course(done: Tuned) -> Any:
    """Success over fine-tuning: in the dream, while exploring and as scored, and in the simulator before and after.

    Returns:
        A matplotlib figure.
    """
    plt = pyplot()
    first = done.course[0]["dream_steps"] if done.course else 0  # the first score is of the policy before
    at = {e["iteration"]: e["dream_steps"] - first for e in done.course}
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(7.6, 3.3))
        log = [(p["steps"] - first, 100 * p["success"]) for p in _log(done) if p["success"] is not None]
        if log:
            axis.plot(*zip(*log, strict=True), color=DREAM, alpha=0.4, linewidth=1.2, label="dream, while exploring")
        episodes = done.course_episodes
        scored = [(at[e["iteration"]], (round(e["success_rate"] * episodes), episodes)) for e in done.course]
        _points(axis, scored, DREAM, "-o", "dream, as it acts, training starts")
        pair = [(0, counts(done.base, "twin")), (at.get(done.chosen, 0), counts(done.tuned, "twin"))]
        _points(axis, pair[: 2 if done.chosen else 1], INK, "--o", "simulator, held-out starts")
        axis.set_ylim(-3, 103)
        axis.set_title("success, %; bars: 95% intervals", loc="left", fontsize=10.5, color=INK)
        axis.set_xlabel("imagined steps", color=GREY, fontsize=9)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=3, frameon=False, labelcolor=INK, fontsize=9)
        quiet(axis)
        figure.tight_layout()
    return figure


def _log(done: Tuned) -> list[dict[str, Any]]:
    return next((run.log for run in read_experiment(done.run).runs if run.folder == done.run), [])


def _points(axis: Any, points: Sequence[tuple[float, tuple[int, int]]], color: str, style: str, label: str) -> None:
    """Success rates at (steps, (successes, episodes)) with Wilson intervals."""
    if not points:
        return
    rate = np.array([k / n for _, (k, n) in points])
    ends = np.array([wilson(k, n) for _, (k, n) in points])
    bars = 100 * np.abs(ends - rate[:, None]).T
    axis.errorbar(
        [x for x, _ in points], 100 * rate, bars, fmt=style, color=color, label=label, markersize=5.5, linewidth=1.6,
        elinewidth=1.1,
    )  # fmt: skip


def _clips(done: Tuned) -> str:
    """The tuned policy's episodes, as far as there are clips of them."""
    out = []
    for clip in done.tuned.clips:
        file = done.run / "evaluations" / clip["file"]
        if file.is_file():
            out.append(
                f'<figure class="clip" style="margin-top:18px"><h3 style="font-size:15px;margin:0 0 10px;text-align:left">{escape(TITLES.get(clip["kind"], clip["kind"]))}</h3>'
                f'<img alt="simulator above, dream below" src="{data_uri(file.read_bytes(), "gif")}"></figure>'
            )
    if not out:
        return ""
    note = "The tuned policy from the same start in both worlds, the simulator above. It acts on what each of them shows it, so the two need not stay together. The captions say after how many steps the task was done."
    return f'<h2>What it does now</h2><p class="note">{note}</p>{"".join(out)}'
