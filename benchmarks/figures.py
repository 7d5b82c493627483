"""Rebuilds every table of the README and of the docs' pages that holds measured figures, from the result files.

    python benchmarks/figures.py           # writes them between their markers
    python benchmarks/figures.py --check   # exits with 1 where a page says something else than the results

A table stands between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``; `BLOCKS` says which function makes it. Pages
under docs/results/ are rendered whole by `diwa_results.py`, `converged_clones_page.py` and `warpd/plot.py`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from lac import tables as lac
from ladi import tables as ladi

from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.statistics.inference import clustered_wilson, wilson

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def results(name: str) -> Any:
    """A result file."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def diwa() -> str:
    """Mean success of all tasks and seeds before and after fine-tuning."""
    lines = []
    for variant, words in {
        "vision": "world model from pixels (`Dream-CALVIN-v0`)",
        "state": "world model from states",
    }.items():
        rows = [r for r in results("diwa")["rows"] if r["variant"] == variant]
        lines.append((words, *(f"{100 * mean(r[side] for r in rows):.1f}%" for side in ("base", "tuned"))))
    return table(("success in the simulator, mean of eight tasks", "base", "tuned"), lines)


def longer_cloning() -> str:
    """Policies of one seed that were cloned for longer, beside those that were fine-tuned."""
    real = {p["name"]: p["real"] for p in results("agreement")["policies"]}
    tasks = [name.removesuffix("_tuned_56") for name in real if name.endswith("_tuned_56")]
    lines = [(f"`{t}`", *(f"{100 * real[f'{t}_{kind}']:.3g}%" for kind in ("120", "tuned_56"))) for t in sorted(tasks)]
    heads = ("success in the simulator", "cloned for 120 epochs", "cloned for 20 or 40, then fine-tuned")
    return table(heads, lines)


def parity() -> str:
    """Our simulator of scene D beside the original."""
    physics = results("calvin_parity")["physics"]
    sides = [physics[f"solver_order_{name}"] for name in ("reference", "sorted")]

    def millimetres(key: str) -> list[str]:
        return [f"{1000 * side['largest_difference'][key]:.1f} mm".replace("0.0 mm", "0 mm") for side in sides]

    unequal = [(side["steps_where_oracles_disagree"], side["steps"]) for side in sides]
    lines = [
        ("largest difference of the hand's path", *millimetres("tcp_m")),
        ("largest difference of drawer, slider, switch, button", *millimetres("furniture_joints_m")),
        ("largest difference of a block", *millimetres("blocks_m")),
        ("steps at which the task oracles disagree", *(f"{a} of {b}" if a else "0" for a, b in unequal)),
    ]
    order = "constraints solved in calvin_env's order"
    return table(("", order, "as shipped (sorted, so that snapshots replay exactly)"), lines)


OVER_BARE = ("core_over_bare", "core_over_bare_without_successes", "core_over_bare_inference_without_successes")
OVER_TORCHRL = ("torchrl_over_worldmodelenv", "torchrl_over_worldmodelenv_without_successes")


def speed() -> str:
    """Imagined steps per second of the core, as ratios within one run."""
    told = results("throughput")
    lines = []
    for n in (1, 16, 64, 256, 1024):
        ratios = [f"{told['ratios'][name][str(n)]:.2f}" for name in (*OVER_BARE, *OVER_TORCHRL)]
        lines.append((f"{n:,}", *ratios, _rate(told, "core", n), _rate(told, "twin", n)))
    heads = (
        "envs", "core / bare loop", "the same, no successes", "the same, bare loop in inference mode",
        "TorchRL face / `WorldModelEnv`", "the same, no successes", "core, steps/s", "twin, steps/s",
    )  # fmt: skip
    return table(heads, lines)


