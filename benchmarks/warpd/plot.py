"""Pictures and tables of what the experiments wrote, for docs/warpd.md: Fig. 3, 5 to 10, 12 to 17 and Table 5.

    python benchmarks/warpd/plot.py

Reads benchmarks/results/warpd_*.json, writes docs/results/warpd_*.md and the pictures they show; a page whose
experiment has no row yet says so. Intervals are 95%, over the episodes of all seeds: Wilson's for shares, the normal
one for coverage. They do not hold the spread of seeds; means of the single seeds stand beside the aims.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pooling import Row, by, pooled, spread_of_seeds, told
from rows import RESULTS

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.pages.pictures import PLOT_STYLE, pyplot, quiet
from dreamgym.evaluation.statistics.inference import wilson

DOCS = Path(__file__).resolve().parents[2] / "docs" / "results"
COLOURS = {"warpd": "#e4572e", "warpd_state": "#b5179e", "warpd_no_world_model": "#f2a65a",
           "diffusion_policy": "#2e6f9e", "diffusion_policy_trained_out": "#14304a",
           "diffusion_policy_relative": "#5b3f8c",
           "latent_diffusion_policy": "#7aa6c2", "mlp": "#4f772d", "random": "#9aa5b1", "still": "#cfd5db"}  # fmt: skip
NAMES = {"warpd": "WARPD", "warpd_state": "WARPD, told the first state",
         "warpd_no_world_model": "WARPD w/o world model", "diffusion_policy": "DP",
         "diffusion_policy_trained_out": "DP, trained out", "diffusion_policy_relative": "DP, trained out, relative",
         "latent_diffusion_policy": "LDP", "mlp": "MLP", "random": "random", "still": "a disc that stands still",
         "operator": "the script itself"}  # fmt: skip

SHADES = ("#e4572e", "#2e6f9e", "#4f772d")
COMPARED = ("warpd", "diffusion_policy")
NO_HORIZON = ("mlp", "random", "still", "operator")  # their rows are the same at every horizon

POINT = ("method", "size", "horizon", "epochs")  # of Fig. 6


def against_perturbation(rows: Sequence[Row], path: Path, unit: str, measure: str = "success") -> str:
    """Fig. 3 and 5: a panel a horizon, a line a method."""
    plt = pyplot()
    horizons = by([r for r in rows if r["method"] in COLOURS], "horizon")
    reactive = horizons.pop(0, [])  # who plans nothing, in every panel
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(horizons), figsize=(3.2 * len(horizons), 3.2), sharey=True, squeeze=False)
        for axis, (horizon, inside) in zip(axes[0], horizons.items(), strict=True):
            for method, of in by([*inside, *reactive], "method").items():
                points = by(of, "perturbation")
                values = [pooled(p) for p in points.values()]
                colour = COLOURS[method]
                axis.plot(list(points), [v[0] for v in values], "o-", color=colour, label=NAMES[method], markersize=4)
                axis.fill_between(list(points), *([v[i] for v in values] for i in (1, 2)), color=colour, alpha=0.15)
            axis.set_title(f"horizon {horizon}", loc="left")
            axis.set_xlabel(f"perturbation ({unit})")
            quiet(axis)
        axes[0][0].set_ylabel(measure)
        # A panel may lack a method that another has.
        pairs = [pair for axis in axes[0] for pair in zip(*axis.get_legend_handles_labels(), strict=True)]
        handles = {label: handle for handle, label in pairs}
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.02), "ncol": len(handles)}
        figure.legend(handles.values(), handles.keys(), fontsize=8, frameon=False, **below)
        save(figure, path)
    strengths = list(by(rows, "perturbation"))
    lines = []
    for method, every in by(rows, "method").items():
        for horizon, of in by(every, "horizon").items():
            found = by(of, "perturbation")
            cells = [told(pooled(found[p])) if p in found else "-" for p in strengths]
            first = found[min(found)]
            counts = len({r["seed"] for r in first}), sum(r["episodes"] for r in first)
            lines.append((NAMES[method], "any" if method in NO_HORIZON else horizon, *cells, *counts))
            if method in NO_HORIZON:
                break
    heads = ("method", "horizon", *(f"{p:g} {unit}" for p in strengths), "seeds", "episodes each")
    words = spread_of_seeds(rows, "method", "horizon", "perturbation")
    picture = f"![{measure.capitalize()} against the strength of the adversary]({path.name})"
    return f"{picture}\n\n{table(heads, lines)}\n\n{words}"


def margin(rows: Sequence[Row]) -> str:
    """The issue's aim in a sentence: WARPD and DP at the longest horizon and the largest perturbation."""
    horizon, strength = max(r["horizon"] for r in rows), max(r["perturbation"] for r in rows)
    there = by([r for r in rows if (r["horizon"], r["perturbation"]) == (horizon, strength)], "method")
    if not set(COMPARED) <= set(there):
        return ""
    ours, theirs = (pooled(there[m]) for m in COMPARED)
    apart = ours[1] > theirs[2] or theirs[1] > ours[2]
    where = f"At horizon {horizon} and the largest perturbation, {strength:g}"
    verdict = "apart from each other" if apart else "within each other's intervals"
    seeds = (", ".join(f"{pooled(of)[0]:.2f}" for of in by(there[m], "seed").values()) for m in COMPARED)
    return f"{where}, WARPD has {told(ours)} and DP {told(theirs)}: {verdict} (by seed {' and '.join(seeds)})."


