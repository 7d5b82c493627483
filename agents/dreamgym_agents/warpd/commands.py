"""``dreamgym warpd train``: each option is a field of `TrainOptions`.

    dreamgym collect --suite metaworld --tasks reach drawer_open --episodes 100 --store demos
    dreamgym warpd train --store demos --task drawer_open --checkpoint metaworld \
        --out policies/drawer_open
    dreamgym evaluate policies/drawer_open --horizon 100

The same command goes on with an interrupted run.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from dreamgym.cli.checks import check_device
from dreamgym.data import EpisodeStore
from dreamgym.envs.simulators import check_recorded_in
from dreamgym.training import checkpoint as checkpoints
from dreamgym_agents.common.demonstrations import Demonstrations
from dreamgym_agents.common.folders import check_target
from dreamgym_agents.warpd.dynamics import check_predictor
from dreamgym_agents.warpd.options import TrainOptions, told_suite
from dreamgym_agents.warpd.policy import PlanningPolicy
from dreamgym_agents.warpd.recipes import as_learned, bounds, cut, make_agent, read_demonstrations
from dreamgym_agents.warpd.saving import WEIGHTS, save
from dreamgym_agents.warpd.training import train as fit

FINEST = 0.1  # of a dream's own deviations: the least that its observations are scaled by


def train(options: TrainOptions) -> None:
    """Trains WARPD or a baseline on demonstrations, or goes on with it; Ctrl-C saves and stops."""
    check_device(options.device)
    check_target(options.out, "agent", WEIGHTS)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    demos = _demonstrations(options)
    finest = None if options.checkpoint is None else FINEST * _deviations(options.checkpoint, options.store)
    config = options.config(demos)
    _tell(demos, config.length)
    demos = cut(demos, config, options.method)
    agent = make_agent(options.method, config, demos, bounds(demos), options.preset, finest).to(options.device)
    agent = fit(agent, demos, Path(f"{options.out}.run"), log=options.log)
    told = {"demonstrations": len(demos), "vae_epochs": config.train.vae_epochs}
    told["diffusion_epochs"] = config.train.diffusion_epochs
    task = options.task or demos.tasks[0]
    key = None if options.obs_key == "state" else options.obs_key  # of another observation the policy asks by its name
    policy = PlanningPolicy(agent, task, obs_key=key)
    print(f"wrote {save(options.out, policy, world_model=options.checkpoint, metrics=told)}")


def _demonstrations(options: TrainOptions) -> Demonstrations:
    """What to learn from, as the method learns it."""
    task = options.task
    demos = read_demonstrations(options.store, options.tasks or ((task,) if task else None), options.obs_key)
    if task is None and len(demos.tasks) > 1:
        raise ValueError(f"say with --task which of {list(demos.tasks)} the policy is to do when it is loaded")
    if task is not None and task not in demos.tasks:
        raise ValueError(f"--task {task} is not among the tasks to learn, {list(demos.tasks)}: add it to --tasks")
    if options.obs_key != "state":  # what suite's settings are taken says nothing of what the entries are
        return demos
    return as_learned(demos, told_suite(options.store) or "", options.method)


def _tell(demos: Demonstrations, length: int) -> None:
    """Prints what of the demonstrations is not learned from as it stands."""
    for name, scale in zip(("observation", "action"), demos.scales("ignore"), strict=True):
        if len(still := (scale.std == 0).nonzero().flatten().tolist()):
            as_what = "left out" if name == "observation" else "kept as they are"
            print(f"{name} entries {still} never change in these demonstrations: they are {as_what}")
    if short := int((demos.lengths < length).sum()):
        print(f"{short} of {len(demos)} demonstrations have fewer than {length} steps: their last row is repeated")


def _deviations(checkpoint: str, store: Path) -> Tensor:
    """Of each observed entry in the data of a checkpoint's dream, [O], which is of the store's suite."""
    try:
        opened = checkpoints.load(checkpoint)
        check_recorded_in(opened, EpisodeStore.open(store))
        return check_predictor(opened.model).obs_std
    except ValueError as error:
        raise ValueError(f"--checkpoint {checkpoint}: {error}") from error


COMMANDS = {"train": train}
"""Under ``dreamgym warpd``, by the entry-point group ``dreamgym.commands``."""