def _rate(told: dict[str, Any], face: str, num_envs: int) -> str:
    """Steps per second under "success" without uncertainty; "" where it was not measured."""
    wanted = {"face": face, "num_envs": num_envs, "reward": "success", "uncertainty": False}
    return next((f"{r['steps_per_s']:,.0f}" for r in told["rows"] if wanted.items() <= r.items()), "")


def trust() -> str:
    """How scene D's dream ranks and scores bad and good policies, over all and by task."""
    told = results("agreement")
    tasks = list(told["by_task"])

    def gap(task: str | None) -> str:
        own = [p for p in told["policies"] if task in (None, p["task"])]
        return f"{100 * mean(p['imagined'] - p['real'] for p in own):+.0f}"

    low, high = told["pearson_interval_95"]
    pearson = f"{told['pearson']:.3f} ({low:.3f} to {high:.3f})"
    within = f"{told['mmrv']:.3f}; within tasks, averaged: {told['mmrv_within_tasks']:.3f}"
    lines = [
        ("Pearson r", pearson, *(f"{told['by_task'][t]['pearson']:.3f}" for t in tasks)),
        ("MMRV", within, *(f"{told['by_task'][t]['mmrv']:.3f}" for t in tasks)),
        ("imagined minus real success, points", gap(None), *(gap(t) for t in tasks)),
    ]
    return table(("", "all", *(f"`{t}`" for t in tasks)), lines)


def tuning_profile() -> str:
    """Where the time of a fine-tuning iteration goes."""
    told = results("tuning_profile")
    words = {
        "learning": "learning: likelihoods and gradients of policy and critic, five passes",
        "world_model": "world model", "policy": "policy while it acts", "reward": "reward model",
        "env_core": "the env's core", "rest": "everything else",
    }  # fmt: skip
    lines = [(words[key], f"{100 * told['share'][key]:.1f}%") for key in words]
    steps = f"{told['seconds_per_iteration']:.1f} s, {told['env_steps_per_iteration']:,} imagined steps"
    return table((f"part of an iteration ({steps})", "share"), lines)


def files_crossed() -> str:
    """How many files of the library a step or a training run crosses."""
    files = {side: told["files"] for side, told in results("files_crossed").items()}
    words = {
        "quiet_step": "a step of `Dream-PlayTable-v0` (16 envs, numpy), no env ends",
        "ending_step": "the same, some envs end and begin anew",
        "plain_step": "the same with `fast=False`",
        "training_run": "`dreamgym fit` of an RSSM on vectors, 2 updates",
    }
    lines = [(words[key], files["before"].get(key, "no such switch"), files["now"][key]) for key in words]
    return table(("", "before", "now"), lines)


def dvg_cost() -> str:
    """Operations of a clip of the video cascade, at the paper's sizes and at those trained here."""
    words = {"paper": "paper's sizes", "tiny": "`tiny`"}
    lines = []
    for row in results("dvg_flops")["rows"]:
        operations, ratio = f"{row['flops']:.2e}".replace("e+", "e"), f"{row['ratio_to_monolithic']:.2f}x"
        lines.append((f"{words[row['size']]}, {row['method']}", f"{row['tokens']:,}", operations, ratio))
    return table(("", "tokens that are denoised", "operations", "monolithic costs"), lines)


DVG_METHODS = {
    "recorded": "the recorded clip itself", "reconstructed": "the autoencoder of the recorded clip",
    "first_frame": "first frame, repeated", "mean_clip": "mean of the task's training clips",
    "nearest_clip": "training clip of the task with the nearest first frame", "monolithic": "monolithic",
    "preview": "preview only", "refine_only": "refine only", "refined": "preview + refine",
    "pixel_degradation": "pixel degradation", "naive_cascading": "naive cascading",
    "true_future": "expert, the recorded clip", "cascade": "expert, preview + refine",
    "diffusion_policy": "diffusion policy without a world model, told the task",
}  # fmt: skip
"""Words of the methods of `benchmarks/dvg/`, in the order of the tables."""