def pusht(rows: Sequence[Row], docs: Path) -> str:
    """Coverage as the paper takes it, then the share of episodes that were solved, which luck alone does not bring."""
    solved = [{**{k: v for k, v in r.items() if k != "spread"}, "success": r["solved"]} for r in rows]
    parts = []
    for what, of, name in (("coverage", rows, "warpd_pusht"), ("episodes solved", solved, "warpd_pusht_solved")):
        parts.append(f"**{what}** {margin(of)}\n\n" + against_perturbation(of, docs / f"{name}.png", "px", what))
    return "\n\n".join(parts)


def robosuite(rows: Sequence[Row], docs: Path) -> str:
    parts = []
    for task, of in by(rows, "task").items():
        if compared := [r for r in of if r["method"] in COLOURS]:  # else the script's rows alone are there yet
            shown = against_perturbation(of, docs / f"warpd_robosuite_{task}.png", "steps")
            parts.append(f"**{task}** {margin(compared)}\n\n{shown}")
    return "\n\n".join(parts) or NONE_YET


def metaworld(rows: Sequence[Row], docs: Path) -> str:
    """Fig. 6: success against GFLOPs a step."""
    measured = [r for r in rows if r["success"] is not None]
    plt, lines = pyplot(), []
    labelled: set[tuple[float, tuple[int, int], str]] = set()
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 4.0))
        for (method, size, horizon, epochs), of in by(measured, *POINT).items():
            mean, low, high = found = pooled([{**r, "episodes": r["episodes"] * len(r["by_task"])} for r in of])
            cost, whole = of[0]["gflops_per_step"], of[0]["gflops_per_step_with_generation"]
            looks = {"fmt": "o", "color": COLOURS[method], "label": NAMES[method]}
            axis.errorbar(cost, mean, [[mean - low], [high - mean]], **looks)
            if method == "diffusion_policy":
                named, where, side = f"{size}, chunks of {2 * horizon}, {epochs} epochs", (8, -3), "left"
            else:  # WARPD and the MLP cost nearly the same
                named, where, side = str(size), (0, 9 if method.startswith("warpd") else -15), "center"
            if (cost, where, named) not in labelled:
                axis.annotate(named, (cost, mean), where, textcoords="offset points", fontsize=7, ha=side)
                labelled.add((cost, where, named))
            lines.append((NAMES[method], size, horizon, epochs, told(found), f"{cost:.3g}", f"{whole:.3g}", len(of)))
        axis.set(xscale="log", xlabel="GFLOPs a step", ylabel="success, ten tasks", xlim=(1e-5, 1), ylim=(0, 1.05))
        handles, labels = axis.get_legend_handles_labels()
        once = dict(zip(labels, handles, strict=True))
        axis.legend(once.values(), once.keys(), loc="lower left", frameon=False, fontsize=8)
        quiet(axis)
        save(figure, docs / "warpd_metaworld.png")
    heads = ("method", "size", "horizon", "epochs", "success", "GFLOPs a step", "with generation", "seeds")
    picture = "![Success against GFLOPs a step](warpd_metaworld.png)"
    each = [{**r, "episodes": r["episodes"] * len(r["by_task"])} for r in measured]
    return f"{picture}\n\n{table(heads, lines)}\n\n{spread_of_seeds(each, *POINT)}\n\n{cheapest(measured)}"


