"""A core's step in this tree beside another tree's (an older commit's), timed in turns in one run.

    git worktree add ../before COMMIT
    python benchmarks/core_speed.py --against ../before

Two processes, one a tree, each with its own cores of the same checkpoint; they take turns, so that a busy machine slows
both alike. Time is processor time of one thread. A row: steps per second before and after, their ratio, and the core's
against the bare loop (`model.imagine`, features, reward; no ends), each of its fastest turn: what slows a turn is other
programs' use of caches and memory, never less work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
RESULT = HERE / "benchmarks" / "results" / "core_speed.json"


def serve(name: str) -> None:
    """The worker: answers each line {"num_envs", "reward", "bare", "seconds"} with steps per second."""
    import torch

    import dreamgym
    from dreamgym.training.checkpoint import load

    torch.set_num_threads(1)
    checkpoint, made = load(name), {}

    def runner(num_envs: int, reward: str, bare: bool) -> Any:
        task = checkpoint.rewards["success"].tasks[0]
        options = {"uncertainty": False, "task": task, "horizon": 64, "num_envs": num_envs, "reward": reward}
        core = dreamgym.make_core(checkpoint, **options)
        space = core.action_space
        draw = torch.rand(num_envs, *space.shape, generator=torch.Generator().manual_seed(0))
        low, high = torch.tensor(space.low), torch.tensor(space.high)
        action = checkpoint.spec.prepare(low + (high - low) * draw)
        core.reset(seed=0)
        if not bare:
            return lambda: core.step(action)
        model, scores, generator = core.model, core.reward, torch.Generator().manual_seed(0)
        held = [{k: v.clone() for k, v in core.state.items()}, core.memory, core.counters["task"].clone()]

        def loop() -> None:
            with torch.no_grad():
                after = model.imagine(held[0], action, generator)
                model.features(after)
                _, _, held[1] = scores.step(model, held[1], held[0], action, after, held[2])
                held[0] = after

        return loop

    for line in sys.stdin:
        asked = json.loads(line)
        key = (asked["num_envs"], asked["reward"], asked["bare"])
        if key not in made:
            made[key] = runner(*key)
            for _ in range(20):
                made[key]()
        run, begun, steps = made[key], time.process_time(), 0
        while time.process_time() - begun < asked["seconds"]:
            for _ in range(8):
                run()
            steps += 8
        rate = steps * asked["num_envs"] / (time.process_time() - begun)
        sys.stdout.write(json.dumps(rate) + "\n")
        sys.stdout.flush()


def worker(tree: Path, name: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'agents'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--serve", name]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen[str], **what: Any) -> float:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--against", type=Path, help="the other tree")
    parser.add_argument("--checkpoints", nargs="+", default=["playtable", "metaworld"])
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 16, 64, 1024])
    parser.add_argument("--rewards", nargs="+", default=["success", "probability"])
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one timing")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    from dreamgym.provenance import provenance

    rows = []
    for name in args.checkpoints:
        trees = {"before": worker(args.against.resolve(), name), "after": worker(HERE, name)}
        for num_envs in args.num_envs:
            for reward in args.rewards:
                rates: dict[str, list[float]] = {k: [] for k in ("before", "after", "bare")}
                for _ in range(args.turns):
                    for which in rates:
                        tree = trees["after" if which == "bare" else which]
                        asked = {"num_envs": num_envs, "reward": reward, "bare": which == "bare"}
                        rates[which].append(ask(tree, **asked, seconds=args.seconds))
                best = {k: max(v) for k, v in rates.items()}
                row = {"checkpoint": name, "num_envs": num_envs, "reward": reward}
                row |= {f"{k}_steps_per_s": round(v) for k, v in best.items()}
                row["after_over_before"] = round(best["after"] / best["before"], 3)
                row["after_over_bare"] = round(best["after"] / best["bare"], 3)
                rows.append(row)
                print(row, flush=True)
        for tree in trees.values():
            tree.terminate()
    before = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=args.against, capture_output=True, text=True, check=False
    ).stdout.strip()
    head = {**provenance(), "before": before, "clock": "processor time, one thread, fastest turn", "turns": args.turns}
    args.out.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
