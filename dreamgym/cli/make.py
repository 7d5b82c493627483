"""The commands that make things: data, world models, rewards, starts, whole checkpoints."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dreamgym.cli.show import amend


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
    amend(checkpoint, out, {"rewards": metrics}, rewards={**opened.rewards, "success": classifier})
    for task, figures in metrics["tasks"].items():
        print(f"{task:<22} held-out F1 {figures['f1']:.3f}, imagined {figures['f1_imagined']:.3f}")


def starts(
    checkpoint: Path, stores: tuple[Path, ...], num_train: int = 200, num_val: int = 50, out: Path | None = None
) -> None:
    """Fills the start bank of a checkpoint: filtered states in which each task of its rewards can begin. A checkpoint
    that names no simulator gets the CALVIN scene that the first store was recorded in, for its twin.

    Args:
        checkpoint: folder that ``dreamgym fit --out`` wrote.
        stores: play and demonstrations.
        num_train: starts a task from training episodes.
        num_val: starts a task from held-out episodes.
        out: checkpoint to write; in place where not given.
    """
    from dreamgym.data import EpisodeStore
    from dreamgym.evaluation.finish import simulator_of
    from dreamgym.rewards.tasks import TASKS
    from dreamgym.training.bank import BankConfig, build_starts
    from dreamgym.training.checkpoint import load

    sources = [EpisodeStore.open(store) for store in stores]
    config = BankConfig(num_train=num_train, num_val=num_val)
    opened = load(checkpoint)
    tasks = opened.rewards["success"].tasks if "success" in opened.rewards else TASKS
    tensors, meta = build_starts(opened.model, sources, tasks, config, progress=True)
    simulator = opened.simulator or simulator_of(sources[0])
    amend(checkpoint, out, {}, starts=tensors, starts_meta=meta, simulator=simulator)
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