def dvg_quality() -> str:
    """Likeness of imagined clips, by method; means over seeds."""
    lines, found = [], results("dvg_quality")["rows"]
    for method in DVG_METHODS:
        for steps in sorted({row["refinement_steps"] for row in found if row["method"] == method}):
            rows = [r for r in found if (r["method"], r["refinement_steps"]) == (method, steps)]

            def of(key: str, form: str, rows: list[dict[str, Any]] = rows) -> str:
                return f"{mean(row[key] for row in rows):{form}}" if all(key in row for row in rows) else ""

            words = DVG_METHODS[method] + (f", {steps} step{'s' * (steps > 1)}" if steps else "")
            psnr = "" if method == "recorded" else of("psnr", ".1f")
            shares = (of("object_accuracy", ".0%"), of("task_accuracy", ".0%"))
            cost = of("seconds_per_clip", ".2f") if rows[0]["seconds_per_clip"] else ""
            likeness = (psnr, of("ssim", ".3f"), of("frechet", ".2f"))
            lines.append((words, *likeness, *shares, of("doubt_correlation", ".2f"), cost, rows[0]["clips"], len(rows)))
    head = (
        "method", "PSNR, dB", "SSIM", "Fréchet, own features", "object", "object and direction", "doubt's correlation",
        "s a clip", "clips", "seeds",
    )  # fmt: skip
    return table(head, lines)


def dvg_expert() -> str:
    """Success in the simulator, by who made the clips that the expert follows."""
    found, lines = results("dvg_expert")["rows"], []
    tasks = list(dict.fromkeys(row["task"] for row in found))
    for method in DVG_METHODS:
        rows = [row for row in found if row["method"] == method]
        if not rows:
            continue
        words = DVG_METHODS[method].removeprefix("expert, ")
        done = [(y, f"{row['task']} {i}") for row in rows for i, y in enumerate(row["outcomes"])]
        low, high = clustered_wilson(*zip(*done, strict=True))
        rate = f"{mean(y for y, _ in done):.0%} ({low:.0%} to {high:.0%})"
        own = [[y for row in rows if row["task"] == task for y in row["outcomes"]] for task in tasks]
        lines.append((words, rate, *(f"{sum(y)} of {len(y)}" for y in own)))
    return table(("clips by", "all tasks (95%)", *(f"`{task}`" for task in tasks)), lines)


def dvg_speed() -> str:
    """PSNR against time of a clip, by how it is made."""
    rows = results("dvg_speed")["frontier"]
    whole = next(r for r in rows if (r["fidelity"], r["steps"], r["precision"]) == ("monolithic", 50, "fp32"))
    lines = []
    for row in sorted(rows, key=lambda r: -r["seconds_per_clip"]):
        extra = ["merged"] * row["merged"] + ([f"block cache {row['cache']}"] if row["cache"] is not None else [])
        share = f"{row['matmul_share']:.0%}" if "matmul_share" in row else ""
        times = whole["seconds_per_clip"] / row["seconds_per_clip"]
        words = ", ".join([row["fidelity"], row["precision"], *extra])
        lines.append(
            (words, row["steps"], f"{row['psnr']:.1f}", f"{row['seconds_per_clip']:.2f}", f"{times:.1f}x", share)
        )
    return table(("", "steps", "PSNR, dB", "s a clip", "faster", "share of the matmul rate"), lines)


def dvg_latency() -> str:
    """Seconds that a batch of clips takes."""
    rows, lines = results("dvg_speed")["latency"], []
    batches = sorted({row["batch"] for row in rows})
    for kind in dict.fromkeys((r["fidelity"], r["steps"], r["precision"]) for r in rows):
        own = {r["batch"]: r for r in rows if (r["fidelity"], r["steps"], r["precision"]) == kind}
        cells = [
            f"{n * own[n]['seconds_per_clip']:.2f} s ({own[n]['matmul_share']:.0%})" if n in own else ""
            for n in batches
        ]
        lines.append((f"{kind[0]}, {kind[1]} steps, {kind[2]}", *cells))
    return table(
        ("seconds of a batch (share of the matmul rate)", *(f"{n} clip{'s' * (n > 1)}" for n in batches)), lines
    )


