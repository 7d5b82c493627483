"""The model card of a checkpoint: README.md from what was measured, the same for every family and suite."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dreamgym.envs.registration import DREAMS
from dreamgym.evaluation.making.card_trust import common_span, trusted_spans
from dreamgym.evaluation.making.markdown import table
from dreamgym.evaluation.making.measures import STD, format_value

STEPS = (1, 5, 10, 20, 25, 50)
WHO = {
    "model": "**dream**",
    "repeat": "repeat the last frame",
    "held": "hold its own reading of the last frame",
    "mean": "mean of training",
}
LOST = {"repeat": "repeating", "mean": "the mean", "held": "holding its own reading"}
UNTOLD = ("updates", "steps", "family", "preset", "store", "data", "seed")
"""Of a run's settings, what stands elsewhere in a card or means nothing on another machine."""
WEAK = {"f1": 0.95, "f1_imagined": 0.9, "f1_real": 0.9}
"""Scores below which a task is named among the limits."""


def write_card(name: str, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        name: of the checkpoint.
        metrics: as `dreamgym.evaluation.making.finish` gathers them: "model", "training", "data", "fidelity",
            "rewards", "twin", "scripted", "starts", "seed", "command", "machine"; parts that are missing are left out.
    """
    if metrics.get("fidelity"):
        metrics = {**metrics, "fidelity": _of_what_moves(metrics["fidelity"])}
    parts = [f"# {name}", _summary(name, metrics)]
    for title, write, key in (
        ("How it was made", _making, "data"),
        ("Fidelity", _fidelity, "fidelity"),
        ("How far to trust it", _trust, "fidelity"),
        ("Uncertainty", _uncertainty, "fidelity"),
        ("Rewards", _rewards, "rewards"),
        ("Twin rollouts", _twin, "twin"),
        ("Scripted policies in the dream and in its twin", _scripted, "scripted"),
        ("Start states", _starts, "starts"),
    ):
        if metrics.get(key):
            parts += [f"## {title}", write(metrics)]
    parts += ["## Limits", _limits(metrics)]
    return "\n\n".join(parts) + "\n"


def _summary(name: str, metrics: Mapping[str, Any]) -> str:
    model = metrics.get("model", {})
    variant = f"{model['variant']}; " if model.get("variant") else ""
    suites = sorted({entry["suite"] for entry in metrics.get("data", {}).values() if entry.get("suite")})
    text = (
        f"World model of the family `{model.get('family', '?')}` ({variant}{model.get('parameters', 0):,} parameters; "
        f"features of {model.get('features', '?')}){' of the suite ' + ' and '.join(suites) if suites else ''}, with what a dreamgym "
        "environment is made of: rewards, start states and, where the model does not decode the simulator's state, a probe."
    )
    registered = [env for env, kwargs in DREAMS.items() if kwargs.get("checkpoint") == name]
    env = f'"{registered[0]}"' if registered else f'"Dream-v0", checkpoint="{name}"'
    tasks = list(metrics.get("rewards", {}).get("tasks", {})) or ["..."]
    use = f'import dreamgym, gymnasium as gym\n\nenv = gym.make({env}, task="{tasks[0]}")'
    return f"{text}\n\n```python\n{use}\n```"


def _making(metrics: Mapping[str, Any]) -> str:
    training = metrics.get("training", {})
    rows: list[tuple[str, Any]] = [("updates", f"{training['updates']:,}")] if "updates" in training else []
    sizes = metrics.get("model", {}).get("sizes", {})
    if sizes:
        words = (f"{k.replace('_', ' ')} {tuple(v) if isinstance(v, list) else v}" for k, v in sizes.items())
        rows.append(("model", ", ".join(words)))
    plain = {k: v for k, v in training.items() if isinstance(v, int | float | str) and k not in UNTOLD}
    rows += [("training episodes" if k == "episodes" else k, v) for k, v in plain.items()]
    for kind, entry in metrics.get("data", {}).items():
        rows.append((f"{kind} data", _data(entry)))
        if entry.get("operators"):
            rows.append(("who acts", ", ".join(f"{who} {count:,}" for who, count in entry["operators"].items())))
    rows += [(k, metrics[k]) for k in ("seed", "machine") if k in metrics]
    text = table(("", ""), [(str(k).replace("_", " "), v) for k, v in rows])
    command = metrics.get("command")
    return text + (f"\n\n```\n{command}\n```" if command else "")


def _data(entry: Mapping[str, Any]) -> str:
    where = [f"{k} {v}" for k, v in entry.get("simulator", {}).items() if isinstance(v, str)]
    held = [f"{entry['held_out']:,} held out"] if "held_out" in entry else []
    steps = f", {entry['steps']:,} steps" if "steps" in entry else ""
    told = ", ".join([*where, *held])
    return f"{entry['episodes']:,} episodes{steps}" + (f" ({told})" if told else "")


def _of_what_moves(fidelity: Mapping[str, Any]) -> dict[str, Any]:
    """Without the measures of what stood still in every window; "idle" has their labels."""
    idle = {
        name: curve.get("label") or name
        for name, curve in fidelity["curves"].items()
        if curve.get("repeat") and not curve["higher_is_better"] and not any(curve["repeat"])
    }
    kept = {
        part: {name: curve for name, curve in (fidelity.get(part) or {}).items() if name not in idle}
        for part in ("curves", "moving", "openings")
    }
    return {**fidelity, **kept, "idle": list(idle.values())}


def _fidelity(metrics: Mapping[str, Any]) -> str:
    fidelity = metrics["fidelity"]
    read = {"decoded": "decoded", "probe": "read by the state probe"}.get(fidelity["state_source"])
    lead = (
        f"Open loop on {fidelity['windows']} windows of held-out episodes: {fidelity['context']} context frames, then up to "
        f"{fidelity['steps']} imagined steps along the recorded actions. "
        + (f"Simulator state is {read}; errors are mean absolute errors; " if read else "")
        + "PSNR is that of the mean squared error; std is the error of all entries that move, in standard deviations of the training data. Repeating the last frame knows the simulator's state exactly; "
        "holding is the same for one who reads it off the frame as the model does."
    )
    beaten = [
        f"{_title(curve, name)} (against {' and '.join(LOST[k] for k, won in curve['beats_from_5'].items() if not won)})"
        for name, curve in fidelity["curves"].items()
        if not all(curve["beats_from_5"].values())
    ]
    start = "The dream beats every baseline at every measured step from 5 on, "
    verdict = start + (f"except in: {'; '.join(beaten)}." if beaten else "in every measure.")
    if fidelity["idle"]:
        verdict += f" Nothing moved, and nothing is tabled, of: {', '.join(fidelity['idle'])}."
    text = f"{lead}\n\n{_curves(fidelity['curves'])}\n\n{verdict}"
    if fidelity.get("moving"):
        text += (
            "\n\nOn those frames alone in which the real thing has moved since the context (a light: switched):"
            f"\n\n{_curves(fidelity['moving'])}"
        )
    if fidelity.get("openings"):
        text += f"\n\nFrom an episode's first frame, as a reset shows it:\n\n{_curves(fidelity['openings'])}"
    return text


def _trust(metrics: Mapping[str, Any]) -> str:
    fidelity = metrics["fidelity"]
    moving, spans = bool(fidelity.get("moving")), trusted_spans(fidelity)
    curves = fidelity["moving"] if moving else fidelity["curves"]
    rows = [
        (_title(curves[name], name), "at no step" if x is None else f"{x[0]} to {x[1]}") for name, x in spans.items()
    ]
    which = (
        "On frames in which the real thing has moved since the context (a light: switched)"
        if moving
        else "On all frames"
    )
    common, lost = common_span(spans), [curves[name].get("label") or name for name, x in spans.items() if x is None]
    shared = "" if common is None else f" All of them together: {common[0]} to {common[1]}."
    none = f" Do not trust it with: {', '.join(lost)}." if lost else ""
    return (
        f"{which}, the longest run of measured control steps at which the dream is better than every baseline (measured up "
        f"to step {fidelity['steps']}); outside of it the last frame, or the mean of training, says as much.\n\n"
        f"{table(('measure', 'steps'), rows)}\n\nFound from the curves of the section above.{shared}{none} How far its verdicts of "
        "success can be trusted is another question: see imagined against real success under Rewards, Twin rollouts and in docs/evaluate.md."
    )


def _title(curve: Mapping[str, Any], name: str) -> str:
    kinds = {"dB": " PSNR", STD: ""}
    kind = kinds.get(curve["unit"], " right" if curve["higher_is_better"] else " error")
    return f"{curve.get('label') or name}{kind}"


def _curves(curves: Mapping[str, Any]) -> str:
    measured = {s for curve in curves.values() for s in curve["steps"]}
    steps = [s for s in STEPS if s in measured] or sorted(measured)[:5]
    rows = []
    for name, curve in curves.items():
        for who, words in WHO.items():
            if curve.get(who):
                at = dict(zip(curve["steps"], curve[who], strict=True))
                cells = [format_value(at.get(s), curve["unit"], 2) for s in steps]
                rows.append([_title(curve, name) if who == "model" else "", words, *cells])
    return table(["measure", "", *(f"step {s}" for s in steps)], rows)


def _uncertainty(metrics: Mapping[str, Any]) -> str:
    values = metrics["fidelity"]["uncertainty"]
    unit = metrics.get("model", {}).get("uncertainty_unit", "")
    rows = []
    for key, value in values.items():
        if "auroc_" in key and value is not None:
            kind = {"vectors": "standardised"}.get(key.rsplit("_", 1)[1], key.rsplit("_", 1)[1])
            how = "one-step" if key.startswith("one_step") else "open-loop"
            rows.append((f"AUROC for the worst tenth of {how} {kind} errors", f"{value:.3f}"))
    told = {"p50": "median", "p99": "99th percentile (the limit)"}
    rows += [(words, f"{values[k]:.4g}") for k, words in told.items() if values.get(k) is not None]
    steps = f" over {values['steps']} steps" if "steps" in values else ""
    return (f"Unit: {unit}.\n\n" if unit else "") + table((f"uncertainty on held-out episodes{steps}", ""), rows)


_REWARD_COLUMNS = {
    "threshold": "threshold", "f1": "F1", "f1_off_edge": "F1 off the edge", "precision": "precision", "recall": "recall",
    "episode_f1": "F1 of episodes", "f1_imagined": "F1 imagined", "num_episodes": "episodes",
}  # fmt: skip


def _rewards(metrics: Mapping[str, Any]) -> str:
    rewards = metrics["rewards"]
    rows = [
        [f"`{name}`", f"{m['threshold']:.2f}", *(f"{m[k]:.3f}" for k in list(_REWARD_COLUMNS)[1:-1]), m["num_episodes"]]
        for name, m in rewards["tasks"].items()
    ]
    means = [rewards.get(f"mean_{k}") for k in _REWARD_COLUMNS]
    rows.append(["mean", *("" if v is None else f"{v:.3f}" for v in means)])
    kinds = [k for k in metrics.get("data", {}) if k in ("demonstration", "attempt")]
    whom = " and ".join(f"{k}s" for k in kinds) or "episodes"
    return (
        f"The latent success classifier (DiWA S.2.3) on held-out {whom}, failed ones among them, frame by frame; F1 is "
        "cross-fitted (each half is scored with the threshold chosen on the other). Off the edge: without the one frame before "
        "and the one after the crossing. Imagined: on latents of the prior along the recorded actions.\n\n"
        + table(["task", *_REWARD_COLUMNS.values()], rows)
    )


def _twin(metrics: Mapping[str, Any]) -> str:
    twin = metrics["twin"]
    keys = ("f1_real", "episode_f1_real", "f1_dream", "episode_f1_dream")
    rows = [
        [f"`{name}`", *(f"{m[k]:.3f}" for k in keys), f"{m['num_successes']} of {m['num_episodes']}"]
        for name, m in twin["tasks"].items()
    ]
    rows.append(["mean", *(f"{np.mean([m[k] for m in twin['tasks'].values()]):.3f}" for k in keys), ""])
    heads = ["task", "F1 in the twin", "of episodes", "F1 in the dream", "of episodes", "successes"]
    return (
        "Scripted operators with action noise, some of which miss, "
        f"from `{twin.get('split', 'val')}` starts in the real simulator. In the twin "
        "the classifier sees filtered real frames; in the dream it sees what the model imagines from the start along the "
        f"same actions. Success is by the simulator's own rules.\n\n{table(heads, rows)}"
    )


def _scripted(metrics: Mapping[str, Any]) -> str:
    told = metrics["scripted"]
    rows = [
        (f"`{r['task']}`", r["policy"], f"{100 * r['dream']:.0f}%", f"{100 * r['twin']:.0f}%", r["episodes"])
        for r in told["rows"]
    ]
    return (
        f"Share of successes within {told['horizon']} steps from the same `{told.get('split', 'val')}` starts, scripts acting on the decoded state, "
        "with noise of that standard deviation added to their actions, in the units of the action (`benchmarks/state_dreams.py`).\n\n"
        + table(("task", "who acts", "dream", "twin", "episodes"), rows)
    )


def _starts(metrics: Mapping[str, Any]) -> str:
    starts = metrics["starts"]
    splits = [s for s in ("train", "val", "test") if any(s in c for c in starts["counts"].values())]
    rows = [(f"`{task}`", *(c.get(s, 0) for s in splits)) for task, c in starts["counts"].items()]
    snapshots = (
        "each with the simulator snapshot of its frame" if starts.get("snapshots") else "without simulator snapshots"
    )
    return f"Filtered over {starts['context']} frames, {snapshots}.\n\n{table(('task', *splits), rows)}"


def _limits(metrics: Mapping[str, Any]) -> str:
    lines = [
        "Learned from the data named above: other scenes, robots and cameras are outside it, and far from what was done there it "
        'has seen nothing; `info["uncertainty"]` tells.',
        "Open-loop errors grow with the horizon; beyond the steps tabled above nothing was measured.",
        "The success classifier can be wrong, and a policy trained against it will look for where it is: score policies in "
        "the twin.",
    ]
    scores = {
        "rewards": {"f1": "Held-out F1", "f1_imagined": "F1 on imagined frames"},
        "twin": {"f1_real": "F1 on twin rollouts"},
    }
    for part, names in scores.items():
        found: Sequence[tuple[str, Any]] = list((metrics.get(part) or {}).get("tasks", {}).items())
        for key, words in names.items():
            if weak := [f"`{task}`" for task, m in found if m.get(key, 1) < WEAK[key]]:
                lines.append(f"{words} is below {WEAK[key]} for {', '.join(weak)}.")
    return "\n".join(f"- {line}" for line in lines)
