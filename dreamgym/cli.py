"""The command line, as the data flows: collect, fit, rewards, starts, finish, fidelity, demo, evaluate, report; info.

Each subcommand is a thin function over the room that does the work, imported only when it runs; its arguments become
options (tyro). ``dreamgym COMMAND --help`` lists them.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any, Literal

from dreamgym import __version__

# One import that tells whether an extra is installed.
EXTRAS = {
    "torchrl": "torchrl",
    "sb3": "stable_baselines3",
    "calvin": "pybullet",
    "metaworld": "metaworld",
    "robosuite": "robosuite",
    "pusht": "gym_pusht",
    "train": "accelerate",
    "cli": "tyro",
    "report": "matplotlib",
    "hub": "huggingface_hub",
    "lerobot": "pyarrow",
    "minari": "minari",
    "agents": "diffusers",
}


def info() -> None:
    """Lists the version, the environment ids, the shipped checkpoints and which extras are installed."""
    import gymnasium

    print(f"dreamgym {__version__}, Python {sys.version.split()[0]}")
    ids = sorted(i for i in gymnasium.registry if i.startswith(("Dream-", "Real-")))
    print("environments:", ", ".join(ids) or "none at this version")
    folder = Path(__file__).parent / "checkpoints"
    shipped = sorted(p.parent.name for p in folder.glob("*/config.json"))
    print("shipped checkpoints:", ", ".join(shipped) or "none at this version")
    for extra, module in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        print(f"  {extra:<10}", "installed" if found else f'missing: pip install "dreamgym[{extra}]"')


def collect(
    store: Path,
    kind: Literal["play", "demonstrations", "attempts"] = "play",
    scene: str = "playtable",
    num_steps: int = 200_000,
    episode_steps: int = 1000,
    num_train: int = 50,
    num_val: int = 20,
    image_size: int = 64,
    num_workers: int = 1,
    seed: int = 0,
) -> None:
    """Collects play, demonstrations or clumsy attempts at DiWA's eight tasks into an episode store; resumable.

    Args:
        store: folder of the episode store; an unfinished one is continued.
        kind: long task-agnostic play; experts and their failures at single tasks; or near misses and second tries, with
            marked success.
        scene: "playtable" (built in), or "D" of CALVIN (needs DREAMGYM_CALVIN_ASSETS).
        num_steps: rows of play to hold in the end.
        episode_steps: rows of one play episode.
        num_train: demonstrations, and as many failed ones, or attempts, a task for training.
        num_val: the same, held out.
        image_size: side of the camera frames, pixels.
        num_workers: processes.
        seed: of the whole collection.
    """
    from dreamgym.data import collect as run
    from dreamgym.data.attempts import AttemptConfig
    from dreamgym.data.demonstrations import DemonstrationConfig
    from dreamgym.data.play import PlayConfig

    play = PlayConfig(scene=scene, image_size=image_size, episode_steps=episode_steps)
    if kind == "play":
        done = run(play, store, num_steps=num_steps, num_workers=num_workers, seed=seed)
    else:
        make = DemonstrationConfig if kind == "demonstrations" else AttemptConfig
        marked = make(play=play, num_train=num_train, num_val=num_val)
        done = run(marked, store, num_episodes=marked.num_episodes, num_workers=num_workers, seed=seed)
    print(f"{store}: {len(done.store)} episodes, {done.store.num_steps} steps, {done.new_episodes} new")


def join(stores: tuple[Path, ...], out: Path) -> None:
    """Makes one episode store of several, with the keys that all have; a store named twice counts twice.

    Args:
        stores: folders of episode stores.
        out: folder of the new one.
    """
    from dreamgym.data import join as run

    made = run(stores, out)
    print(f"{out}: {len(made)} episodes, {made.num_steps} steps")


def fit(
    store: Path,
    run: Path,
    variant: Literal["vision", "hybrid", "state"] = "vision",
    preset: Literal["tiny", "paper"] = "tiny",
    steps: int = 15_000,
    lr: float | None = None,
    batch_size: int | None = None,
    length: int | None = None,
    cooldown: int | None = None,
    eval_every: int = 1000,
    precision: Literal["fp32", "bf16"] | None = None,
    threads: int | None = None,
    seed: int | None = None,
    init: Path | None = None,
    model: tuple[str, ...] = (),
    out: Path | None = None,
) -> None:
    """Trains an RSSM on a store's training episodes, or goes on with the run; Ctrl-C saves and stops.

    Args:
        store: episode store that ``dreamgym collect`` filled.
        run: folder of the run: progress, log.jsonl, tensorboard/.
        variant: cameras; cameras with the scene state supervised; or robot and scene state alone.
        preset: DiWA's sizes, or sizes for two CPU cores.
        steps: updates in all, those before a resume included.
        lr: peak learning rate; the preset's where not given, as for the options below.
        batch_size: windows an update.
        length: steps a window.
        cooldown: updates at the end over which the rate falls to zero.
        eval_every: updates between open-loop evaluations on held-out episodes.
        precision: of the arithmetic; bf16 where the machine is fast at it.
        threads: torch threads.
        seed: of weights, noise and batches.
        init: another run, whose weights this one begins with wherever name and shape agree.
        model: fields of the model's config, as decoder_depth=32 or image_weights='{"rgb_static":3}'.
        out: checkpoint folder to write once all updates are done.
    """
    from dreamgym.training.recipes import export, model_fields, train_rssm

    changes: dict[str, Any] = {
        "lr": lr,
        "batch_size": batch_size,
        "length": length,
        "cooldown": cooldown,
        "precision": precision,
        "threads": threads,
        "seed": seed,
        "init": init,
    }
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    fields = model_fields(model)
    result = train_rssm(store, run, variant, preset, steps, eval_every=eval_every, model_changes=fields, **given)
    print(f"{run}: {result.step} of {steps} updates done")
    if out is not None and result.step >= steps:
        print(f"wrote {export(run, out)}")


def rewards(
    checkpoint: Path,
    demonstrations: Path,
    play: Path | None = None,
    attempts: Path | None = None,
    preset: Literal["tiny", "paper"] = "tiny",
    epochs: int | None = None,
    out: Path | None = None,
) -> None:
    """Trains the success classifiers of a checkpoint (DiWA S.2.3) and calibrates their thresholds on held-out episodes.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        demonstrations: store of marked demonstrations and failed attempts.
        play: store of play, for more negatives and for imagined ones.
        attempts: store of clumsy attempts, for the near misses that cloned policies make.
        preset: DiWA's sizes and learning rate (Table S.4), or ones that train in minutes on two cores.
        epochs: passes over the demonstrations; the preset's where not given.
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.rewards.fit import SuccessFitConfig, fit_success
    from dreamgym.rewards.samples import tasks_of
    from dreamgym.rewards.success import SuccessConfig
    from dreamgym.rewards.tasks import TASKS
    from dreamgym.training.checkpoint import load

    opened = load(checkpoint)
    make, schedule = getattr(SuccessConfig, preset), getattr(SuccessFitConfig, preset)()
    schedule = replace(schedule, epochs=epochs or schedule.epochs)
    marked, free = EpisodeStore.open(demonstrations), EpisodeStore.open(play) if play else None
    clumsy = EpisodeStore.open(attempts) if attempts else None
    sizes = make(tasks_of(marked, TASKS), math.prod(opened.spec.feature_shape))
    classifier, metrics = fit_success(opened.model, marked, free, sizes, schedule, True, clumsy)
    _amend(checkpoint, out, {"rewards": metrics}, rewards={**opened.rewards, "success": classifier})
    for task, figures in metrics["tasks"].items():
        print(f"{task:<22} held-out F1 {figures['f1']:.3f}, imagined {figures['f1_imagined']:.3f}")