LIBERO = {"goal": "goal", "spatial": "spatial", "object": "object", "10": "long", "90": "90"}


def libero_operators() -> str:
    """How often the scripted operator succeeds, by suite of LIBERO."""
    lines = []
    for suite, words in LIBERO.items():
        tried = {t: r for t, r in results("libero_operators")["episodes"].items() if t.startswith(f"libero_{suite}/")}
        rates = [mean(row["steps"] is not None for row in rows) for rows in tried.values()]
        states = sorted({len(rows) for rows in tried.values()})
        at_80 = f"{sum(rate >= 0.8 for rate in rates)} of {len(rates)}"
        lines.append((words, "-".join(str(n) for n in {states[0], states[-1]}), f"{100 * mean(rates):.1f}%", at_80))
    return table(("suite", "initial states of each task", "mean success", "tasks at 80% or more"), lines)


def libero_tasks() -> str:
    """The same, task by task."""
    lines = []
    for task, rows in sorted(results("libero_operators")["episodes"].items()):
        steps = [row["steps"] for row in rows if row["steps"] is not None]
        lines.append((f"`{task}`", f"{len(steps)} of {len(rows)}", f"{median(steps):.0f}" if steps else "-"))
    return table(("task", "successes", "steps, median"), lines)


def libero_parity() -> str:
    """Our LIBERO beside the original, by suite: how far apart after the same actions, and how fast."""
    told, lines = results("libero_parity")["physics"]["rows"], []
    for suite, words in LIBERO.items():
        rows = [r for r in told if r["task"].startswith(f"libero_{suite}/")]
        near = [r["first_step_over_5_mm"] is None for r in rows]
        alike = [max(r.get("reference_solver_calls", r)[k] for k in ("hand_mm", "objects_mm")) <= 5 for r in rows]
        equal = sum(r["verdicts_unequal"] == 0 for r in rows)
        speeds = sorted(r["speedup"] for r in rows)
        counted = (f"{sum(near)} of {len(rows)}", f"{sum(alike)} of {len(rows)}", f"{equal} of {len(rows)}")
        lines.append((words, *counted, f"{median(speeds):.1f} ({speeds[0]:.1f} to {speeds[-1]:.1f})"))
    head = (
        "suite", "within 5 mm at all 200 steps", "the same with the original's calls of the solver",
        "verdict equal at every step", "speed, times the original's",
    )  # fmt: skip
    return table(head, lines)


def libero_pictures() -> str:
    """Frames and speed with two cameras of 128x128, task by task."""
    lines = []
    for row in results("libero_parity")["pictures"]["rows"]:
        stock, thin = (" / ".join(f"{v:.0f}" for v in row[f"psnr_{k}"]) for k in ("stock", "thin"))
        rates = f"{row['steps_per_s']:.0f} / {row['reference_steps_per_s']:.0f}"
        suite, task = row["task"].removeprefix("libero_").split("/")
        lines.append((f"{LIBERO[suite]}: {task.replace('_', ' ')}", stock, thin, rates, f"{row['speedup']:.1f}"))
    head = (
        "task", "stock frames, dB (static / gripper; 99: equal)", "thin frames, dB", "steps/s, ours thin / original",
        "times",
    )  # fmt: skip
    return table(head, lines)


