"""Metaworld's ten tasks with one agent each method: success against GFLOPs a step (Fig. 6).

    dreamgym collect --suite metaworld --episodes 1000 --max-steps 200 --whole --store DATA
    python benchmarks/warpd/run_metaworld.py --store STORE --runs RUNS --preset tiny

The data of Metaworld's dream (`benchmarks/make_state_dream.py`) do as well: those who roam are left out, and episodes
that end before ``--steps`` go on with their last row.

Adds to benchmarks/results/warpd_metaworld.json, beside the counted rows of flops.py: rows {method, size, horizon, seed,
epochs, success, by_task, episodes, seconds, gflops_per_step, gflops_per_step_with_generation}. WARPD is conditioned on
the task and generates once an episode; "warpd_state" is told the first state too, with the same VAE, which is trained
but once. A diffusion policy executes half of what it predicts; it learns from chunks that begin at every row, as it
plans. ``epochs`` are those of both stages; trainings of other lengths are rows of their own.
GFLOPs are counted on the network that was trained, at the length of the episodes run here. A row that is there is not
computed again.
"""

from __future__ import annotations

import argparse
import time
import zlib
from dataclasses import replace
from functools import partial

import flops
import torch
from dreamgym_agents.warpd import Demonstrations, DenoiserConfig, DiffusionBaseline, MLPPolicy, WARPDConfig
from dreamgym_agents.warpd.recipes import configure, read_demonstrations
from methods import (
    DIFFUSION,
    DP,
    TRAINED_OUT,
    WARPD_STATE,
    action_spec,
    make_agent,
    share_vae,
    trained,
    trained_out,
)
from options import make_parser, settings, shrink, with_training
from rollouts import Episode, PolicyOf, Simulators, evaluate
from rows import Rows

from dreamgym.sims.metaworld import TASKS, MetaworldEnv
from dreamgym.types import ActionSpec

SIZES = {"warpd": ("128", "256", "512"), WARPD_STATE: ("256",), "warpd_no_world_model": ("256",),
         "mlp": ("128", "256", "512"), DP: ("xs", "s"), f"{DP}_trained_out": ("xs",)}  # fmt: skip
VAL = 50_000  # seeds of the starts from which the length of a training is chosen
AT_ONCE = 40  # each takes a fifth of a second to make and 50 MB
KEY = ("method", "size", "horizon", "seed", "preset", "tasks", "epochs")