def cheapest(rows: Sequence[Row]) -> str:
    """The issue's aim in a sentence: how much less than the cheapest DP of equal success the best WARPD needs."""
    scores = {
        key: (pooled([{**r, "episodes": r["episodes"] * len(r["by_task"])} for r in of]), of[0])
        for key, of in by(rows, *POINT).items()
    }
    ours = {k: v for k, v in scores.items() if k[0] in ("warpd", "warpd_state")}
    theirs = {k: v for k, v in scores.items() if k[0] == "diffusion_policy"}
    if not ours or not theirs:
        return ""
    best = max((found for found, _ in ours.values()), key=lambda found: found[0])
    as_good = [item for item in ours.items() if item[1][0][2] >= best[1]]
    (method, size, _, _), (found, row) = min(as_good, key=lambda item: item[1][1]["gflops_per_step"])
    # Equal success: not worse beyond the intervals.
    equal = [(k, v) for k, v in theirs.items() if v[0][2] >= found[1]]
    if equal:
        (_, other, horizon, epochs), (score, its) = min(equal, key=lambda item: item[1][1]["gflops_per_step"])
        told_of = "the cheapest diffusion policy of no less success, within the intervals,"
    else:
        (_, other, horizon, epochs), (score, its) = max(theirs.items(), key=lambda item: item[1][0][0])
        told_of = "no diffusion policy that was trained here reaches that. The best of them"
    ratios = [its["gflops_per_step"] / row[k] for k in ("gflops_per_step", "gflops_per_step_with_generation")]
    return (
        f"{NAMES[method]} {size} has {told(found)}; {told_of} is {other} with chunks of {2 * horizon} after {epochs} "
        f"epochs, {told(score)}: {ratios[0]:.0f} times as many FLOPs a step, {ratios[1]:.1f} times with the generation "
        "counted, both at the small sizes trained here; at the paper's, see the table under Cost."
    )


def against_variant(rows: Sequence[Row], path: Path) -> str:
    """Fig. 9 and 10: success against the decoder's size, or the KL weight, a line for each length of snippets."""
    axis_of = {"decoder": ("parameters", "parameters of the decoder"), "kl": ("kl_weight", "KL weight")}
    kinds = by([r for r in rows if r["ablation"] in axis_of], "ablation")
    plt = pyplot()
    with plt.rc_context(PLOT_STYLE):
        figure, axes = plt.subplots(1, len(kinds), figsize=(4.4 * len(kinds), 3.2), sharey=True, squeeze=False)
        for axis, (kind, of) in zip(axes[0], kinds.items(), strict=True):
            field, words = axis_of[kind]
            for shade, (length, inside) in zip(SHADES, by(of, "length").items(), strict=False):
                points = {x: pooled(found) for x, found in by(inside, field).items()}
                values = list(points.values())
                axis.plot(
                    list(points), [v[0] for v in values], "o-", color=shade, label=f"{length} steps", markersize=4
                )
                axis.fill_between(list(points), *([v[i] for v in values] for i in (1, 2)), color=shade, alpha=0.15)
                axis.axhline(
                    sum(r["demonstrated"] for r in inside) / len(inside), color=shade, linestyle=":", linewidth=1
                )
            axis.set(xscale="log", xlabel=words, ylim=(0, 1.05))
            axis.set_title(f"{kind}, {of[0]['suite']}", loc="left")
            axis.legend(fontsize=8, frameon=False)
            quiet(axis)
        axes[0][0].set_ylabel("success")
        save(figure, path)
    return f"![Success of decoded policies; dotted, of the demonstrations]({path.name})"


def ablations(rows: Sequence[Row], docs: Path) -> str:
    """Fig. 9 and 10, also as tables; Fig. 7 and 12 to 15: what `run_ablations.py` drew."""
    parts = []
    heads: tuple[str, ...] = ("ablation", "suite", "length", "decoder", "its parameters", "KL weight", "success",
                              "of the demonstrations", "final MSE", "seeds")  # fmt: skip
    lines: list[tuple[Any, ...]] = []
    fields = ("ablation", "suite", "length", "decoder", "kl_weight")
    for key, of in by([r for r in rows if "final_mse" in r], *fields).items():
        means = [sum(r[k] for r in of) / len(of) for k in ("success", "demonstrated", "final_mse")]
        found = f"{means[0]:.2f}", f"{means[1]:.2f}", f"{means[2]:.3g}"
        size = f"{of[0]['parameters'] / 1e6:.2f}M" if "parameters" in of[0] else ""
        lines.append((*key[:4], size, f"{key[4]:g}", *found, len(of)))
    if lines:
        shown = [r for r in rows if "parameters" in r and "final_mse" in r]
        parts += [against_variant(shown, docs / "warpd_ablations.png")] if shown else []
        parts.append(table(heads, lines))
    near: list[tuple[Any, ...]] = []
    for key, of in by([r for r in rows if "nearest_centroid" in r], "suite", "length", "by").items():
        share = sum(r["nearest_centroid"] for r in of) / len(of)
        near.append((*key, f"{share:.2f}", f"{of[0]['chance']:.2f}", len(of)))
    if near:
        heads = ("suite", "length", "label", "nearest class mean is right", "chance", "seeds")
        parts.append(table(heads, near))
    wide: list[tuple[Any, ...]] = []
    for key, of in by([r for r in rows if "dimensions" in r], "suite", "length", "kl_weight").items():
        nats, dimensions = (sum(r[k] for r in of) / len(of) for k in ("nats", "dimensions"))
        wide.append((*key[:2], f"{key[2]:g}", f"{nats:.0f}", f"{dimensions:.1f}", len(of)))
    if wide:
        heads = ("suite", "length", "KL weight", "nats told of a snippet", "directions of spread", "seeds")
        parts += [table(heads, wide), *_pictures(docs, "warpd_spread_*.png", "Latents at each KL weight")]
    for path in sorted(docs.glob("warpd_latents_*.png")):
        suite, length, seed = path.stem.removeprefix("warpd_latents_").rsplit("_", 2)
        parts.append(f"Latents of {suite}, snippets of up to {length} steps, seed {seed}:\n\n![latents]({path.name})")
    return "\n\n".join(parts)


