"""The model card of a checkpoint: README.md from what was measured."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.envs.registration import DREAMS
from dreamgym.evaluation.making.markdown import table

STEPS = (1, 5, 10, 25, 50)
WHO = {
    "model": "**dream**",
    "repeat": "repeat the last frame",
    "held": "hold its own reading of the last frame",
    "mean": "mean of training",
}
LOST = {"repeat": "repeating", "mean": "the mean", "held": "holding its own reading"}
TITLES = {
    "rgb_static": "static camera PSNR",
    "rgb_gripper": "gripper camera PSNR",
    "drawer": "drawer error",
    "slider": "slider error",
    "tcp": "hand (tcp) error",
    "bulb": "light bulb right",
    "led": "LED right",
}


def write_card(name: str, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        name: of the checkpoint.
        metrics: as `dreamgym.evaluation.making.finish` gathers them: "model", "training", "data", "fidelity", "rewards", "twin",
            "starts", "seed", "command", "machine"; parts that are missing are left out.
    """
    parts = [f"# {name}", _summary(name, metrics)]
    for title, write, key in (
        ("How it was made", _recipe, "training"),
        ("Fidelity", _fidelity, "fidelity"),
        ("Uncertainty", _uncertainty, "fidelity"),
        ("Rewards", _rewards, "rewards"),
        ("Twin rollouts", _twin, "twin"),
        ("Start states", _starts, "starts"),
    ):
        if metrics.get(key):
            parts += [f"## {title}", write(metrics)]
    parts += ["## Limits", _limits(metrics)]
    return "\n\n".join(parts) + "\n"


def _summary(name: str, metrics: Mapping[str, Any]) -> str:
    model = metrics.get("model", {})
    text = (
        f"World model of the family `{model.get('family', '?')}` ({model.get('variant', 'custom')}; {model.get('parameters', 0):,} parameters; "
        f"features of {model.get('features', '?')}) with rewards, start states and the state probe of a dreamgym environment."
    )
    registered = [env for env, kwargs in DREAMS.items() if kwargs.get("checkpoint") == name]
    env = f'"{registered[0]}"' if registered else f'"Dream-v0", checkpoint="{name}"'
    tasks = list(metrics.get("rewards", {}).get("tasks", {})) or ["..."]
    use = f'import dreamgym, gymnasium as gym\n\nenv = gym.make({env}, task="{tasks[0]}")'
    return f"{text}\n\n```python\n{use}\n```"


def _recipe(metrics: Mapping[str, Any]) -> str:
    training, data = metrics["training"], metrics.get("data", {})
    rows = [("updates", f"{training['updates']:,}")]
    rows += [(k, training[k]) for k in ("batch_size", "length", "precision") if k in training]
    if "episodes" in training:
        rows.append(("episodes that the world model saw", training["episodes"]))
    for kind, entry in data.items():
        rows.append(
            (f"{kind} data", f"{entry['episodes']:,} episodes, {entry['steps']:,} transitions ({entry['note']})")
        )
    rows += [(k, metrics[k]) for k in ("seed", "machine") if k in metrics]
    text = table(("", ""), [(str(k).replace("_", " "), v) for k, v in rows])
    command = metrics.get("command")
    return text + (f"\n\n```\n{command}\n```" if command else "")


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in ("drawer", "slider", "tcp"):
        return f"{100 * value:.2f} cm"
    return f"{100 * value:.1f}%" if name in ("bulb", "led") else f"{value:.2f} dB"


def _curves(curves: Mapping[str, Any], steps: Sequence[int]) -> str:
    rows = []
    for name, curve in curves.items():
        for who, label in WHO.items():
            if not curve.get(who):
                continue
            cells = [_value(name, curve[who][s - 1]) for s in steps]
            rows.append([TITLES.get(name, name) if who == "model" else "", label, *cells])
    return table(["measure", "", *(f"step {s}" for s in steps)], rows)


def _fidelity(metrics: Mapping[str, Any]) -> str:
    fidelity = metrics["fidelity"]
    steps = [s for s in STEPS if s <= fidelity["steps"]]
    lead = (
        f"Open loop on {fidelity['windows']} windows of held-out play: {fidelity['context']} context frames, then "
        f"{fidelity['steps']} imagined steps along the recorded actions. Simulator state is "
        f"{'decoded' if fidelity['state_source'] == 'decoded' else 'read by the state probe'}; errors are mean absolute "
        "errors, PSNR is that of the mean squared error. Repeating the last frame knows the simulator's state exactly; "
        "holding is the same for one who reads it off the frame as the model does."
    )
    beaten = []
    for name, curve in fidelity["curves"].items():
        wins = curve["beats_from_5"]
        if not all(wins.values()):
            lost = " and ".join(LOST[k] for k, won in wins.items() if not won)
            beaten.append(f"{TITLES.get(name, name)} (against {lost})")
    verdict = (
        "The dream beats every baseline at every step from 5 on, in every measure."
        if not beaten
        else "The dream beats every baseline at every step from 5 on, except in: " + "; ".join(beaten) + "."
    )
    text = f"{lead}\n\n{_curves(fidelity['curves'], steps)}\n\n{verdict}"
    if fidelity.get("moving"):
        text += (
            "\n\nOn those frames alone in which the real thing has changed since the context (1 cm of drawer or slider, 3 cm "
            f"of hand, a switched light):\n\n{_curves(fidelity['moving'], steps)}"
        )
    return text


