"""Renders benchmarks/results/diwa.json and agreement.json for the docs: Markdown and pictures in docs/results/.

python benchmarks/diwa_results.py
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from diwa_plots import RATES, Rows, plot_ablation, plot_agreement, plot_gains, plot_trust

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.pages.pictures import save_figure
from dreamgym.evaluation.statistics.inference import difference, wilson
from dreamgym.suites.calvin.tasks import TASKS

ROOT = Path(__file__).resolve().parent
RESULTS, DOCS = ROOT / "results", ROOT.parent / "docs" / "results"
MAIN = {"vision": "vision (pixels alone, as in the paper)", "state": "state (robot_obs and scene_obs)"}
PAPER = (55.2, 83.7)
BC = {"bc_0": "0", "bc_0.025": "0.025", "bc_0.05": "0.05", "bc_0.1": "0.1", "bc_0.5": "0.5"}
DEFAULT_BC = {"close_drawer": "bc_0.025", "turn_on_led": "bc_0.025", "open_drawer": "bc_0.1"}
OTHERS = {
    "half": "vision, classifier",
    "hybrid_classifier": "hybrid, classifier",
    "hybrid_decoded": "hybrid, decoded reward",
    "gaussian": "vision, Gaussian policy",
    "uncertainty": "vision, truncated where unsure",
}


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


def ablations(rows: Rows, variants: dict[str, str]) -> str:
    """A line a variant and task: before and after, in the simulator and as imagined."""
    lines = []
    for task in TASKS:
        for name, called in variants.items():
            own = [r for r in rows if (r["task"], r["variant"]) == (task, name)]
            if own:
                imagined = [f"{100 * np.mean([r[k] for r in own]):.0f}" for k in ("base_imagined", "tuned_imagined")]
                lines.append((f"`{task}`", called, share(own, "base"), share(own, "tuned"), gain(own), *imagined))
    return table(("task", "variant", "base", "tuned", "gain", "base, imagined", "tuned, imagined"), lines)


def online(rows: Rows) -> str:
    """Fine-tuning in the simulator beside fine-tuning in the dream."""
    lines = []
    for row in (r for r in rows if r["variant"] == "online"):
        dream = next(r for r in rows if (r["task"], r["seed"], r["variant"]) == (row["task"], row["seed"], "vision"))
        if row["steps_to_match"] is None:
            matched = f"not within {row['sim_steps']:,}", "-"
        else:
            matched = f"{row['steps_to_match']:,}", minutes(row["seconds_to_match"])
        dreamt = f"{dream['dream_steps']:,}", minutes(dream["seconds"])
        lines.append(
            (
                f"`{row['task']}`",
                share([dream], "base"),
                share([dream], "tuned"),
                *dreamt,
                *matched,
                share([row], "tuned"),
            )
        )
    heads = (
        "task",
        "base",
        "tuned in the dream",
        "imagined steps",
        "time",
        "simulator steps online to match",
        "time",
        "best online",
    )
    return table(heads, lines)


def minutes(seconds: float) -> str:
    """As "2.1 min"."""
    return whole(f"{seconds / 60:.1f} min")


def main() -> int:
    """Writes the pages' parts and their pictures."""
    DOCS.mkdir(parents=True, exist_ok=True)
    found = json.loads((RESULTS / "diwa.json").read_text())
    (DOCS / "diwa.md").write_text(main_table(found))
    if (text := ablation_tables(found["rows"])).strip():
        (DOCS / "diwa_ablations.md").write_text(text)
    file = RESULTS / "agreement.json"
    if file.is_file():
        told = json.loads(file.read_text())
        save_figure(plot_agreement(told), DOCS / "agreement.png")
        if "drift" in told:
            save_figure(plot_trust(told), DOCS / "trust.png")
    return 0


def main_table(found: dict[str, Any]) -> str:
    """Table I, a table a variant, and its picture."""
    rows, settings = found["rows"], found["settings"]
    shown = [v for v in MAIN if any(r["variant"] == v for r in rows)]
    parts = [f"**{MAIN[v]}**\n\n{summary([r for r in rows if r['variant'] == v])}" for v in shown]
    spans = []
    for name in shown:
        steps = sorted({r["dream_steps"] for r in rows if r["variant"] == name})
        spans.append(" to ".join(f"{s:,}" for s in dict.fromkeys((steps[0], steps[-1]))) + f" ({name})")
    splits = " and ".join(
        sorted({f"`{r.get('split', 'val')}`" for r in rows})
    )  # rows without one are older than "test"
    parts.append(
        f"Success in per cent with Wilson 95% intervals, seeds pooled; gains in points with Newcombe's. "
        f"{rows[0]['episodes']} paired episodes a seed from {splits} starts. Imagined steps a run, evaluations "
        f"included: {', '.join(spans)}; 0 in the simulator. {settings['num_envs']} dreams at a time. "
        f"Machine: {found['machine']}. The paper's mean is {PAPER[0]} to {PAPER[1]}."
    )
    save_figure(plot_gains(rows, shown), DOCS / "diwa.png")
    parts.append("![Success before and after fine-tuning, in the simulator and as imagined](diwa.png)")
    return "\n\n".join(parts) + "\n"


def ablation_tables(rows: Rows) -> str:
    """The ablations and the online baseline; of what is not measured yet, nothing."""
    halves = [{**r, "variant": "half"} for r in rows if r["variant"] == DEFAULT_BC.get(r["task"], "bc_0.05")]
    parts = []
    weights = [r for r in rows if r["variant"] in BC]
    if weights:
        save_figure(plot_ablation(weights, BC), DOCS / "diwa_bc.png")
        parts += ["**Weight of the cloning regulariser**", ablations(weights, BC)]
        parts.append("![Success by weight of the cloning regulariser, imagined and in the simulator](diwa_bc.png)")
    others = [r for r in [*halves, *rows] if r["variant"] in OTHERS]
    if len({r["variant"] for r in others}) > 1:
        short = {k: "\n".join(wrap(v, 11)) for k, v in OTHERS.items()}
        save_figure(plot_ablation(others, short), DOCS / "diwa_variants.png")
        parts += ["**World model, reward, policy, truncation**", ablations(others, OTHERS)]
        parts.append("![Success by variant, imagined and in the simulator](diwa_variants.png)")
    if any(r["variant"] == "online" for r in rows):
        parts += ["**Online, in the simulator**", online(rows)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
