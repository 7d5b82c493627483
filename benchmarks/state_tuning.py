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
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.diffusion_ppo import CloneConfig, TuneConfig, load_policy, save_policy, tune
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, clone_task, make_env

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.setup import open_world
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import file_sha256

RESULTS = Path(__file__).parent / "results" / "state_tuning.json"


def named(task: str) -> str:
    """A task as part of a folder's name: LIBERO's have their suite before them."""
    return task.rpartition("/")[2]


def cloned(args: argparse.Namespace, task: str, seed: int) -> Path:
    """Folder of the base policy; made where it is not there yet."""
    folder: Path = args.work / f"base_{named(task)}_{seed}"
    if (folder / "config.json").is_file():
        return folder
    config = replace(CloneConfig.tiny(), demonstrations=args.num_demonstrations, epochs=args.epochs, seed=seed)
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
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = json.loads(args.out.read_text()) if args.out.exists() else {"rows": []}
    out |= provenance()
    dream = file_sha256(open_world(args.checkpoint).path / "model.safetensors")
    for task in args.tasks:
        for seed in args.seeds:
            there = [r for r in out["rows"] if (r["task"], r["seed"]) == (task, seed)]
            if any(r.get("world_model") == dream for r in there):
                continue
            begun = time.process_time()
            base = cloned(args, task, seed)
            best, steps = tuned(args, base, task, seed)
            row: dict[str, Any] = {"task": task, "seed": seed, "episodes": args.episodes, **steps}
            row |= {"demonstrations": args.num_demonstrations, "epochs": args.epochs, "horizon": args.horizon}
            for name, folder in (("base", base), ("tuned", best)):
                found = evaluate(folder, args.checkpoint, task, episodes=args.episodes, horizon=args.horizon).summary()
                row[name], row[f"{name}_imagined"] = (found[w]["success_rate"] for w in ("twin", "dream"))
                row[f"{name}_interval_95"] = found["twin"]["interval_95"]
            row |= {"seconds": round(time.process_time() - begun, 1), "world_model": dream}
            out["rows"] = [*(r for r in out["rows"] if r not in there), row]
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(out, indent=1) + "\n")
            print(out["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
