"""``python -m dreamgym_agents.diffusion_ppo clone | tune | ship | demo``: each option is an argument of a function.

    python -m dreamgym_agents.diffusion_ppo clone --demonstrations demos --task close_drawer --checkpoint playtable \
        --out policies/close_drawer
    python -m dreamgym_agents.diffusion_ppo tune --policy policies/close_drawer \
        --env Dream-PlayTable-v0 --run runs/dream
    python -m dreamgym_agents.diffusion_ppo tune --policy policies/close_drawer --env Real-PlayTable-v0 \
        --reward success --run runs/online

The same ``clone`` or ``tune`` command goes on with an interrupted run. The exit code is 0 once all of it is done, and 1
where it was stopped or could not begin; the message on stderr says which.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from dreamgym.evaluation.policies.result import EvaluationConfig
from dreamgym_agents.commands import run_commands
from dreamgym_agents.diffusion_ppo.checkpoint import load_policy, read_policy_config, save_policy
from dreamgym_agents.diffusion_ppo.config import CloneConfig, TuneConfig
from dreamgym_agents.diffusion_ppo.recipes import clone_task, make_env
from dreamgym_agents.diffusion_ppo.settings import with_fields
from dreamgym_agents.diffusion_ppo.tune import tune as fine_tune

CHANGED = ("total_steps", "bc_weight", "actor_lr", "tuned_steps", "num_updates", "clip", "eval_every")


def clone(
    demonstrations: Path,
    task: str,
    out: Path,
    checkpoint: str = "playtable",
    policy: Literal["diffusion", "gaussian"] = "diffusion",
    preset: Literal["tiny", "paper"] = "tiny",
    epochs: int | None = None,
    num: int = 50,
    sampler: Literal["ddpm", "ddim"] = "ddpm",
    ddim_steps: int = 5,
    seed: int = 0,
    more: tuple[str, ...] = (),
    device: str = "cpu",
    threads: int | None = None,
) -> None:
    """Clones a policy from demonstrations of one task, or goes on with it; Ctrl-C saves and stops.

    Args:
        demonstrations: episode store that ``dreamgym collect --kind demonstrations`` filled.
        task: whose successful training demonstrations to imitate.
        out: the policy's folder; progress lives beside it in ``OUT.run``.
        checkpoint: the world model that encodes observations: a shipped name, a folder, or hf://organisation/name.
        policy: a diffusion policy, or a unimodal Gaussian one.
        preset: "paper", DiWA's sizes and schedule (Table S.3), or "tiny", ones for two cores.
        epochs: passes over the demonstrations; the preset's where not given.
        num: how many demonstrations.
        sampler: how a diffusion policy acts: through all its denoising steps with their noise, or by deterministic DDIM
            through fewer. Fine-tuning explores through all of them in either case.
        ddim_steps: denoising steps of DDIM.
        seed: of everything random.
        more: any other fields of CloneConfig, as batch_size=512 ema=0.99.
        device: where to compute.
        threads: torch threads.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    config: CloneConfig = getattr(CloneConfig, preset)()
    config = replace(config, epochs=epochs or config.epochs, demonstrations=num, seed=seed)
    config = with_fields(config, more)
    if policy == "gaussian" and sampler != "ddpm":
        raise ValueError("a Gaussian policy has no denoising steps to leave out: --sampler is for --policy diffusion")
    acting: dict[str, Any] = {"sampler": sampler, "ddim_steps": ddim_steps} if sampler == "ddim" else {}
    run = Path(f"{out}.run")
    made, done = clone_task(demonstrations, task, checkpoint, policy, preset, config, run, device, acting)
    if not done:
        raise SystemExit(f"stopped; the same command goes on with {run}")
    print(f"wrote {save_policy(out, made, task=task, world_model=checkpoint, metrics={'clone_epochs': config.epochs})}")


