"""Fine-tuning in a dream of states: DiWA's agent in Dream-Metaworld-v0, scored before and after in dream and twin.

    python benchmarks/state_tuning.py --store STORE --work runs/state_tuning
    python benchmarks/state_tuning.py --store STORE --work runs/libero_tuning --checkpoint libero --horizon 250 \
        --tasks libero_goal/turn_on_the_stove --out benchmarks/results/libero_tuning.json

STORE is the one that the dream was made of (`benchmarks/make_state_dream.py`). A diffusion policy is cloned from a few
demonstrations for a few epochs, so that there is something left to learn, and fine-tuned by PPO in the dream, without a
step in the simulator. Writes ``benchmarks/results/state_tuning.json``: rows {task, seed, base, tuned, base_imagined,
tuned_imagined, intervals, episodes, dream_steps, sim_steps, seconds, world_model}; the last is the hash of the dream's
weights. A row of this dream that is there is not computed again, and each stage goes on where it was stopped: another
dream needs another WORK.

With ``--controls`` it measures instead, under "controls", what else the figures are to be held against: the clone
trained for ``--control-epochs`` epochs (as before and after, from held-out starts of the dream), standing still, and
the suite's scripted operator (both by the benchmark's protocol, from its own initial states; LIBERO's dream has these
as its held-out starts): {task, policy, seed, epochs, success, imagined, interval_95, episodes, begun}.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.diffusion_ppo import CloneConfig, TuneConfig, load_policy, save_policy, tune
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task, make_env

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.protocol import ProtocolConfig, run_protocol
from dreamgym.evaluation.policies.setup import open_world
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import file_sha256

LONGER = "cloned for longer"
RESULTS = Path(__file__).parent / "results" / "state_tuning.json"


def named(task: str) -> str:
    """A task as part of a folder's name: LIBERO's have their suite before them."""
    return task.rpartition("/")[2]


def cloned(args: argparse.Namespace, task: str, seed: int, epochs: int, name: str = "base") -> Path:
    """Folder of a cloned policy; made where it is not there yet."""
    folder: Path = args.work / f"{name}_{named(task)}_{seed}"
    if (folder / "config.json").is_file():
        return folder
    config = replace(CloneConfig.tiny(), demonstrations=args.num_demonstrations, epochs=epochs, seed=seed)
    policy = clone_task(args.store, task, args.checkpoint, PolicyChoice(), config, folder.with_suffix(".run"))
    return save_policy(folder, policy, task=task, world_model=args.checkpoint)


def tuned(args: argparse.Namespace, base: Path, task: str, seed: int) -> tuple[Path, dict[str, Any]]:
    """Folder of the tuned policy of the highest imagined return, and how many steps it took."""
    policy = load_policy(base)
    env = make_env(
        "Dream-v0", task, policy.config.chunk, checkpoint=args.checkpoint, num_envs=256, horizon=args.horizon
    )
    config = replace(TuneConfig.tiny(), total_steps=args.steps, eval_every=4, seed=seed)
    run = args.work / f"tune_{named(task)}_{seed}"
    result = tune(policy, env, config, run, task=task, world_model=args.checkpoint)
    env.close()
    return run / "best", {"dream_steps": result.dream_steps, "sim_steps": result.sim_steps}


def row(args: argparse.Namespace, task: str, seed: int) -> dict[str, Any]:
    """One task and seed, before and after."""
    begun = time.process_time()
    base = cloned(args, task, seed, args.epochs)
    best, steps = tuned(args, base, task, seed)
    out: dict[str, Any] = {"task": task, "seed": seed, "episodes": args.episodes, **steps}
    out |= {"demonstrations": args.num_demonstrations, "epochs": args.epochs, "horizon": args.horizon}
    for name, folder in (("base", base), ("tuned", best)):
        found = evaluate(folder, args.checkpoint, task, episodes=args.episodes, horizon=args.horizon).summary()
        out[name], out[f"{name}_imagined"] = (found[w]["success_rate"] for w in ("twin", "dream"))
        out[f"{name}_interval_95"] = found["twin"]["interval_95"]
    return out | {"seconds": round(time.process_time() - begun, 1)}


def control(args: argparse.Namespace, task: str, seed: int, policy: str) -> dict[str, Any]:
    """One thing to hold the figures against: "cloned for longer", or a policy of the suite's protocol."""
    out: dict[str, Any] = {"task": task, "policy": policy, "seed": seed, "episodes": args.episodes}
    if policy == LONGER:
        folder = cloned(args, task, seed, args.control_epochs, f"long_{args.control_epochs}")
        found = evaluate(folder, args.checkpoint, task, episodes=args.episodes, horizon=args.horizon).summary()
        out |= {"epochs": args.control_epochs, "demonstrations": args.num_demonstrations}
        out |= {"success": found["twin"]["success_rate"], "imagined": found["dream"]["success_rate"]}
        return out | {"interval_95": found["twin"]["interval_95"]}
    suite = open_world(args.checkpoint).simulator["id"]
    told = run_protocol(policy, suite, [task], ProtocolConfig(args.episodes, args.horizon, seed, {"cameras": ()}))
    found = told.to_dict()["tasks"][task]
    return out | {"success": found["success_rate"], "interval_95": found["interval_95"], "begun": told.begun}


def wanted(args: argparse.Namespace, dream: str) -> Iterator[tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]]:
    """What is asked for: where it belongs, what tells it from others, and what measures it."""
    for task in args.tasks:
        for seed in args.seeds:
            if not args.controls:
                yield "rows", {"task": task, "seed": seed, "world_model": dream}, partial(row, args, task, seed)
                continue
            for policy in (LONGER, "hold", args.operator):
                if policy == LONGER or seed == args.seeds[0]:
                    key = {"task": task, "policy": policy, "seed": seed, "world_model": dream}
                    yield "controls", key, partial(control, args, task, seed, policy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="where policies and runs are kept")
    parser.add_argument("--checkpoint", default="metaworld", help="the dream: a shipped name or a folder")
    parser.add_argument("--tasks", nargs="*", default=["drawer_open", "reach", "window_open", "door_unlock"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--num-demonstrations", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=60, help="of cloning")
    parser.add_argument("--steps", type=int, default=300_000, help="imagined")
    parser.add_argument("--horizon", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=50, help="paired, from held-out starts")
    parser.add_argument("--controls", action="store_true", help="measure what to hold the figures against, instead")
    parser.add_argument("--control-epochs", type=int, default=1600, help="of the clone that is trained for longer")
    parser.add_argument("--operator", default="operator:better")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = json.loads(args.out.read_text()) if args.out.exists() else {"rows": []}
    out |= provenance()
    dream = file_sha256(open_world(args.checkpoint).path / "model.safetensors")
    for part, key, measure in wanted(args, dream):
        others = [r for r in out.get(part, []) if any(r.get(k) != v for k, v in key.items() if k != "world_model")]
        if any(all(r.get(k) == v for k, v in key.items()) for r in out.get(part, [])):
            continue
        out[part] = [*others, measure() | key | {"commit": out["commit"]}]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(out, indent=1) + "\n")
        print(out[part][-1], flush=True)


if __name__ == "__main__":
    main()
