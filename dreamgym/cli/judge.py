"""The commands that measure: fidelity, the demo, policies in both worlds, reports."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dreamgym.cli.show import amend, table

if TYPE_CHECKING:
    from dreamgym.data import EpisodeView
    from dreamgym.training.checkpoint import Checkpoint


def fidelity(
    checkpoint: str, store: Path, windows: int = 256, steps: int = 50, json: Path | None = None, write: bool = False
) -> None:
    """Measures a checkpoint's open-loop fidelity on held-out play against its baselines (DiWA S.5.4).

    Args:
        checkpoint: a shipped name, a folder, or ``hf://organisation/name``.
        store: play with held-out episodes.
        windows: held-out windows.
        steps: imagined steps a window; of a dream on states, which is measured at 1, 5, 20 and 50, how far the table
            goes.
        json: file to write every figure into.
        write: write the figures into the checkpoint itself and its card, and the limit of its uncertainty (their 99th
            percentile); all else as it was.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.card import write_card
    from dreamgym.evaluation.fidelity import FidelityConfig, measure_fidelity
    from dreamgym.training.checkpoint import load

    opened, data = load(checkpoint), EpisodeStore.open(store)
    held_out, training = data.select(split="val"), data.select(split="train")
    if opened.spec.family == "mlp":
        return _fidelity_of_states(opened, held_out, windows, steps, json, write)
    config = FidelityConfig(windows=windows, steps=steps)
    found = measure_fidelity(opened.model, held_out, training, config, opened.probe, progress=True)
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=1))
    if write:
        metrics = {**opened.metrics, "fidelity": found.to_dict()}
        spec = opened.spec.with_uncertainty_limit(found.uncertainty["p99"])
        amend(opened.path, None, metrics, card=write_card(opened.path.name, metrics), spec=spec)
    shown = [i for i in (1, 5, 10, 25, 50) if i <= steps]
    rows = [
        [f"{name}, {curve.unit}", who, *(f"{getattr(curve, who)[i - 1]:.3g}" for i in shown)]
        for name, curve in found.curves.items()
        for who in ("model", "repeat", "held", "mean")
        if getattr(curve, who)
    ]
    table(f"open-loop fidelity, {windows} windows", ["measure", "of", *(f"step {i}" for i in shown)], rows)


def _fidelity_of_states(
    opened: Checkpoint, held_out: EpisodeView, windows: int, steps: int, json: Path | None, write: bool
) -> None:
    """`fidelity` of an MLP world model, whose card is of another kind."""
    from dreamgym.envs.make import SHIPPED
    from dreamgym.training.card_mlp import write_card
    from dreamgym.training.fidelity_mlp import LONG, PARTS, evaluate, evaluate_parts

    suite, name = (opened.simulator or {}).get("id", ""), opened.path.name
    errors, parts = evaluate(opened.model, held_out, windows), evaluate_parts(opened.model, held_out, suite, windows)
    if not errors:
        raise ValueError("the store has no held-out episodes (split 'val') that are long enough to imagine along")
    found = {"open_loop": errors, "parts": parts}
    if json is not None:
        json.write_text(dumps({**found, "windows": windows}, indent=1))
    if write:
        if not {"rewards", "data"} <= opened.metrics.keys():
            raise ValueError(f"{opened.path} has no card to write into: make it whole first (recipe_mlp finish)")
        metrics = {**opened.metrics, **found}
        spec = opened.spec.with_uncertainty_limit(errors["uncertainty_p99"])
        amend(opened.path, None, metrics, card=write_card(name, metrics, SHIPPED.get(name)), spec=spec)
    shown = [h for h in LONG if h <= steps]
    units = {part: of.unit for part, of in PARTS.get(suite, {}).items()}
    measures = {"entries that move, std": errors, **{f"{n}, {units[n]}": v for n, v in parts.items()}}
    rows = [
        [measure, f"{who}, from a reset" if where else who, *(_cell(of.get(f"{key}/{where}{h}")) for h in shown)]
        for measure, of in measures.items()
        for key, who in (("error", "model"), ("repeat", "repeat"))
        for where in ("", "opening/")
        if any(f"{key}/{where}{h}" in of for h in shown)
    ]
    table(f"open-loop fidelity, {windows} windows", ["measure", "of", *(f"step {h}" for h in shown)], rows)
    points = errors["uncertainty_auroc_one_step"], errors["uncertainty_auroc"]
    print(f"uncertainty finds the worst tenth of errors with an AUROC of {points[0]:.3f} (one step), {points[1]:.3f}")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def demo(
    out: Path = Path("demo"),
    dream: str | None = None,
    real: str | None = None,
    checkpoint: str | None = None,
    num_sequences: int = 8,
    tune: bool = True,
    threads: int = 1,
    seed: int = 0,
) -> None:
    """Plays held-out actions in a dream and in its simulator twin: a table, a clip, a drift plot and a page.

    For a dream that a shipped policy was cloned on, it then fine-tunes that policy in the dream and scores it in both
    worlds, before and after, on the same page; some minutes more.

    Args:
        out: folder to write.
        dream: id of the dream; not given: Dream-PlayTable-v0, or that of the checkpoint.
        real: id of its twin; not given: that of the simulator that the checkpoint was learned from.
        checkpoint: another checkpoint for both.
        num_sequences: how many sequences, spread over the tasks.
        tune: go on with the parts that take minutes.
        threads: torch threads. A dream's step is small: on a busy machine, waiting for a second thread can cost a
            hundred times what it saves.
        seed: of the dream's draws.
    """
    import torch

    from dreamgym.evaluation.demo import MANY, demo_rows, run_demo
    from dreamgym.evaluation.parts import add_parts

    torch.set_num_threads(threads)
    done = run_demo(out, dream, real, checkpoint, num_sequences, seed)
    heads, rows = demo_rows(done)
    measures = [
        list(line) for line in zip(*rows, strict=True)
    ]  # a measure a line: there are more of them than of steps
    lines = [[name, *line] for name, line in zip(heads[1:], measures[1:], strict=True)]
    table(
        f"{done.facts['dream_id']} against {done.facts['real_id']}; in brackets: repeating the start",
        ["after steps", *measures[0]],
        lines,
    )
    print(
        "steps/s: {dream_1:,.0f} in one dream, {dream_many:,.0f} in {many}, {real:,.0f} real".format(
            **done.speed, many=MANY
        )
    )
    page = done.folder / "index.html"
    print(f"open {page}")
    for section in add_parts(done) if tune else ():
        if section.rows:
            table(section.title, section.heads, section.rows)
        print("\n".join(section.words))
        print(f"open {page}")


