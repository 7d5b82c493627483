"""``dreamgym action-expert``: an expert alone, then jointly with the world model whose clips it follows.

    dreamgym clips --store demos --out clips
    dreamgym action-expert train --store clips --out experts/alone
    dreamgym action-expert joint --store clips --expert experts/alone --checkpoint CHECKPOINT \
        --out experts/joint --out-checkpoint dreams/joint

The same command goes on with an interrupted run.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from pathlib import Path

import torch

from dreamgym.data import EpisodeStore
from dreamgym.envs.simulators import check_recorded_in
from dreamgym.suites.facts import store_facts
from dreamgym.training import checkpoint as checkpoints
from dreamgym.training.train import training_episodes
from dreamgym_agents.action_expert.expert import ActionExpert
from dreamgym_agents.action_expert.options import ExpertOptions, JointOptions
from dreamgym_agents.action_expert.saving import WEIGHTS, load_expert, save
from dreamgym_agents.action_expert.training import train as fit
from dreamgym_agents.action_expert.training import train_jointly
from dreamgym_agents.common.folders import check_target


def train(options: ExpertOptions) -> None:
    """Trains an action expert on recorded clips, or goes on with it; Ctrl-C saves and stops."""
    _ready(options.threads, options.out)
    store = EpisodeStore.open(options.store)
    torch.manual_seed(options.seed)
    expert = ActionExpert(options.config(store_facts(store)))
    expert = fit(expert, training_episodes(store), Path(f"{options.out}.run"), options.training)
    print(f"wrote {save(options.out, expert, {'updates': options.steps})}")


def joint(options: JointOptions) -> None:
    """Trains an expert and the world model that it follows through the actions' loss (DVG-WM, equation 6)."""
    _ready(options.threads, options.out)
    checkpoints.check_target(options.out_checkpoint)
    store = EpisodeStore.open(options.store)
    facts, opened = store_facts(store), checkpoints.load(options.checkpoint)
    check_recorded_in(opened, store)
    expert = load_expert(options.expert).requires_grad_(True)
    sentences = {task: facts.sentences(task)[0] for task in facts.tasks}
    run = Path(f"{options.out}.run")
    expert = train_jointly(expert, opened.model, training_episodes(store), sentences, run, options.training)
    print(f"wrote {save(options.out, expert, {'joint_updates': options.steps})}")
    # What rewards and starts read, the features of frames, is not trained; measured figures would be another model's.
    written = checkpoints.save(
        options.out_checkpoint, opened.model, opened.rewards, opened.starts, probe=opened.probe,
        simulator=opened.simulator, starts_meta=opened.starts_meta,
    )  # fmt: skip
    print(f"wrote {written}")


def _ready(threads: int | None, out: Path) -> None:
    check_target(out, "expert", WEIGHTS)
    if threads is not None:
        torch.set_num_threads(threads)


COMMANDS = {"train": train, "joint": joint}
"""Under ``dreamgym action-expert``, by the entry-point group ``dreamgym.commands``."""