def tune(
    policy: Path,
    run: Path,
    env: str = "Dream-PlayTable-v0",
    checkpoint: str | None = None,
    task: str | None = None,
    preset: Literal["tiny", "paper"] = "tiny",
    num_envs: int = 256,
    horizon: int | None = None,
    reward: Literal["probability", "success"] = "probability",
    reward_model: str | None = None,
    uncertainty_limit: Literal["none", "auto"] = "none",
    total_steps: int | None = None,
    bc_weight: float | None = None,
    actor_lr: float | None = None,
    tuned_steps: int | None = None,
    num_updates: int | None = None,
    clip: float | None = None,
    eval_every: int | None = None,
    more: tuple[str, ...] = (),
    num_workers: int = 0,
    seed: int = 0,
    device: str | None = None,
    threads: int | None = None,
) -> None:
    """Fine-tunes a cloned policy in a dream, or online in a twin ("Real-..."), or goes on with the run.

    Args:
        policy: folder that ``clone`` wrote.
        run: folder of the run; RUN/best is the policy of the highest imagined return.
        env: a dream's id, or a twin's for online fine-tuning.
        checkpoint: the env's world model, where the id does not name one; a twin needs it.
        task: the policy's own where not given.
        preset: "paper", DiWA's Table S.5, or "tiny", a fifth of its steps at three times the actor's rate.
        num_envs: episodes imagined side by side.
        horizon: control steps of an episode; the id's own where not given.
        reward: the classifier's probability at every step (DiWA III.C), or 1 once at success.
        reward_model: which of the world model's rewards ("success", "decoded").
        uncertainty_limit: "auto" cuts an episode off where the model becomes unsure.
        total_steps: env steps in all; the preset's where not given, as for the options below.
        bc_weight: weight of staying near the cloned policy.
        actor_lr: the policy's learning rate.
        tuned_steps: how many of the last denoising steps to tune.
        num_updates: passes over the samples of an iteration.
        clip: PPO's.
        eval_every: iterations between evaluations and saved policies.
        more: any other fields of TuneConfig, as gae_lambda=0.9 target_kl=0.02.
        num_workers: processes of a twin's simulators.
        seed: of everything random.
        device: where to compute; where the world model is.
        threads: torch threads.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    about, given = read_policy_config(policy), locals()
    changes = {k: given[k] for k in CHANGED if given[k] is not None}
    config: TuneConfig = with_fields(replace(getattr(TuneConfig, preset)(), seed=seed, **changes), more)
    task = task or about["task"]
    if task is None:
        raise ValueError(f"{policy} does not say which task it was made for: give --task")
    base = load_policy(policy)
    world_model = checkpoint or about["world_model"]
    limit = None if uncertainty_limit == "none" else uncertainty_limit
    made = make_env(
        env,
        task,
        base.config.chunk,
        checkpoint=world_model if env.startswith("Real-") or checkpoint else None,
        num_envs=num_envs,
        horizon=horizon,
        reward=reward,
        reward_model=reward_model,
        uncertainty_limit=limit,
        num_workers=num_workers,
        device=device,
    )
    result = fine_tune(base, made, config, run, task=task, world_model=world_model)
    made.close()
    print(f"{result.iterations} iterations, {result.dream_steps:,} imagined and {result.sim_steps:,} simulator steps")
    for entry in result.evaluations:
        print("iteration {iteration:>5}: return {return:8.3f}, success {success_rate:.3f}".format(**entry))
    if not result.finished:
        raise SystemExit(f"stopped; the same command goes on with {run}")
    print(f"best by return: {result.best}")


def ship(policy: Path, demonstrations: Path, out: Path, episodes: int = 100, num_workers: int = 0) -> None:
    """Writes a cloned policy in half precision, with a card that says how it was made and what it measured.

    Args:
        policy: folder that ``clone`` wrote.
        demonstrations: the store that it was cloned from.
        out: folder to write.
        episodes: in the dream and in the twin, from the same held-out starts.
        num_workers: processes of simulators.
    """
    from dreamgym_agents.diffusion_ppo.shipped import ship as write

    torch.set_num_threads(1)
    config = EvaluationConfig(episodes=episodes, num_workers=num_workers)
    told = write(policy, demonstrations, out, config, progress=True).summary()
    print(f"wrote {out}: " + ", ".join(f"{side} {100 * told[side]['success_rate']:.1f}%" for side in ("dream", "twin")))


def demo(
    policy: Path | None = None,
    out: Path = Path("demo"),
    world_model: str | None = None,
    total_steps: int = 400_000,
    num_envs: int = 256,
    horizon: int = 64,
    bc_weight: float = 0.1,
    episodes: int = 100,
    num_workers: int = 2,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Fine-tunes a cloned policy in its dream, scores it before and after, and adds a section to the demo's page.

    Args:
        policy: folder of a cloned policy; not given: the one that ships.
        out: folder of ``dreamgym demo``; the page has this section alone where there is none yet.
        world_model: a shipped name, a folder or hf://organisation/name; what the policy says where not given.
        total_steps: imagined steps.
        num_envs: episodes imagined side by side.
        horizon: control steps of an episode.
        bc_weight: weight of staying near the cloned policy.
        episodes: before, and as many after, in the dream and in the twin.
        num_workers: processes of simulators.
        seed: of fine-tuning.
        threads: torch threads.
    """
    from dreamgym.evaluation.pages.parts import write_section
    from dreamgym.evaluation.policies.evaluate import open_world
    from dreamgym_agents.diffusion_ppo.demo import TuningDemoConfig, show
    from dreamgym_agents.diffusion_ppo.shipped import shipped_policies

    torch.set_num_threads(threads)
    source = policy or next(iter(shipped_policies().values()))
    usual = TuningDemoConfig()
    config = replace(
        usual,
        tune=replace(usual.tune, total_steps=total_steps, bc_weight=bc_weight, seed=seed),
        num_envs=num_envs,
        horizon=horizon,
        score=replace(usual.score, episodes=episodes, num_workers=num_workers),
    )
    world = open_world(world_model or read_policy_config(source)["world_model"])
    section = show(source, world, out, config)
    if section is None:
        raise SystemExit("stopped: nothing was scored")
    for row in (section.heads, *section.rows):
        print("".join(f"{cell:<24}" for cell in row))
    print("\n".join(section.words))
    print(f"open {write_section(out, section)}")


def main(args: Sequence[str] | None = None) -> None:
    """Runs one subcommand; see `run_commands`."""
    run_commands(
        "python -m dreamgym_agents.diffusion_ppo",
        __doc__,
        {"clone": clone, "tune": tune, "ship": ship, "demo": demo},
        args,
    )


if __name__ == "__main__":
    main()
