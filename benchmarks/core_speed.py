"""A core's step in this tree beside another tree's (an older commit's), timed in turns in one run.

    git worktree add ../before COMMIT
    python benchmarks/core_speed.py --against ../before

Two processes, one a tree, each with its own cores of the same checkpoint; they take turns, so that a busy machine slows
both alike. Every turn goes on for the same number of steps of the same seed, so both trees dream the same episodes.
Where a process's memory comes to lie makes it faster or slower by up to 5% for as long as it lives, so several pairs of
processes are started one after the other, and a row holds the medians over the pairs. Time is processor time of one
thread. A row: steps per second before and after, and the core's against three others: a loop written by hand for the
same work (clipped actions, reward, a look for NaN, ends, new episodes from the bank), the same loop that does not look
for NaN, and the bare model and reward (`model.imagine`, features, reward; no ends). Ratios are taken within a pair;
beside the first stand its quartiles over the pairs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
RESULT = HERE / "benchmarks" / "results" / "core_speed.json"
SIDES = {"before": "core", "after": "core", "by_hand": "by_hand", "unchecked": "unchecked", "bare": "bare"}
HORIZON = 64


def bare(core: Any, action: Any) -> Any:
    """The model and the reward alone: no ends, nothing kept."""
    import torch

    model, scores, generator = core.model, core.reward, torch.Generator().manual_seed(0)
    held = [{k: v.clone() for k, v in core.state.items()}, core.memory, core.counters["task"].clone()]

    def loop() -> None:
        with torch.no_grad():
            after = model.imagine(held[0], action, generator)
            model.features(after)
            _, _, held[1] = scores.step(model, held[1], held[0], action, after, held[2])
            held[0] = after

    return loop


def by_hand(core: Any, action: Any, reward: str, checked: bool) -> Any:
    """What somebody would write for this one case: clipped actions, rewards, ends, and new episodes from the bank.

    Args:
        core, action: what to write it for.
        reward: "success" or "probability".
        checked: whether an env whose model gave NaN is cut off.
    """
    import torch

    model, scores, bank, generator = core.model, core.reward, core.starts, torch.Generator().manual_seed(0)
    rows = bank.candidates(scores.tasks[int(core.counters["task"][0])], "train")
    low, high = (torch.tensor(bound) for bound in (core.spec.action.low, core.spec.action.high))
    task, threshold = core.counters["task"].clone(), scores.thresholds[core.counters["task"]]
    elapsed = torch.zeros_like(task)
    held = [{k: v.clone() for k, v in core.state.items()}, core.memory]

    def loop() -> tuple[Any, ...]:
        with torch.inference_mode():
            taken = torch.clamp(action, low, high)
            after = model.imagine(held[0], taken, generator)
            paid, probability, memory = scores.step(model, held[1], held[0], taken, after, task)
            success = probability >= threshold
            elapsed.add_(1)
            truncated = elapsed >= HORIZON
            if checked and not math.isfinite(sum(v.sum().item() for v in (*after.values(), probability))):
                truncated |= ~torch.stack([v.flatten(1).isfinite().all(1) for v in after.values()]).all(0)
            if reward == "success":
                paid, ended = success.float(), success | truncated
            else:
                ended = truncated
            if ended.any():
                which = ended.nonzero().flatten()
                begun = bank.state(rows[torch.randint(len(rows), (len(which),))])
                after = {k: v.index_copy(0, which, begun[k]) for k, v in after.items()}
                new = scores.start(model, begun, task[which])
                memory = {k: v.index_copy(0, which, new[k]) for k, v in memory.items()}
                elapsed[which] = 0
            held[:] = after, memory
            return model.features(after).clone(), paid, success, truncated

    return loop


def serve(name: str) -> None:
    """The worker: answers each line {"num_envs", "reward", "side", "steps"} with steps per second."""
    import torch

    import dreamgym
    from dreamgym.training.checkpoint import load

    torch.set_num_threads(1)
    checkpoint, made = load(name), {}

    def runner(num_envs: int, reward: str, side: str) -> Any:
        task = checkpoint.rewards["success"].tasks[0]
        options = {"uncertainty": False, "task": task, "horizon": HORIZON, "num_envs": num_envs, "reward": reward}
        core = dreamgym.make_core(checkpoint, **options)
        space = core.action_space
        draw = torch.rand(num_envs, *space.shape, generator=torch.Generator().manual_seed(0))
        low, high = torch.tensor(space.low), torch.tensor(space.high)
        action = checkpoint.spec.prepare(low + (high - low) * draw)
        core.reset(seed=0)
        if side == "core":
            return lambda: core.step(action)
        return bare(core, action) if side == "bare" else by_hand(core, action, reward, side == "by_hand")

    for line in sys.stdin:
        asked = json.loads(line)
        key = (asked["num_envs"], asked["reward"], asked["side"])
        if key not in made:
            made[key] = runner(*key)
            for _ in range(4):
                made[key]()
        run, begun = made[key], time.process_time()
        for _ in range(asked["steps"]):
            run()
        rate = asked["steps"] * asked["num_envs"] / (time.process_time() - begun)
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


def rates(
    trees: dict[str, subprocess.Popen[str]], num_envs: int, reward: str, turns: int, seconds: float
) -> dict[str, float]:
    """Steps per second of each side, the median of its turns; the first ones, which warm up, do not count."""
    asked: dict[str, Any] = {"num_envs": num_envs, "reward": reward, "steps": max(4, 640 // num_envs)}
    sides = {which: (trees["before" if which == "before" else "after"], side) for which, side in SIDES.items()}
    first = [ask(tree, **asked, side=side) for tree, side in sides.values()]
    asked["steps"] = max(4, round(seconds * max(first) / num_envs))
    taken: dict[str, list[float]] = {which: [] for which in SIDES}
    for _ in range(turns):
        for which, (tree, side) in sides.items():
            taken[which].append(ask(tree, **asked, side=side))
    return {which: statistics.median(values) for which, values in taken.items()}


def summary(pairs: list[dict[str, float]]) -> dict[str, Any]:
    """A row's figures from the rates of each pair of processes."""
    row: dict[str, Any] = {f"{which}_steps_per_s": round(statistics.median(p[which] for p in pairs)) for which in SIDES}
    for which in ("before", "by_hand", "unchecked", "bare"):
        row[f"after_over_{which}"] = round(statistics.median(p["after"] / p[which] for p in pairs), 3)
    quartiles = statistics.quantiles([p["after"] / p["before"] for p in pairs], method="inclusive")
    return {**row, "after_over_before_quartiles": [round(quartiles[0], 3), round(quartiles[2], 3)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--against", type=Path, help="the other tree")
    parser.add_argument("--checkpoints", nargs="+", default=["playtable", "metaworld"])
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 16, 64, 1024])
    parser.add_argument("--rewards", nargs="+", default=["success", "probability"])
    parser.add_argument("--processes", type=int, default=8, help="of each tree, two or more")
    parser.add_argument("--turns", type=int, default=7, help="of each process")
    parser.add_argument("--seconds", type=float, default=0.15, help="of one turn, about")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    from dreamgym.provenance import provenance

    rows = []
    for name in args.checkpoints:
        settings = list(itertools.product(args.num_envs, args.rewards))
        found: dict[tuple[int, str], list[dict[str, float]]] = {each: [] for each in settings}
        for _ in range(args.processes):
            trees = {"before": worker(args.against.resolve(), name), "after": worker(HERE, name)}
            for num_envs, reward in settings:
                found[num_envs, reward].append(rates(trees, num_envs, reward, args.turns, args.seconds))
            for tree in trees.values():
                tree.terminate()
        for (num_envs, reward), pairs in found.items():
            rows.append({"checkpoint": name, "num_envs": num_envs, "reward": reward, **summary(pairs)})
            print(rows[-1], flush=True)
    before = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=args.against, capture_output=True, text=True, check=False
    ).stdout.strip()
    clock = "processor time of one thread; median turn of a process, median over the processes"
    head = {**provenance(), "before": before, "clock": clock, "processes": args.processes, "turns": args.turns}
    args.out.write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