def _uncertainty(metrics: Mapping[str, Any]) -> str:
    values = metrics["fidelity"]["uncertainty"]
    unit = metrics.get("model", {}).get("uncertainty_unit", "")
    rows = [
        (f"AUROC for the worst tenth of {'one-step' if k.startswith('one_step') else 'open-loop'} {k.rsplit('_', 1)[1]} errors", f"{v:.3f}")
        for k, v in values.items()
        if "auroc" in k and v is not None
    ]  # fmt: skip
    rows += [("median", f"{values['p50']:.4g}"), ("99th percentile (the limit)", f"{values['p99']:.4g}")]
    return (f"Unit: {unit}.\n\n" if unit else "") + table(("uncertainty on held-out play", ""), rows)


def _rewards(metrics: Mapping[str, Any]) -> str:
    rewards = metrics["rewards"]
    clumsy = "attempt" in metrics.get("data", {})
    whom = "demonstrations, failed and clumsy attempts" if clumsy else "demonstrations and failed attempts"
    rows: list[tuple[Any, ...]] = [
        (
            f"`{name}`", f"{m['threshold']:.2f}", f"{m['f1']:.3f}", f"{m['f1_off_edge']:.3f}", f"{m['precision']:.3f}", f"{m['recall']:.3f}",
            f"{m['episode_f1']:.3f}", f"{m['f1_imagined']:.3f}", m["num_episodes"],
        )
        for name, m in rewards["tasks"].items()
    ]  # fmt: skip
    heads = [
        "task",
        "threshold",
        "F1",
        "F1 off the edge",
        "precision",
        "recall",
        "F1 of episodes",
        "F1 imagined",
        "episodes",
    ]
    rows.append(
        (
            "mean",
            "",
            f"{rewards['mean_f1']:.3f}",
            f"{rewards['mean_f1_off_edge']:.3f}",
            "",
            "",
            f"{rewards['mean_episode_f1']:.3f}",
            f"{rewards['mean_f1_imagined']:.3f}",
            "",
        )
    )
    return (
        f"The latent success classifier (DiWA S.2.3) on held-out {whom}, frame by frame; F1 is "
        "cross-fitted (each half is judged with the threshold chosen on the other). Off the edge: without the one frame before and the one after the crossing. Imagined: on latents of the prior along "
        f"the recorded actions.\n\n{table(heads, rows)}"
    )


def _twin(metrics: Mapping[str, Any]) -> str:
    twin = metrics["twin"]
    rows: list[tuple[Any, ...]] = [
        (
            f"`{name}`", f"{m['f1_real']:.3f}", f"{m['episode_f1_real']:.3f}", f"{m['f1_dream']:.3f}",
            f"{m['episode_f1_dream']:.3f}", f"{m['num_successes']} of {m['num_episodes']}",
        )
        for name, m in twin["tasks"].items()
    ]  # fmt: skip
    means = [f"{np.mean([m[k] for m in twin['tasks'].values()]):.3f}" for k in _TWIN_KEYS]
    rows.append(("mean", *means, ""))
    heads = ["task", "F1 in the twin", "of episodes", "F1 in the dream", "of episodes", "successes"]
    return (
        "Scripted experts with action noise, some of which miss, from held-out starts in the real simulator. In the twin "
        "the classifier sees filtered real frames; in the dream it sees what the model imagines from the start along the "
        f"same actions. The simulator's oracle is the judge.\n\n{table(heads, rows)}"
    )


_TWIN_KEYS = ("f1_real", "episode_f1_real", "f1_dream", "episode_f1_dream")


def _starts(metrics: Mapping[str, Any]) -> str:
    starts = metrics["starts"]
    rows = [(f"`{task}`", c.get("train", 0), c.get("val", 0)) for task, c in starts["counts"].items()]
    snapshots = (
        "each with the simulator snapshot of its frame" if starts.get("snapshots") else "without simulator snapshots"
    )
    return f"Filtered over {starts['context']} frames, {snapshots}.\n\n{table(('task', 'train', 'val'), rows)}"


def _limits(metrics: Mapping[str, Any]) -> str:
    lines = [
        "Learned from scripted play in one simulated scene with one arm: other scenes, robots and cameras are outside it.",
        "Open-loop errors grow with the horizon; beyond the steps tabled above nothing was measured.",
        "The success classifier can be wrong, and a policy trained against it will look for where it is: score policies in "
        "the twin.",
    ]
    weak = [t for t, m in (metrics.get("rewards") or {}).get("tasks", {}).items() if m["f1"] < 0.95]
    if weak:
        lines.append(f"Held-out F1 is below 0.95 for {', '.join(f'`{t}`' for t in weak)}.")
    twin = (metrics.get("twin") or {}).get("tasks", {})
    weak = [t for t, m in twin.items() if m["f1_real"] < 0.9]
    if weak:
        lines.append(f"F1 on twin rollouts is below 0.9 for {', '.join(f'`{t}`' for t in weak)}.")
    return "\n".join(f"- {line}" for line in lines)
