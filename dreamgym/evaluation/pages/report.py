"""The report of an experiment: one HTML page with everything in it. `experiment.py` says which files it reads."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.making.measures import format_value
from dreamgym.evaluation.pages.experiment import Experiment, Run, read_experiment
from dreamgym.evaluation.pages.page import document, html_table, tiles
from dreamgym.evaluation.pages.pictures import data_uri, figure_svg
from dreamgym.evaluation.pages.plots import plot_training, plot_trust
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import gain as gained
from dreamgym.evaluation.statistics.inference import wilson
from dreamgym.evaluation.statistics.study import Study, study
from dreamgym.suites import suite, suites
from dreamgym.version import __version__

FEWEST_RANKED = 3
"""Policies below which neither order nor correlation means anything."""
MAX_CLIPS = 6
MAX_ROWS = 60


def write_report(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Writes the page of an experiment.

    Args:
        folder: see `experiment`.
        out: file; None: report.html in the folder.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: nothing of an experiment in it.
        ImportError: the report extra is missing.
    """
    experiment = read_experiment(Path(folder))
    file = Path(folder) / "report.html" if out is None else Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(report_page(experiment), encoding="utf-8")
    return file


def report_page(experiment: Experiment) -> str:
    """The page as text."""
    whole = [e for e in experiment.evaluations if e.dream is not None and e.twin is not None]
    found = study(whole) if whole else None
    told = {} if found is None else found.to_dict()
    if len(whole) < FEWEST_RANKED:
        told = {k: v for k, v in told.items() if k not in ("pearson", "mmrv")}
    figure = plot_training(experiment.runs)
    gains = _gains(experiment.runs)
    parts = [
        f'<p class="kicker">dreamgym report</p><h1>{escape(experiment.title)}</h1><p class="lead">{escape(_lead(experiment, whole))}</p>',
        _tiles(experiment, gains, told),
    ]
    if gains:
        parts += [
            "<h2>Before and after</h2>",
            '<p class="note">Success in percent on held-out starts, 95% intervals beside it (Wilson; Bonett and Price for the gain). The tuned policy is the one that was chosen by its imagined return; real success had no say.</p>',
            _gain_table(gains),
        ]
    if figure is not None:
        parts += [
            "<h2>Fine-tuning</h2>",
            '<p class="note">The faint line is what the log tells of the exploring policy; the points are policies evaluated from the same held-out starts in both worlds.</p>',
            _plot(figure),
        ]
    if found is not None:
        parts += [
            "<h2>How far the dream can be trusted</h2>",
            f'<p class="note">{_trust_note(told)}</p>',
            _plot(plot_trust(found.scores, told, found.reliability, found.gap)),
            _drift(found),
        ]
    parts += [_clips(experiment), _policies(experiment.evaluations), f"<footer>{escape(_footer(experiment))}</footer>"]
    return document(f"dreamgym: {experiment.title}", parts)


def _lead(experiment: Experiment, whole: Sequence[Evaluation]) -> str:
    if experiment.note:
        return experiment.note
    dream, sim = (sum(r.steps[i] for r in experiment.runs) for i in (0, 1))
    tuned = f"{dream:,} imagined steps of fine-tuning and {sim:,} in the simulator. " if dream or sim else ""
    paired = sum(len(e.twin) for e in whole if e.twin is not None)
    models = ", ".join(sorted({e.world_model for e in experiment.evaluations}))
    scored = f"{len(experiment.evaluations)} policies scored in the dream {models} and in its simulator twin: {paired:,} paired episodes from the same held-out starts."
    return tuned + (scored if experiment.evaluations else "No policy was evaluated yet: dreamgym evaluate RUN.")


Gain = tuple[Run, Evaluation, Evaluation]


def _gains(runs: Sequence[Run]) -> list[Gain]:
    return [(r, r.base, r.tuned) for r in runs if r.base is not None and r.tuned is not None]


def _with_interval(side: Episodes | None) -> str:
    if side is None:
        return "–"
    low, high = wilson(int(side.success.sum()), len(side))
    return f"{100 * side.rate:.1f}<small>{100 * low:.0f}–{100 * high:.0f}</small>"