def evaluate(
    policies: tuple[str, ...],
    world_model: str | None = None,
    task: str | None = None,
    episodes: int = 100,
    imagined: int | None = None,
    seed: int = 0,
    split: Literal["val", "train"] = "val",
    horizon: int | None = None,
    twin: bool = True,
    simulators: int = 4,
    num_workers: int = 0,
    clips: int = 0,
    out: Path | None = None,
    json: Path | None = None,
    device: str | None = None,
    threads: int = 1,
) -> None:
    """Scores policies in a dream and in its twin from the same held-out starts; success with 95% intervals.

    Args:
        policies: "random", "hold", "package.module:factory", "path/to/file.py:factory", the folder of a saved policy,
            or that of a run: every policy in its policies/.
        world_model: a shipped name, a folder, ``hf://organisation/name`` or a dream's id; what the policy's folder says
            where not given.
        task: a task, several with commas between them, or "all"; what the policy's folder says where not given. A
            policy of several tasks is told which.
        episodes: paired episodes, in the twin and in the dream.
        imagined: episodes in the dream in all; more of them sharpen the estimate of real success.
        seed: of the starts and of every draw.
        split: starts from held-out or from training data.
        horizon: control steps of an episode; where not given what the suite's dream has (Metaworld 150, PushT 300,
            robosuite 400), or 64.
        twin: run the simulator too, not the dream alone.
        simulators: how many at a time.
        num_workers: processes for them; 0: this process.
        clips: columns of the clips of successes and of disagreements; 0: no clips.
        out: folder for one JSON file a policy; what is there is not evaluated again. Of a run: its evaluations/.
        json: file for what the policies come to together: Pearson, MMRV, calibration, drift, the exploitation gap.
        device: where to dream and act.
        threads: torch threads.
    """
    import torch

    from dreamgym.evaluation.batch import evaluate_all, run_folder
    from dreamgym.evaluation.result import EvaluationConfig
    from dreamgym.evaluation.study import ranks_in_words, study

    torch.set_num_threads(threads)
    config = EvaluationConfig(
        episodes=episodes, imagined=imagined, seed=seed, split=split, horizon=horizon, twin=twin,
        simulators=simulators, num_workers=num_workers, clips=clips,
    )  # fmt: skip
    run = run_folder(policies)
    folder = out if out is not None or run is None else run / "evaluations"
    tasks = task.split(",") if task is not None and "," in task else task
    found = list(evaluate_all(policies, world_model, tasks, config, out=folder, device=device, progress=True))
    heads = ["policy", "task", "twin", "dream", "twin, from both", "steps"]
    table("success in %, 95% intervals", heads, [_scored(done) for done in found])
    if compared := _against_first(found):
        heads = ["policy", "task", "twin", "dream"]
        table(f"success in points above {found[0].policy}, from the same starts, 95% intervals", heads, compared)
    if folder is not None:
        print(f"wrote {folder}")
    both = [e.score() for e in found if e.dream is not None and e.twin is not None]
    if len(both) > 2:  # of two policies no order means anything
        print(ranks_in_words(both))
    if json is not None:
        json.write_text(dumps(study(found).to_dict(), indent=1))


def _against_first(found: list[Any]) -> list[list[str]]:
    """Rows for those that began from the very starts that the first one began from, with the same tasks."""
    from dreamgym.evaluation.result import gain, paired

    rows = []
    for done in found[1:]:
        sides = [(getattr(found[0], side), getattr(done, side)) for side in ("twin", "dream")]
        if any(a is not None and b is not None and not paired(a, b) for a, b in sides):
            continue
        cells = ["-" if a is None or b is None else _points(*gain(a, b)) for a, b in sides]
        rows.append([done.policy, done.task, *cells])
    return rows


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _scored(done: Any) -> list[str]:
    """An evaluation as a row of the table."""
    told = done.summary()
    cells = [_rate(told.get(side)) for side in ("twin", "dream")]
    guess = told.get("estimate")
    cells.append("-" if guess is None else _percent(guess["rate"], guess["low"], guess["high"]))
    cells.append(f"{told['twin']['mean_length']:.1f}" if "twin" in told else "-")
    many = done.task.count(",") + 1
    return [done.policy, done.task if many == 1 else f"{many} tasks", *cells]


def _rate(side: dict[str, Any] | None) -> str:
    return "-" if side is None else _percent(side["success_rate"], *side["interval_95"])


def _percent(rate: float, low: float, high: float) -> str:
    return f"{100 * rate:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def report(run: Path, out: Path | None = None) -> None:
    """Writes one page for an experiment: curves, before and after, real against imagined, clips.

    Args:
        run: folder of a run, or of several in subfolders: run.json, log.jsonl and evaluations/, as far as there.
        out: file to write; report.html in the folder where not given.
    """
    from dreamgym.evaluation.report import write_report

    print(f"open {write_report(run, out)}")
