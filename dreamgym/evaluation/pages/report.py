"""The report of an experiment: one HTML page with everything in it. `experiment.py` says which files it reads."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.pages.experiment import Experiment, Run, read_experiment
from dreamgym.evaluation.pages.page import document, html_table, tiles
from dreamgym.evaluation.pages.pictures import figure_svg
from dreamgym.evaluation.pages.plots import plot_training, plot_trust
from dreamgym.evaluation.pages.report_sections import clip_figures, drift_table, policy_table, trust_note, with_interval
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import gain as gained
from dreamgym.evaluation.statistics.agreement import FEWEST, num_distinct
from dreamgym.evaluation.statistics.study import study
from dreamgym.places import write_whole
from dreamgym.version import __version__


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
    return write_whole(Path(folder) / "report.html" if out is None else out, report_page(experiment))


def report_page(experiment: Experiment) -> str:
    """The page as text."""
    whole = [e for e in experiment.evaluations if e.dream is not None and e.twin is not None]
    found = study(whole) if whole else None
    told = {} if found is None else found.to_dict()
    if found is not None and num_distinct(found.scores) < FEWEST:
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
            f'<p class="note">{trust_note(told)}</p>',
            _plot(plot_trust(found.scores, told, found.reliability, found.gap)),
            drift_table(found),
        ]
    parts += [
        clip_figures(experiment),
        policy_table(experiment.evaluations),
        f"<footer>{escape(_footer(experiment))}</footer>",
    ]
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


def _gain_table(gains: Sequence[Gain]) -> str:
    heads = ["task", "run", "real: base", "tuned", "gain", "dream: base", "tuned", "dream steps", "sim steps"]
    rows = []
    for run, base, tuned in gains:
        gain = "–"
        if base.twin is not None and tuned.twin is not None:
            value, low, high = (100 * v for v in gained(base.twin, tuned.twin))
            gain = f"<b>{value:+.1f}</b><small>{low:+.0f} to {high:+.0f}</small>"
        worlds = [with_interval(x) for x in (base.twin, tuned.twin, base.dream, tuned.dream)]
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


def _footer(experiment: Experiment) -> str:
    configs = {(e.config.episodes, e.config.seed, str(e.config.split)) for e in experiment.evaluations}
    how = "; ".join(f"{n} paired episodes a policy, seed {s}, {split} starts" for n, s, split in sorted(configs)[:3])
    bad = f"; could not be read: {', '.join(experiment.unreadable[:5])}" if experiment.unreadable else ""
    return f"{experiment.folder.resolve().name}; {len(experiment.runs)} runs; {how or 'no evaluations'}; dreamgym {__version__}{bad}"