def _gain_table(gains: Sequence[Gain]) -> str:
    heads = ["task", "run", "real: base", "tuned", "gain", "dream: base", "tuned", "dream steps", "sim steps"]
    rows = []
    for run, base, tuned in gains:
        gain = "–"
        if base.twin is not None and tuned.twin is not None:
            value, low, high = (100 * v for v in gained(base.twin, tuned.twin))
            gain = f"<b>{value:+.1f}</b><small>{low:+.0f} to {high:+.0f}</small>"
        worlds = [_with_interval(x) for x in (base.twin, tuned.twin, base.dream, tuned.dream)]
        name = run.label if len(run.label) < 24 else "…" + run.label[-23:]
        rows.append(
            [
                escape(run.task.replace("_", " ")),
                escape(name),
                worlds[0],
                worlds[1],
                gain,
                *worlds[2:],
                *(f"{s:,}" for s in run.steps),
            ]
        )
    for variant in dict.fromkeys(r.variant for r, _, _ in gains):
        own = [g for g in gains if g[0].variant == variant]
        if len(own) < 2:
            continue
        mean = _mean_gain(own)
        cells = [f"<b>{v:.1f}</b>" if np.isfinite(v) else "–" for v in mean]
        gain = f"<b>{mean[1] - mean[0]:+.1f}</b>" if np.isfinite(mean[:2]).all() else "–"
        rows.append(["<b>mean</b>", escape(variant), cells[0], cells[1], gain, cells[2], cells[3], "", ""])
    return html_table(heads, rows)


def _mean_gain(gains: Sequence[Gain]) -> np.ndarray:
    """Mean percent over runs: base and tuned in the twin, base and tuned in the dream; nan where a world is missing."""
    sides = [[e.twin, t.twin, e.dream, t.dream] for _, e, t in gains]
    table = [[np.nan if s is None else 100 * s.rate for s in row] for row in sides]
    return np.asarray(np.mean(table, 0))


def _tiles(experiment: Experiment, gains: Sequence[Gain], told: dict[str, Any]) -> str:
    figures = []
    # Ablations and a baseline in the simulator have no mean that means anything: the table gives each its own.
    alike = len({run.variant for run, _, _ in gains}) == 1
    if alike and np.isfinite(_mean_gain(gains)[:2]).all():
        base, tuned = _mean_gain(gains)[:2]
        figures.append((f"{tuned:.0f}", "%", f"real success after fine-tuning; {base:.0f}% before"))
        figures.append((f"{sum(run.steps[1] for run, _, _ in gains):,}", "", "simulator steps spent on fine-tuning"))
    if told.get("pearson") is not None:
        figures.append(
            (f"{told['pearson']:.2f}", "", f"Pearson's r of real and imagined success, {told['num_policies']} policies")
        )
    if told.get("mmrv") is not None:
        figures.append(
            (f"{told['mmrv']:.3f}", "", f"MMRV; a perfect dream would show {told['mmrv_floor']:.3f} by chance")
        )
    worth = [x for e in experiment.evaluations if (x := e.estimate()) is not None]
    factor = float(np.mean([x.effective_episodes / x.num_real for x in worth])) if worth else 1.0
    if factor >= 1.1 and len(figures) < 4:
        figures.append((f"{factor:.1f}", "×", "what a real episode is worth with the dream's word beside it"))
    if told.get("classifier") and len(figures) < 4:
        figures.append((f"{told['classifier']['episode_f1']:.2f}", "", "F1 of the reward model on whole twin episodes"))
    return tiles(figures[:4]) if figures else ""


def _plot(figure: Any) -> str:
    # Letters are as large in a narrow figure as in a wide one.
    width = 96 * figure.get_figwidth()
    return f'<div class="plot" style="max-width:{width:.0f}px">{figure_svg(figure)}</div>'


def _trust_note(told: dict[str, Any]) -> str:
    parts = ["Left: a point a policy, with 95% intervals."]
    if told.get("mmrv") is not None:
        parts.append(
            f"MMRV is the mean over policies of the most real success that following the dream's order could lose. With these numbers of episodes a perfect dream would show {told['mmrv_floor']:.3f} by chance (19 times in 20 at most {told['mmrv_floor_95']:.3f}), and an r of {told['pearson_ceiling'] or 1:.2f}."
        )
        if len({p["task"] for p in told["policies"]}) > 1 and told.get("mmrv_within_tasks") is not None:
            parts.append(
                f"That compares policies of all tasks with each other; among the policies of one task, averaged over tasks as SimplerEnv does, MMRV is {told['mmrv_within_tasks']:.3f} (by chance {told['mmrv_within_tasks_floor']:.3f})."
            )
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


def _drift(found: Study) -> str:
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


def _policies(evaluations: Sequence[Evaluation]) -> str:
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
                _with_interval(e.twin),
                _with_interval(e.dream),
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


def _clips(experiment: Experiment) -> str:
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


def _footer(experiment: Experiment) -> str:
    configs = {(e.config.episodes, e.config.seed, str(e.config.split)) for e in experiment.evaluations}
    how = "; ".join(f"{n} paired episodes a policy, seed {s}, {split} starts" for n, s, split in sorted(configs)[:3])
    bad = f"; could not be read: {', '.join(experiment.unreadable[:5])}" if experiment.unreadable else ""
    return f"{experiment.folder.resolve().name}; {len(experiment.runs)} runs; {how or 'no evaluations'}; dreamgym {__version__}{bad}"