def sizes(method: str, size: str, preset: str, demos: Demonstrations, steps: int, length: int) -> WARPDConfig:
    if method not in DIFFUSION:
        width = int(size)
        config = configure("metaworld", preset, demos, hidden=(width, width), length=steps, horizon=steps)
        return replace(config, condition="state+task") if method == WARPD_STATE else config
    config = configure("metaworld", preset, demos, length=length, horizon=length // 2)
    return replace(config, diffusion=replace(config.diffusion, denoiser=DenoiserConfig.unet(size)))


def epochs(method: str, config: WARPDConfig) -> int:
    """Of both stages of WARPD, of the one of the others."""
    return config.train.diffusion_epochs + (config.train.vae_epochs if method.startswith("warpd") else 0)


def counted(
    method: str, config: WARPDConfig, demos: Demonstrations, action: ActionSpec, steps: int
) -> dict[str, float]:
    """GFLOPs of the agent itself; see flops.py for what counts."""
    agent = make_agent(method, config, demos, action, "tiny")
    if isinstance(agent, MLPPolicy):
        zeros = torch.zeros(1, config.obs_dim), torch.zeros(1, dtype=torch.long)
        step = flops.gflops(lambda: agent.follow(zeros[1], zeros[0], zeros[1]))
        return {"gflops_per_step": step, "gflops_per_step_with_generation": step}
    history, task = torch.zeros(1, agent.history, config.obs_dim), torch.zeros(1, dtype=torch.long)
    generation = flops.gflops(lambda: agent.plan(history, task, None))
    if isinstance(agent, DiffusionBaseline):
        each = generation / config.horizon
        return {"gflops_per_step": each, "gflops_per_step_with_generation": each}
    plan = agent.plan(history, task, None)
    step = flops.gflops(lambda: agent.follow(plan, history[:, 0], task))
    return {"gflops_per_step": step, "gflops_per_step_with_generation": step + generation / min(steps, config.horizon)}


def main() -> None:
    parser = make_parser(__doc__, "warpd_metaworld.json", "the store of demonstrations, of one length")
    parser.add_argument("--methods", nargs="*", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=TASKS)
    parser.add_argument("--sizes", nargs="*", default=(), help="some of each method's; all by default")
    parser.add_argument("--lengths", nargs="*", type=int, default=(32, 128), help="of the diffusion policies' chunks")
    parser.add_argument("--episodes", type=int, default=16, help="a task")
    parser.add_argument("--steps", type=int, default=200, help="of an episode; the demonstrations have as many")
    args = parser.parse_args()
    shrink(args, lengths=[16], episodes=1, steps=20)
    rows = Rows(args.out, KEY)
    recorded = read_demonstrations(args.store, tuple(args.tasks))
    whole = recorded.padded(args.steps)
    simulators = Simulators(lambda task: MetaworldEnv(task, args.steps), AT_ONCE)
    action = action_spec(MetaworldEnv(TASKS[0]))
    for seed in args.seeds:
        for method in args.methods:
            for size in [s for s in SIZES[method] if not args.sizes or s in args.sizes][: 1 if args.quick else None]:
                for length in args.lengths if method in DIFFUSION else (args.steps,):
                    demos = recorded.trailed(length - 1) if method in DIFFUSION else whole
                    config = sizes(method, size, args.preset, demos, args.steps, length)
                    config = with_training(config, args, seed, method)
                    horizon = 1 if method == "mlp" else config.horizon
                    key = {"method": method, "size": size, "horizon": horizon, "seed": seed, "preset": args.preset,
                           "tasks": len(args.tasks), "epochs": epochs(method, config)}  # fmt: skip
                    how = settings(config)
                    if rows.has(how, **key):
                        continue
                    run = args.runs / f"{method}_{size}_{args.preset}_{config.horizon}_{seed}_{key['epochs']}"
                    if method == WARPD_STATE:
                        share_vae(args.runs / run.name.replace(WARPD_STATE, "warpd"), run, config, demos)
                    begun = time.process_time()
                    make = partial(trained, method, demos=demos, action=action, preset=args.preset)
                    val = {}
                    if method in TRAINED_OUT:
                        policy_of, val = trained_out(make, config, run, partial(chosen_by, simulators, args))
                    else:
                        policy_of = make(config, run=run)
                    ready = time.process_time()
                    by_task = measure(policy_of, f"{method} {size} {seed}", simulators, args)
                    took = {"train": round(ready - begun, 1), "run": round(time.process_time() - ready, 1)}
                    success = round(sum(by_task.values()) / len(by_task), 4)
                    figures = counted(method, config, demos, action, args.steps)
                    figures = {k: float(f"{v:.6g}") for k, v in figures.items()} | ({"val": val} if val else {})
                    rows.put(**key, success=success, by_task=by_task, episodes=args.episodes, steps=args.steps,
                             **figures, seconds=took, settings=how)  # fmt: skip
                    print(rows.data["rows"][-1], flush=True)


def chosen_by(simulators: Simulators, args: argparse.Namespace, policy_of: PolicyOf) -> float:
    """Success from starts of its own: by it one training is chosen."""
    episodes = [Episode(VAL + i, task) for i in range(args.episodes) for task in args.tasks]
    return float(evaluate(policy_of, episodes, simulators, VAL).mean())


def measure(policy_of: PolicyOf, name: str, simulators: Simulators, args: argparse.Namespace) -> dict[str, float]:
    """The share of the episodes of each task in which it was done."""
    # By turns, so that what runs at once is of all tasks.
    episodes = [Episode(10_000 + i, task) for i in range(args.episodes) for task in args.tasks]
    found = evaluate(policy_of, episodes, simulators, zlib.crc32(name.encode())).reshape(-1, len(args.tasks))
    return {task: round(float(share), 4) for task, share in zip(args.tasks, found.mean(0), strict=True)}


if __name__ == "__main__":
    main()