def denoisers(rows: Sequence[Row], docs: Path) -> str:
    """Fig. 8: coverage against the epochs of the diffusion, for either network."""
    plt, lines = pyplot(), []
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(4.4, 3.2))
        for shade, (kind, every) in zip(SHADES, by(rows, "denoiser").items(), strict=False):
            found = by(every, "epochs")
            values = [pooled(of) for of in found.values()]
            axis.plot(list(found), [v[0] for v in values], "o-", color=shade, label=kind, markersize=4)
            axis.fill_between(list(found), *([v[i] for v in values] for i in (1, 2)), color=shade, alpha=0.15)
            for (epochs, of), value in zip(found.items(), values, strict=True):
                solved, loss = (sum(r[k] for r in of) / len(of) for k in ("solved", "loss"))
                size = f"{of[0]['parameters'] / 1e6:.2f}M"
                lines.append((kind, size, epochs, told(value), f"{solved:.2f}", f"{loss:.3f}", len(of)))
        axis.set(xscale="log", xlabel="epochs of the diffusion", ylabel="coverage, undisturbed", ylim=(0, 1))
        axis.legend(fontsize=8, frameon=False)
        quiet(axis)
        save(figure, docs / "warpd_denoisers.png")
    heads = ("denoiser", "its parameters", "epochs", "coverage", "solved", "loss", "seeds")
    return f"![Coverage against the epochs of the diffusion](warpd_denoisers.png)\n\n{table(heads, lines)}"


def in_dreams(rows: Sequence[Row], docs: Path) -> str:
    """Agents of the experiments in dreams and twins: success with Wilson's intervals, seeds together."""
    lines = []
    told_apart = [{**r, "sizes": " x ".join(map(str, r["size"])), "what": ", ".join(r["tasks"])} for r in rows]
    for (suite, what, method, size, horizon), of in by(
        told_apart, "suite", "what", "method", "sizes", "horizon"
    ).items():
        number = sum(r["episodes"] for r in of)
        shown = []
        for world in ("twin", "dream"):
            done = sum(r[world] * r["episodes"] for r in of)
            shown.append(told((done / number, *wilson(done, number))))
        both = sum(r["both"] * r["episodes"] for r in of) / number
        task = f"{len(of[0]['tasks'])} tasks" if len(of[0]["tasks"]) > 1 else what
        lines.append((suite, task, NAMES[method], size, horizon, *shown, f"{both:.2f}", len(of), number))
    heads = ("suite", "task", "policy", "size", "horizon", "simulator", "dream", "agree", "seeds", "episodes")
    return table(heads, lines)


GAIT_POLICIES = {
    "original": "the gait itself", "sos": "other runs of it", "vae": "WARPD, decoded", "diffusion": "WARPD, generated",
    "mlp": "MLP",
}  # fmt: skip


