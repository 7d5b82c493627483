"""Sections of a report: what its trust figures mean, drift on the policies' own paths, the policies, their episodes."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from dreamgym.evaluation.making.measures import format_value
from dreamgym.evaluation.pages.experiment import Experiment
from dreamgym.evaluation.pages.page import html_table
from dreamgym.evaluation.pages.pictures import data_uri
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import interval
from dreamgym.evaluation.statistics.study import Study
from dreamgym.suites import suite, suites

MAX_CLIPS = 6
MAX_ROWS = 60


def with_interval(side: Episodes | None) -> str:
    """Success in percent with its 95% interval, as HTML."""
    if side is None:
        return "–"
    low, high = interval(side)
    return f"{100 * side.rate:.1f}<small>{100 * low:.0f}–{100 * high:.0f}</small>"


def trust_note(told: dict[str, Any]) -> str:
    """What the plots of trust show, in sentences; ``told`` is `Study.to_dict`."""
    parts = ["Left: a point a policy, with 95% intervals."]
    if told.get("mmrv") is not None:
        parts.append(
            f"MMRV is the mean over policies of the most real success that following the dream's order could lose. With these numbers of episodes a perfect dream would show {told['mmrv_floor']:.3f} by chance (19 times in 20 at most {told['mmrv_floor_95']:.3f}), and an r of {told['pearson_ceiling'] or 1:.2f}."
        )
        if len({p["task"] for p in told["policies"]}) > 1 and told.get("mmrv_within_tasks") is not None:
            parts.append(
                f"That compares policies of all tasks with each other; among the policies of one task, averaged over tasks as SimplerEnv does, MMRV is {told['mmrv_within_tasks']:.3f} (by chance {told['mmrv_within_tasks_floor']:.3f})."
            )
    else:
        parts.append("The policies with different results are too few to say how the dream ranks them.")
    if told.get("reliability"):
        parts.append(
            "Reliability: of the frames on which the reward model states a probability, how many the simulator calls done; larger dots, more frames."
        )
    if len(told.get("exploitation_gap", [])) > 1:
        parts.append("A gap that grows with training is a policy that exploits the dream.")
    inference = told.get("inference")
    if inference:
        parts.append(
            f"Intervals of real success from {inference['num_real']} real and {inference['num_imagined']} imagined episodes held the truth in {100 * inference['coverage_95']:.0f}% of resampled trials, with a width of {100 * inference['width']:.0f} points; from the real episodes alone {100 * inference['classical_coverage_95']:.0f}%, {100 * inference['classical_width']:.0f} points."
        )
    return " ".join(parts)


def drift_table(found: Study) -> str:
    """How far the dream drifts along the actions that policies took in the simulator."""
    if not found.drift:
        return ""
    known = {m.name: (m.unit, m.label or m.name) for name in suites() for m in suite(name).measures}
    known["verdicts"] = ("share", "same verdict")
    names = [n for n in next(iter(found.drift.values())) if n in known]
    heads = ["steps", *(known[n][1] for n in names)]
    rows = [[str(h), *(format_value(row[n], known[n][0]) for n in names)] for h, row in found.drift.items()]
    return (
        "<h2>Drift on the policies’ own paths</h2>"
        '<p class="note">The dream imagines along the actions that were executed in the simulator, from the same starts, without looking again: mean error after so many steps (lights and verdict: share that is right).</p>'
        + html_table(heads, rows)
    )


def policy_table(evaluations: Sequence[Evaluation]) -> str:
    """Every policy's success in both worlds."""
    if not evaluations:
        return ""
    heads = ["policy", "task", "episodes", "twin", "dream", "twin, from both", "mean steps", "reward model F1"]
    rows = []
    for e in sorted(evaluations, key=lambda e: (e.task, e.policy))[:MAX_ROWS]:
        estimate, told = e.estimate(), e.summary()
        both = (
            "–"
            if estimate is None
            else f"{100 * estimate.rate:.1f}<small>{100 * estimate.low:.0f}–{100 * estimate.high:.0f}</small>"
        )
        side = e.twin if e.twin is not None else e.dream
        assert side is not None
        f1 = f"{told['classifier']['episode_f1']:.2f}" if "classifier" in told else "–"
        many = e.task.count(",") + 1
        task = e.task.replace("_", " ") if many == 1 else f"{many} tasks"
        rows.append(
            [
                escape(e.policy),
                escape(task),
                str(len(side)),
                with_interval(e.twin),
                with_interval(e.dream),
                both,
                f"{side.length.mean():.0f}",
                f1,
            ]
        )
    more = f'<p class="note">and {len(evaluations) - MAX_ROWS} more.</p>' if len(evaluations) > MAX_ROWS else ""
    return (
        "<h2>The policies</h2>"
        '<p class="note">Success in percent, 95% intervals beside it. “From both” adds the imagined episodes to the real ones by prediction-powered inference.</p>'
        + html_table(heads, rows)
        + more
    )


def clip_figures(experiment: Experiment) -> str:
    """Clips of the tuned policies first; successes, then disagreements."""
    order = []
    for run in experiment.runs:
        for evaluation, file in zip(run.evaluations, run.files, strict=True):
            first = evaluation is run.tuned
            order += [
                (not first, c["kind"] != "successes", evaluation, file.parent / c["file"], c["kind"])
                for c in evaluation.clips
            ]
    shown = [x for x in sorted(order, key=lambda x: x[:2]) if x[3].is_file()]
    # As many of either kind: the successes must not crowd out what went wrong.
    kinds = [[x for x in shown if (x[4] == "successes") is good] for good in (True, False)]
    picked = kinds[0][: max(MAX_CLIPS // 2, MAX_CLIPS - len(kinds[1]))] + kinds[1]
    if not picked:
        return ""
    titles = {"successes": "Done in both worlds", "disagreements": "Done in one world alone: the worst disagreements"}
    cells = "".join(
        f'<figure class="clip" style="margin-top:18px"><h3 style="font-size:15px;margin:0 0 10px;text-align:left">{escape(titles.get(kind, kind))}'
        f' <span style="font-weight:400;color:var(--soft)">{escape(evaluation.policy)}, {escape(evaluation.task.replace("_", " "))}</span></h3>'
        f'<img alt="simulator above, dream below" src="{data_uri(file.read_bytes(), "gif")}"></figure>'
        for _, _, evaluation, file, kind in picked[:MAX_CLIPS]
    )
    return (
        "<h2>Episodes</h2>"
        '<p class="note">Above the simulator, below the dream, from the same start; the policy acts on what each of them shows it, so the two need not stay together. The captions say after how many steps the task was done.</p>'
        + cells
    )
