"""The model card of an MLP world model's checkpoint: README.md from what was measured."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dreamgym.evaluation.making.markdown import table
from dreamgym.training.fidelity_mlp import LONG, PARTS


def write_card(name: str, metrics: Mapping[str, Any], env_id: str | None = None) -> str:
    """The card as Markdown.

    Args:
        name: of the checkpoint.
        metrics: as `recipe_mlp.finish_mlp` gathers them: "model", "training", "data", "open_loop", "parts", "rewards",
            "starts", "scripted", "seed", "command", "machine"; parts that are missing are left out.
        env_id: the registered dream of that name, if there is one.
    """
    parts = [f"# {name}", _summary(name, metrics, env_id)]
    for title, write, key in (
        ("How it was made", _recipe, "training"),
        ("Fidelity", _fidelity, "open_loop"),
        ("Rewards", _rewards, "rewards"),
        ("Scripted policies in the dream and in its twin", _scripted, "scripted"),
        ("Start states", _starts, "starts"),
    ):
        if metrics.get(key):
            parts += [f"## {title}", write(metrics)]
    return "\n\n".join([*parts, "## Limits", _limits(metrics)]) + "\n"


def _summary(name: str, metrics: Mapping[str, Any], env_id: str | None) -> str:
    model, tasks = metrics.get("model", {}), list(metrics["rewards"]["tasks"])
    env = f'"{env_id}"' if env_id else f'"Dream-v0", checkpoint="{name}"'
    return (
        f"World model of the family `mlp` (WARPD, section 4; {model.get('parameters', 0):,} parameters: {model.get('ensemble', '?')} "
        f"perceptrons of {' x '.join(map(str, model.get('hidden', ())))}) on the state of {metrics['data'].get('suite', 'its suite')}, "
        "with rewards and start states of a dreamgym environment. Features are the standardised state.\n\n"
        f'```python\nimport dreamgym, gymnasium as gym\n\nenv = gym.make({env}, task="{tasks[0]}")\n```'
    )


def _recipe(metrics: Mapping[str, Any]) -> str:
    data = metrics["data"]
    rows = [(k.replace("_", " "), f"{v:,}" if isinstance(v, int) else v) for k, v in metrics["training"].items()]
    acted = ", ".join(f"{name} {count:,}" for name, count in data["operators"].items())
    rows.append(("data", f"{data['episodes']:,} episodes, {data['steps']:,} steps ({data['held_out']} held out)"))
    rows += [("who acts", acted), *((k, metrics[k]) for k in ("seed", "machine") if k in metrics)]
    command = metrics.get("command")
    return table(("", ""), rows) + (f"\n\n```\n{command}\n```" if command else "")


def _fidelity(metrics: Mapping[str, Any]) -> str:
    errors = metrics["open_loop"]
    shown = [("all entries that move", "standard deviations", errors)]
    units = {n: p.unit for parts in PARTS.values() for n, p in parts.items()}
    shown += [(name, units.get(name, ""), found) for name, found in metrics.get("parts", {}).items()]
    rows = []
    for name, unit, found in shown:
        title = f"{name} ({unit})"
        for who, label in (
            ("error", "**dream**"),
            ("repeat", "repeat the last frame"),
            ("error/opening", "**dream**, from an episode's first frame"),
            ("repeat/opening", "repeat the first frame"),
        ):
            if any(f"{who}/{h}" in found for h in LONG):
                cells = [f"{found[f'{who}/{h}']:.3g}" if f"{who}/{h}" in found else "-" for h in LONG]
                rows.append((title, label, *cells))
                title = ""
    limit = errors.get("uncertainty_p99")
    told = (
        f"\n\nUncertainty (disagreement of the members), 99th percentile of these steps: {limit:.3g}." if limit else ""
    )
    if "uncertainty_auroc" in errors:
        one, every = errors["uncertainty_auroc_one_step"], errors["uncertainty_auroc"]
        told += f" AUROC of finding the worst tenth of errors by it: {one:.3f} after one step, {every:.3f} over {errors['uncertainty_steps']:.0f} (0.5 is chance)."
    return (
        "Open loop on windows of held-out episodes, along the recorded actions: mean error after so many imagined steps. "
        "Episodes that end sooner are left out.\n\n" + table(("measure", "", *(f"step {h}" for h in LONG)), rows) + told
    )


def _rewards(metrics: Mapping[str, Any]) -> str:
    tasks = metrics["rewards"]["tasks"]
    keys = ("f1", "precision", "recall", "episode_f1", "f1_imagined")
    rows: list[tuple[Any, ...]] = [
        (f"`{name}`", f"{m['threshold']:.2f}", *(f"{m[k]:.3f}" for k in keys), m["num_episodes"])
        for name, m in tasks.items()
    ]
    if len(tasks) > 1:
        means = [sum(m[k] for m in tasks.values()) / len(tasks) for k in keys]
        rows.append(("mean", "", f"{means[0]:.3f}", "", "", f"{means[3]:.3f}", f"{means[4]:.3f}", ""))
    heads = ("task", "threshold", "F1", "precision", "recall", "F1 of episodes", "F1 imagined", "episodes")
    return (
        "The success classifier on held-out episodes, frame by frame; F1 is cross-fitted (each half is judged with the "
        f"threshold chosen on the other). Imagined: along the recorded actions.\n\n{table(heads, rows)}"
    )


def _scripted(metrics: Mapping[str, Any]) -> str:
    told = metrics["scripted"]
    rows = [
        (f"`{r['task']}`", r["policy"], f"{100 * r['dream']:.0f}%", f"{100 * r['twin']:.0f}%", r["episodes"])
        for r in told["rows"]
    ]
    return (
        f"Share of successes within {told['horizon']} steps from the same held-out starts, scripts acting on the decoded "
        "state, with noise of that standard deviation added to their actions, in the units of the action (`benchmarks/state_dreams.py`).\n\n"
        + table(("task", "who acts", "dream", "twin", "episodes"), rows)
    )


def _starts(metrics: Mapping[str, Any]) -> str:
    rows = [(f"`{name}`", c.get("train", 0), c.get("val", 0)) for name, c in metrics["starts"].items()]
    begun = f"; {metrics['beginnings']:,} further episodes were begun for them alone" if "beginnings" in metrics else ""
    return f"Each with the simulator's snapshot{begun}.\n\n" + table(("task", "train", "val"), rows)


def _limits(metrics: Mapping[str, Any]) -> str:
    lines = [
        "Learned from scripts (and random walks) in one simulator: far from what they do it has seen nothing; "
        '`info["uncertainty"]` tells.',
        "Contacts are where it errs, and errors grow with the horizon; beyond the steps tabled no distance was measured.",
        "The success classifier can be wrong, and a policy trained against it will look for where it is: score policies in "
        "the twin.",
    ]
    weak = [f"`{name}`" for name, m in metrics.get("rewards", {}).get("tasks", {}).items() if m["f1"] < 0.9]
    if weak:
        lines.append(f"Held-out F1 is below 0.9 for {', '.join(weak)}.")
    dim = [f"`{n}`" for n, m in metrics.get("rewards", {}).get("tasks", {}).items() if m.get("f1_imagined", 1) < 0.9]
    if dim:
        lines.append(f"F1 on imagined frames is below 0.9 for {', '.join(dim)}.")
    return "\n".join(f"- {line}" for line in lines)