def returns(rows: Sequence[Row], path: Path) -> str:
    """Fig. 17: the return of each gait by who goes it, the standard deviation over episodes as a line."""
    plt, shades = pyplot(), ("#6b7480", "#9aa5b1", "#e4572e", "#f2a65a", "#4f772d")
    gaits, width = list(by(rows, "behaviour")), 0.16
    with plt.rc_context(PLOT_STYLE):
        figure, axis = plt.subplots(figsize=(8.0, 3.4))
        for i, (policy, name) in enumerate(GAIT_POLICIES.items()):
            of = [[r for r in rows if (r["behaviour"], r["policy"]) == (g, policy)] for g in gaits]
            means, spreads = (
                [sum(r[k] for r in o) / max(len(o), 1) for o in of] for k in ("return_mean", "return_std")
            )
            at = [g + (i - 2) * width for g in range(len(gaits))]
            axis.bar(at, means, width, yerr=spreads, label=name, color=shades[i], error_kw={"linewidth": 0.8})
        axis.set_xticks(range(len(gaits)), gaits)
        axis.set_ylabel("return")
        axis.legend(fontsize=8, frameon=False)
        quiet(axis)
        save(figure, path)
    return f"![Returns of the gaits]({path.name})"


def halfcheetah(rows: Sequence[Row], docs: Path) -> str:
    """Table 5; Fig. 17; Fig. 12, 13 and 16: what `run_halfcheetah.py` drew."""
    lines = []
    for (behaviour, policy, length), of in by(rows, "behaviour", "policy", "length").items():
        shown = []
        for key, form in (("js", "{:.2f}"), ("symmetric_kl", "{:.3g}"), ("return_mean", "{:,.0f}")):
            values = [0.0 if policy == "original" and key != "return_mean" else r[key] for r in of]
            across = f" ({form.format(min(values))} to {form.format(max(values))})" if len(of) > 1 else ""
            shown.append(form.format(sum(values) / len(values)) + across)
        where = "" if policy in ("original", "sos", "mlp") else length
        lines.append((behaviour, GAIT_POLICIES[policy], where, *shown, len(of)))
    heads = ("gait", "policy", "snippets encoded", "JS divergence", "symmetric KL", "return", "seeds")
    found = table(heads, lines)
    pictures = _pictures(docs, "warpd_halfcheetah_1*.png", "Contacts of the feet")
    return "\n\n".join([found, returns(rows, docs / "warpd_halfcheetah_returns.png"), *pictures])


def tuning(rows: Sequence[Row]) -> str:
    """What `benchmarks/state_tuning.py` found: fine-tuning in a dream of states."""
    lines = []
    for task, of in by(rows, "task").items():
        rates = {k: sum(r[k] * r["episodes"] for r in of) for k in ("base", "tuned", "base_imagined", "tuned_imagined")}
        number = sum(r["episodes"] for r in of)
        real = [told((rates[k] / number, *wilson(rates[k], number))) for k in ("base", "tuned")]
        imagined = [f"{rates[k] / number:.2f}" for k in ("base_imagined", "tuned_imagined")]
        steps = sum(r["dream_steps"] for r in of) // len(of)
        lines.append((f"`{task}`", len(of), *real, *imagined, f"{steps:,}", number))
    heads = ("task", "seeds", "base", "tuned", "base, imagined", "tuned, imagined", "imagined steps", "episodes")
    return table(heads, lines)


def _pictures(docs: Path, pattern: str, words: str) -> list[str]:
    return [f"![{words}]({path.name})" for path in sorted(docs.glob(pattern))]


def save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    figure.clf()


DRAWN: dict[str, Callable[[Sequence[Row], Path], str]] = {
    "pusht": pusht, "robosuite": robosuite, "metaworld": metaworld, "ablations": ablations, "denoisers": denoisers,
    "in_dreams": in_dreams, "halfcheetah": halfcheetah,
}  # fmt: skip
NONE_YET = "(Not a row of this experiment is there: it was not measured yet.)"


def render(results: Path, docs: Path, preset: str) -> None:
    """Writes a page of each experiment; pictures that scripts drew beside their JSON are copied to the pages.

    Args:
        results: folder of warpd_*.json.
        docs: folder of the pages.
        preset: rows of this preset.
    """
    docs.mkdir(parents=True, exist_ok=True)
    for picture in results.glob("warpd_*.png"):
        shutil.copy(picture, docs / picture.name)
    for name, show in DRAWN.items():
        path = results / f"warpd_{name}.json"
        found = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
        rows = [r for r in found if r.get("preset", "") == preset and r.get("success", 0) is not None]
        text = show(rows, docs) if rows else NONE_YET
        (docs / f"warpd_{name}.md").write_text(text.strip() + "\n", encoding="utf-8")
    path = results / "state_tuning.json"
    text = tuning(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.exists() else NONE_YET
    (docs / "state_tuning.md").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny", help="rows of this preset")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS, help="where pages and pictures go")
    args = parser.parse_args()
    render(args.results, args.docs, args.preset)


if __name__ == "__main__":
    main()