def starts(
    checkpoint: Path, stores: tuple[Path, ...], num_train: int = 200, num_val: int = 50, out: Path | None = None
) -> None:
    """Fills the start bank of a checkpoint: filtered states in which each task of its rewards can begin.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: play and demonstrations.
        num_train: starts a task from training episodes.
        num_val: starts a task from held-out episodes.
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.rewards.tasks import TASKS
    from dreamgym.training.bank import BankConfig, build_starts
    from dreamgym.training.checkpoint import load

    sources = [EpisodeStore.open(store) for store in stores]
    config = BankConfig(num_train=num_train, num_val=num_val)
    opened = load(checkpoint)
    tasks = opened.rewards["success"].tasks if "success" in opened.rewards else TASKS
    tensors, meta = build_starts(opened.model, sources, tasks, config, progress=True)
    _amend(checkpoint, out, {}, starts=tensors, starts_meta=meta)
    for task, counts in meta["counts"].items():
        print(f"{task:<22} " + ", ".join(f"{count} {split}" for split, count in counts.items()))


def finish(
    run: Path, play: Path, demonstrations: Path, out: Path, attempts: Path | None = None, quick: bool = False
) -> None:
    """Turns a training run into a complete checkpoint: probe, rewards, starts, fidelity, twin rollouts and model card.

    Args:
        run: folder of a ``dreamgym fit`` run.
        play: store of play of the same scene.
        demonstrations: store of demonstrations of the same scene.
        out: checkpoint folder to write.
        attempts: store of clumsy attempts of the same scene, for the rewards.
        quick: spend a minute or two instead of ten: to see that everything works, not to share.
    """
    from dreamgym.evaluation.finish import FinishConfig, finish_checkpoint

    config = FinishConfig.quick() if quick else FinishConfig()
    print(f"wrote {finish_checkpoint(run, play, demonstrations, out, config, attempts_store=attempts)}")


def fidelity(
    checkpoint: str, store: Path, windows: int = 256, steps: int = 50, json: Path | None = None, write: bool = False
) -> None:
    """Measures a checkpoint's open-loop fidelity on held-out play against its baselines (DiWA S.5.4).

    Args:
        checkpoint: a shipped name, a folder, or ``hf://organisation/name``.
        store: play with held-out episodes.
        windows: held-out windows.
        steps: imagined steps a window.
        json: file to write every figure into.
        write: write the figures into the checkpoint itself and its card, all else as it was.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.card import write_card
    from dreamgym.evaluation.fidelity import FidelityConfig, measure_fidelity
    from dreamgym.training.checkpoint import load

    opened, data = load(checkpoint), EpisodeStore.open(store)
    held_out, training = data.select(split="val"), data.select(split="train")
    config = FidelityConfig(windows=windows, steps=steps)
    found = measure_fidelity(opened.model, held_out, training, config, opened.probe, progress=True)
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=1))
    if write:
        metrics = {**opened.metrics, "fidelity": found.to_dict()}
        _amend(opened.path, None, metrics, card=write_card(opened.path.name, metrics))
    shown = [i for i in (1, 5, 10, 25, 50) if i <= steps]
    rows = [
        [f"{name}, {curve.unit}", who, *(f"{getattr(curve, who)[i - 1]:.3g}" for i in shown)]
        for name, curve in found.curves.items()
        for who in ("model", "repeat", "held", "mean")
        if getattr(curve, who)
    ]
    _table(f"open-loop fidelity, {windows} windows", ["measure", "of", *(f"step {i}" for i in shown)], rows)


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
    _table(
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
            _table(section.title, section.heads, section.rows)
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
    horizon: int = 64,
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
        task: a task, or "all"; what the policy's folder says where not given.
        episodes: paired episodes, in the twin and in the dream.
        imagined: episodes in the dream in all; more of them sharpen the estimate of real success.
        seed: of the starts and of every draw.
        split: starts from held-out or from training data.
        horizon: control steps of an episode.
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
    found = list(evaluate_all(policies, world_model, task, config, out=folder, device=device, progress=True))
    heads = ["policy", "task", "twin", "dream", "twin, from both", "steps"]
    _table("success in %, 95% intervals", heads, [_scored(done) for done in found])
    if folder is not None:
        print(f"wrote {folder}")
    both = [e.score() for e in found if e.dream is not None and e.twin is not None]
    if len(both) > 2:  # of two policies no order means anything
        print(ranks_in_words(both))
    if json is not None:
        json.write_text(dumps(study(found).to_dict(), indent=1))


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


def _amend(checkpoint: Path, out: Path | None, metrics: dict[str, Any], **parts: Any) -> None:
    """Writes the checkpoint again with some parts replaced; it is never half written."""
    from dreamgym.training.checkpoint import load, save

    old = load(checkpoint)
    old.model.spec = old.spec
    contents: dict[str, Any] = {
        "rewards": old.rewards,
        "starts": old.starts,
        "starts_meta": old.starts_meta,
        "probe": old.probe,
        "simulator": old.simulator,
        "attachments": old.attachments(),
        "card": (old.path / "README.md").read_text(encoding="utf-8"),
        "metrics": {**old.metrics, **metrics},
        "dtype": old.dtype,
    }
    print(f"wrote {save(out or checkpoint, old.model, **{**contents, **parts})}")


def _table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # A log has no width of its own; in a narrow window lines may wrap, but cells are never cut.
    Console(width=max(Console().width, 110)).print(table)


COMMANDS: dict[str, Callable[..., Any]] = {
    "collect": collect,
    "join": join,
    "fit": fit,
    "rewards": rewards,
    "starts": starts,
    "finish": finish,
    "fidelity": fidelity,
    "demo": demo,
    "evaluate": evaluate,
    "report": report,
    "info": info,
}


# Commands whose required arguments are words without a flag before them.
POSITIONAL = ("evaluate", "report")


def main(args: Sequence[str] | None = None) -> None:
    """Runs one subcommand.

    Args:
        args: the words after ``dreamgym``; None reads them from the process.

    Raises:
        SystemExit: bad arguments, or a subcommand whose extra is missing or whose input is wrong (message on stderr);
            130 after Ctrl-C.
    """
    try:
        import tyro
    except ImportError:
        raise SystemExit('the command line needs tyro: pip install "dreamgym[cli]"') from None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        place = tyro.conf.configure(tyro.conf.PositionalRequiredArgs)
        commands = {name: place(call) if name in POSITIONAL else call for name, call in COMMANDS.items()}
        tyro.extras.subcommand_cli_from_dict(commands, prog="dreamgym", description=__doc__, args=args)
    except (ImportError, ValueError, FileNotFoundError) as error:
        # The message names the mend; a traceback would bury it.
        raise SystemExit(f"dreamgym: {error}") from error
    except KeyboardInterrupt:
        print("dreamgym: stopped; the same command goes on with what was written so far", file=sys.stderr)
        raise SystemExit(130) from None  # as shells report SIGINT


if __name__ == "__main__":
    main()