def libero_tuning() -> str:
    """Policies before and after fine-tuning in the dream of LIBERO's goal tasks."""
    lines, found = [], results("libero_tuning")["rows"]
    for task in sorted({row["task"] for row in found}):
        rows = [row for row in found if row["task"] == task]
        real = [_with_interval([(row[k], row["episodes"]) for row in rows]) for k in ("base", "tuned")]
        imagined = [f"{mean(row[f'{k}_imagined'] for row in rows):.2f}" for k in ("base", "tuned")]
        lines.append((f"`{task.partition('/')[2]}`", len(rows), *real, *imagined))
    head = ("task", "seeds", "cloned", "fine-tuned", "cloned, imagined", "fine-tuned, imagined")
    return table(head, lines)


def libero_controls() -> str:
    """What the figures of the fine-tuning are to be held against."""
    lines, found = [], results("libero_tuning")["controls"]
    for task in sorted({row["task"] for row in found}):
        cells = []
        for policy in ("hold", "cloned for longer", "operator:better"):
            rows = [row for row in found if (row["task"], row["policy"]) == (task, policy)]
            cells.append(_with_interval([(row["success"], row["episodes"]) for row in rows]))
        lines.append((f"`{task.partition('/')[2]}`", *cells))
    (epochs,) = {row["epochs"] for row in found if "epochs" in row}
    return table(("task", "standing still", f"cloned for {epochs:,} epochs", 'scripted operator "better"'), lines)


def _with_interval(rows: Sequence[tuple[float, int]]) -> str:
    """Success rates of several runs together, with Wilson's interval."""
    number = sum(episodes for _, episodes in rows)
    successes = sum(rate * episodes for rate, episodes in rows)
    low, high = wilson(successes, number)
    return f"{successes / number:.2f} ({low:.2f} to {high:.2f})"


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"diwa": diwa, "longer cloning": longer_cloning, "parity": parity, "speed": speed},
    "docs/evaluate.md": {"trust": trust},
    "docs/diffusion_ppo.md": {"tuning profile": tuning_profile},
    "docs/architecture.md": {"files crossed": files_crossed},
    "docs/dvg_wm.md": {
        "cost": dvg_cost,
        "quality": dvg_quality,
        "expert": dvg_expert,
        "frontier": dvg_speed,
        "latency": dvg_latency,
    },
    "docs/lac_wm.md": lac.blocks(),
    "docs/ladi_wm.md": ladi.blocks(),
    "docs/libero.md": {
        "libero parity": libero_parity,
        "libero pictures": libero_pictures,
        "libero operators": libero_operators,
        "libero tasks": libero_tasks,
        "libero tuning": libero_tuning,
        "libero controls": libero_controls,
    },
}
"""The tables of each page, by the name in their markers."""


def block(name: str) -> re.Pattern[str]:
    """Finds a marked table: its beginning, what stands there, its end."""
    mark = re.escape(name)
    return re.compile(rf"(<!-- {mark}: begin -->\n)(.*?)(\n<!-- {mark}: end -->)", re.DOTALL)


def rebuilt(page: str, text: str) -> str:
    """The text of a page with its tables made anew.

    Raises:
        ValueError: a marker is missing.
    """
    for name, make in BLOCKS[page].items():
        found = block(name).search(text)
        if found is None or block(name).search(text, found.end()):
            raise ValueError(f"{page} needs its table between <!-- {name}: begin --> and <!-- {name}: end -->, once")
        text = text[: found.start(2)] + make() + text[found.end(2) :]
    return text


def main(args: Sequence[str] | None = None) -> int:
    """Writes the tables, or with ``--check`` says which pages differ."""
    check, differ = "--check" in (sys.argv[1:] if args is None else args), []
    for page in BLOCKS:
        old = (ROOT / page).read_text(encoding="utf-8")
        new = rebuilt(page, old)
        if new != old:
            differ.append(page)
        if not check:
            (ROOT / page).write_text(new, encoding="utf-8")
    if check and differ:
        print(f"differ from their results: {', '.join(differ)}; run python benchmarks/figures.py")
    return int(check and bool(differ))


if __name__ == "__main__":
    raise SystemExit(main())
