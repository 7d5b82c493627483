"""``dreamgym diffusion-ppo clone | tune | ship | demo``.

    dreamgym diffusion-ppo clone --store demos --task close_drawer --checkpoint playtable \
        --out policies/close_drawer
    dreamgym diffusion-ppo tune --policy policies/close_drawer --env Dream-PlayTable-v0 --run runs/dream
    dreamgym diffusion-ppo tune --policy policies/close_drawer --env Real-PlayTable-v0 \
        --reward success --run runs/online
    torchrun --nproc-per-node 8 -m dreamgym -- diffusion-ppo tune ...

The same ``clone`` or ``tune`` command goes on with an interrupted run.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dreamgym.cli.bounds import Count, Whole
from dreamgym.cli.checks import check_device, check_folder
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.training.processes import Processes
from dreamgym_agents.common.folders import check_target
from dreamgym_agents.diffusion_ppo.checkpoint import WEIGHTS, load_policy, read_policy_config, save_policy
from dreamgym_agents.diffusion_ppo.options import CloneOptions, DemoOptions, TuneOptions
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task
from dreamgym_agents.diffusion_ppo.tune import tune as fine_tune


def clone(options: CloneOptions) -> None:
    """Clones a policy from demonstrations of one task, or goes on with it; Ctrl-C saves and stops."""
    check_device(options.device)
    _set_threads(options.threads)
    check_target(options.out, "policy", WEIGHTS)
    if options.kind == "gaussian" and options.sampler != "ddpm":
        raise ValueError("a Gaussian policy has no denoising steps to leave out: --sampler is for --kind diffusion")
    acting: dict[str, Any] = {}
    if options.sampler == "ddim":
        acting = {"sampler": "ddim", "ddim_steps": options.ddim_steps}
    choice = PolicyChoice(options.kind, options.preset, acting)
    config, run = options.config, Path(f"{options.out}.run")
    made = clone_task(options.store, options.task, options.checkpoint, choice, config, run, options.device, options.log)
    told = {"clone_epochs": config.epochs}
    print(f"wrote {save_policy(options.out, made, task=options.task, world_model=options.checkpoint, metrics=told)}")


def tune(options: TuneOptions) -> None:
    """Fine-tunes a cloned policy in a dream, or online in a twin ("Real-..."), or goes on with the run."""
    _set_threads(options.threads)
    check_folder("--run", options.run)
    about, config = read_policy_config(options.policy), options.config
    task = options.task or about["task"]
    if task is None:
        raise ValueError(f"{options.policy} does not say which task it was made for: give --task")
    base = load_policy(options.policy)
    world_model = options.checkpoint or about["world_model"]
    env = options.make_env(task, world_model, base.config.chunk)
    result = fine_tune(base, env, config, options.run, task=task, world_model=world_model, log=options.log)
    env.close()
    if not Processes.current().main:
        return
    print(f"{result.iterations} iterations, {result.dream_steps:,} imagined and {result.sim_steps:,} simulator steps")
    for entry in result.evaluations:
        print("iteration {iteration:>5}: return {return:8.3f}, success {success_rate:.3f}".format(**entry))
    print(f"best by return: {result.best}")


def ship(policy: Path, store: Path, out: Path, episodes: Count = 100, num_workers: Whole = 0) -> None:
    """Writes a cloned policy in half precision, with a card that says how it was made and what it measured.

    Args:
        policy: folder that ``clone`` wrote.
        store: episode store that it was cloned from.
        out: folder to write.
        episodes: episodes in the dream and in the twin, from the same held-out starts.
        num_workers: processes of simulators; 0: this process.
    """
    from dreamgym_agents.diffusion_ppo.shipped import ship as write

    torch.set_num_threads(1)
    config = EvaluationConfig(episodes=episodes, num_workers=num_workers)
    told = write(policy, store, out, config, progress=True).summary()
    print(f"wrote {out}: " + ", ".join(f"{side} {100 * told[side]['success_rate']:.1f}%" for side in ("dream", "twin")))


def demo(options: DemoOptions) -> None:
    """Fine-tunes a cloned policy in its dream, scores it before and after, and adds a section to the demo's page."""
    from dreamgym.evaluation.pages.parts import write_section
    from dreamgym.evaluation.policies.setup import open_world
    from dreamgym_agents.diffusion_ppo.demo import TuningDemoConfig, show
    from dreamgym_agents.diffusion_ppo.shipped import shipped_policies

    _set_threads(options.threads)
    check_folder("--out", options.out)
    source = options.policy or next(iter(shipped_policies().values()))
    usual = TuningDemoConfig()
    config = replace(
        usual,
        tune=replace(usual.tune, total_steps=options.total_steps, bc_weight=options.bc_weight, seed=options.seed),
        num_envs=options.num_envs,
        horizon=options.horizon,
        score=replace(usual.score, episodes=options.episodes, num_workers=options.num_workers),
    )
    world = open_world(options.checkpoint or read_policy_config(source)["world_model"])
    section = show(source, world, options.out, config)
    for row in (section.heads, *section.rows):
        print("".join(f"{cell:<24}" for cell in row))
    print("\n".join(section.words))
    print(f"open {write_section(options.out, section)}")


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)


COMMANDS = {"clone": clone, "tune": tune, "ship": ship, "demo": demo}
"""Under ``dreamgym diffusion-ppo``, by the entry-point group ``dreamgym.commands``."""
