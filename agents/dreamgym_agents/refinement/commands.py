"""``dreamgym refinement train``.

    dreamgym refinement train --store demos --checkpoint playtable --tasks close_drawer \
        --out policies/close_drawer
    dreamgym evaluate policies/close_drawer

The same command goes on with an interrupted run.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dreamgym.cli.bounds import Count, Positive, Seed, Threads, Whole
from dreamgym.data import EpisodeStore
from dreamgym.data.store import EpisodeView
from dreamgym.envs.simulators import check_recorded_in
from dreamgym.nn.encoders import TextEncoder
from dreamgym.suites.facts import store_facts
from dreamgym.training import checkpoint as checkpoints
from dreamgym.training.train import load_run
from dreamgym.world_models.base import WorldModel
from dreamgym_agents.common.folders import check_target
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.refinement.config import TINY, GuidedConfig
from dreamgym_agents.refinement.policy import GuidedPolicy
from dreamgym_agents.refinement.refine import check_times
from dreamgym_agents.refinement.saving import WEIGHTS, save
from dreamgym_agents.refinement.training import GuidedTraining
from dreamgym_agents.refinement.training import train as fit


@dataclass(frozen=True)
class TrainOptions:
    """What to train on which demonstrations, and how.

    Attributes:
        store: episode store of demonstrations.
        checkpoint: world model: a shipped name, a checkpoint's folder, or the folder of a run of ``dreamgym fit``.
        out: the policy's folder; progress lives beside it in ``OUT.run``.
        tasks: tasks to learn; every task of the store where not given.
        episodes: demonstrations to learn from, the first by number; all where not given.
        text: folder or name of a SigLIP model whose text tower reads the instructions; where not given a task is a
            number.
        preset: "tiny", or "paper" (6 and 4 layers of width 256).
        chunk: control actions of a decision, whole frames; six frames where not given.
        execute: control actions before the next decision; one frame where not given, as in the paper.
        tokens: tokens that a frame's features are divided into.
        proprioception_entries: entries of the suite's proprioception that are read beside the features; none where
            not given.
        denoising_steps: denoising steps of a decision.
        times: refinements of the saved policy.
        imagined: what the imagined frames are in training: the model's from the policy's own actions, from the recorded
            ones, or the recorded future.
        steps: updates in all, those before a resume included.
        batch_size: moments in an update.
        lr: learning rate.
        seed: seed of weights, batches and noise.
        threads: threads of torch; torch's own number where not given.
    """

    store: Path
    checkpoint: str
    out: Path
    tasks: tuple[str, ...] = ()
    episodes: Count | None = None
    text: str | None = None
    preset: Literal["tiny", "paper"] = "tiny"
    chunk: Count | None = None
    execute: Count | None = None
    tokens: Count = 1
    proprioception_entries: tuple[Whole, ...] = ()
    denoising_steps: Count = 2
    times: Whole = 2
    imagined: Literal["own", "recorded", "future"] = "own"
    steps: Count = 5000
    batch_size: Count = 24
    lr: Positive = 5e-4
    seed: Seed = 0
    threads: Threads | None = None


def train(options: TrainOptions) -> None:
    """Trains an imagination-guided diffusion policy, or goes on with it; Ctrl-C saves and stops."""
    check_target(options.out, "policy", WEIGHTS)
    check_times(options.times)
    training = GuidedTraining(
        updates=options.steps,
        batch_size=options.batch_size,
        lr=options.lr,
        imagined=options.imagined,
        seed=options.seed,
    )
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    store = EpisodeStore.open(options.store)
    model = open_model(options.checkpoint, store)
    view = select_demonstrations(store, options.tasks or None, num=options.episodes)
    tasks = tuple(sorted({str(meta.get("task")) for meta in view.metas}))
    policy = fit(new_policy(options, model, tasks), model, view, training, Path(f"{options.out}.run"))
    told: dict[str, Any] = {"demonstrations": len(view), "updates": options.steps, "imagined": options.imagined}
    print(f"wrote {save(options.out, policy, times=options.times, world_model=options.checkpoint, metrics=told)}")


def new_policy(options: TrainOptions, model: WorldModel, tasks: tuple[str, ...]) -> GuidedPolicy:
    """An untrained policy of these tasks that reads the features of ``model``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        vectors = _instructions(options, tasks)
        policy = GuidedPolicy(_config(options, model, tasks, vectors.shape[1]))
    policy.instructions.copy_(vectors)
    return policy


def open_model(name: str, store: EpisodeView) -> WorldModel:
    """A checkpoint's world model, or that of a run of ``dreamgym fit`` as it stands, for the episodes of ``store``.

    Raises:
        ValueError: the checkpoint is of another suite than the store.
    """
    folder = Path(name)
    if (folder / "run.json").exists():
        return load_run(folder)
    opened = checkpoints.load(name)
    check_recorded_in(opened, store)
    return opened.model


def _config(options: TrainOptions, model: WorldModel, tasks: tuple[str, ...], instruction_dim: int) -> GuidedConfig:
    spec = model.spec
    a = spec.actions_per_frame
    sizes = TINY if options.preset == "tiny" else {}
    return GuidedConfig(
        feature_dim=int(torch.tensor(spec.feature_shape).prod()),
        action=spec.control,
        tasks=tasks,
        actions_per_frame=a,
        chunk=6 * a if options.chunk is None else options.chunk,
        execute=a if options.execute is None else options.execute,
        instruction_dim=instruction_dim,
        tokens=options.tokens,
        proprioception=options.proprioception_entries,
        denoising_steps=options.denoising_steps,
        **sizes,
    )


def _instructions(options: TrainOptions, tasks: tuple[str, ...]) -> Tensor:
    """A vector a task: of its sentence by a text tower, or one place for each."""
    if options.text is None:
        return torch.eye(len(tasks))
    suite = store_facts(EpisodeStore.open(options.store)).suite
    return TextEncoder(options.text)([t.replace("_", " ") if suite is None else suite.instruction(t) for t in tasks])


COMMANDS = {"train": train}
"""Under ``dreamgym refinement``, by the entry-point group ``dreamgym.commands``."""
