"""Pictures and tables of what the experiments wrote: Fig. 3, 5, 6, 9 and 10.

    python benchmarks/warpd/plot.py

Reads benchmarks/results/warpd_*.json (those that are there), writes docs/_static/warpd_*.png, prints Markdown tables.
Intervals are 95%, over the episodes of all seeds: Wilson's for shares, the normal one for coverage.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rows import RESULTS

from dreamgym.evaluation.inference import wilson
from dreamgym.evaluation.pictures import PLOT_STYLE, pyplot, quiet

STATIC = Path(__file__).resolve().parents[2] / "docs" / "_static"
COLOURS = {"warpd": "#e4572e", "warpd_no_world_model": "#f2a65a", "diffusion_policy": "#2e6f9e",
           "latent_diffusion_policy": "#7aa6c2", "mlp": "#4f772d", "random": "#9aa5b1"}  # fmt: skip
NAMES = {"warpd": "WARPD", "warpd_no_world_model": "WARPD w/o world model", "diffusion_policy": "DP",
         "latent_diffusion_policy": "LDP", "mlp": "MLP", "random": "random"}  # fmt: skip

Row = dict[str, Any]
Interval = tuple[float, float, float]


def pooled(rows: Sequence[Row]) -> Interval:
    """Mean success over the episodes of all rows, and its interval."""
    episodes = sum(r["episodes"] for r in rows)
    mean = sum(r["success"] * r["episodes"] for r in rows) / episodes
    if "spread" not in rows[0]:
        return mean, *wilson(mean * episodes, episodes)
    square = sum((r["spread"] ** 2 + r["success"] ** 2) * r["episodes"] for r in rows) / episodes
    half = 1.96 * math.sqrt(max(square - mean**2, 0.0) / episodes)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)


def by(rows: Sequence[Row], *fields: str) -> dict[Any, list[Row]]:
    """Rows by the value of a field, or by those of several, in order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple(row[f] for f in fields)
        found.setdefault(key if len(fields) > 1 else key[0], []).append(row)
    return dict(sorted(found.items()))


def against_perturbation(rows: Sequence[Row], path: Path, unit: str) -> None:
    """Fig. 3 and 5: a panel a horizon, a line a method."""
    plt, horizons = pyplot(), by(rows, "horizon")
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(horizons), figsize=(3.2 * len(horizons), 3.2), sharey=True, squeeze=False)
        for axis, (horizon, inside) in zip(axes[0], horizons.items(), strict=True):
            for method, of in by(inside, "method").items():
                points = by(of, "perturbation")
                values = [pooled(p) for p in points.values()]
                colour = COLOURS[method]
                axis.plot(list(points), [v[0] for v in values], "o-", color=colour, label=NAMES[method], markersize=4)
                axis.fill_between(list(points), *([v[i] for v in values] for i in (1, 2)), color=colour, alpha=0.15)
            axis.set_title(f"horizon {horizon}", loc="left")
            axis.set_xlabel(f"perturbation ({unit})")
            quiet(axis)
        axes[0][0].set_ylabel("success")
        axes[0][0].legend(fontsize=7, frameon=False)
        _save(figure, path)
    print("| method | horizon | perturbation | success | 95% interval | episodes |\n|---|---|---|---|---|---|")
    for (method, horizon, perturbation), of in by(rows, "method", "horizon", "perturbation").items():
        mean, low, high = pooled(of)
        episodes = sum(r["episodes"] for r in of)
        print(f"| {NAMES[method]} | {horizon} | {perturbation} | {mean:.2f} | {low:.2f}-{high:.2f} | {episodes} |")


def pusht(rows: Sequence[Row], static: Path) -> None:
    against_perturbation(rows, static / "warpd_pusht.png", "pixels")


def robosuite(rows: Sequence[Row], static: Path) -> None:
    for task, of in by(rows, "task").items():
        against_perturbation(of, static / f"warpd_robosuite_{task}.png", "of a full action")


def metaworld(rows: Sequence[Row], static: Path) -> None:
    """Fig. 6: success against GFLOPs a step."""
    measured = [r for r in rows if r["success"] is not None]
    if not measured:
        return
    plt = pyplot()
    print("| method | size | horizon | success | 95% interval | GFLOPs a step | with generation |\n" + "|---" * 7 + "|")
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.0))
        for (method, size, horizon), of in by(measured, "method", "size", "horizon").items():
            of = [{**r, "episodes": r["episodes"] * len(r["by_task"])} for r in of]
            mean, low, high = pooled(of)
            cost, whole = of[0]["gflops_per_step"], of[0]["gflops_per_step_with_generation"]
            axis.errorbar(cost, mean, [[mean - low], [high - mean]], fmt="o", color=COLOURS[method])
            axis.annotate(f"{NAMES[method]} {size}", (cost, mean), (4, 4), textcoords="offset points", fontsize=7)
            found = f"{mean:.2f} | {low:.2f}-{high:.2f}"
            print(f"| {NAMES[method]} | {size} | {horizon} | {found} | {cost:.3g} | {whole:.3g} |")
        axis.set(xscale="log", xlabel="GFLOPs a step", ylabel="success, ten tasks", ylim=(0, 1.02))
        quiet(axis)
        _save(figure, static / "warpd_metaworld.png")


def ablations(rows: Sequence[Row], static: Path) -> None:
    """Fig. 9 and 10, as tables; `run_ablations.py` draws the latents itself."""
    print("| ablation | suite | length | decoder | KL weight | success | of the demonstrations | final MSE | seeds |")
    print("|---" * 9 + "|")
    given = [r for r in rows if "final_mse" in r]
    for (kind, suite, length, decoder, weight), of in by(
        given, "ablation", "suite", "length", "decoder", "kl_weight"
    ).items():
        means = [sum(r[k] for r in of) / len(of) for k in ("success", "demonstrated", "final_mse")]
        found = f"{means[0]:.2f} | {means[1]:.2f} | {means[2]:.3g}"
        print(f"| {kind} | {suite} | {length} | {decoder} | {weight:g} | {found} | {len(of)} |")


def halfcheetah(rows: Sequence[Row], static: Path) -> None:
    """Table 5 and Fig. 17, as a table; `run_halfcheetah.py` draws Fig. 16."""
    print("| behaviour | policy | length | JS divergence | symmetric KL | return | seeds |\n" + "|---" * 7 + "|")
    for (behaviour, policy, length), of in by(rows, "behaviour", "policy", "length").items():
        js, kl, total = ([r[k] for r in of] for k in ("js", "symmetric_kl", "return_mean"))
        shown = " | ".join(f"{sum(v) / len(v):.3g} ({min(v):.3g} to {max(v):.3g})" for v in (js, kl, total))
        print(f"| {behaviour} | {policy} | {length} | {shown} | {len(of)} |")


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    figure.clf()
    print(f"\n{path}\n")


DRAWN: dict[str, Callable[[Sequence[Row], Path], None]] = {
    "pusht": pusht, "robosuite": robosuite, "metaworld": metaworld, "ablations": ablations, "halfcheetah": halfcheetah,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny", help="rows of this preset")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--static", type=Path, default=STATIC, help="where pictures go")
    args = parser.parse_args()
    for name, show in DRAWN.items():
        path = args.results / f"warpd_{name}.json"
        if not path.exists():
            continue
        rows = [r for r in json.loads(path.read_text(encoding="utf-8"))["rows"] if r.get("preset", "") == args.preset]
        if rows:
            print(f"\n## {name}\n")
            show(rows, args.static)


if __name__ == "__main__":
    main()
