"""What each trick of `dreamgym.envs.core.fast` is worth: a core's step with all of them, without one, and without any.

    python benchmarks/fast_path.py

One process and thread; cores of the same checkpoint take turns, so that a busy machine slows all alike. A row: the time
of a step without the trick over that with all of them (median over the turns); 1.03 says that the trick saves 3% of a
step. Episodes begin at different times in different envs, as they do once a policy succeeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import dreamgym
from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.fast import TRICKS, Fast
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import load

RESULT = Path(__file__).parent / "results" / "fast_path.json"
HORIZON = 64


def made(
    checkpoint: Any, num_envs: int, reward: str, reward_model: str, tricks: tuple[str, ...]
) -> tuple[DreamCore, torch.Tensor]:
    """A core that uses those tricks, reset, and an action for it."""
    task = checkpoint.rewards["success"].tasks[0]
    options = {"uncertainty": False, "task": task, "horizon": HORIZON, "num_envs": num_envs, "reward": reward}
    core = dreamgym.make_core(checkpoint, **options, reward_model=reward_model, fast=bool(tricks))
    if tricks:
        core.fast = Fast(core, tricks)
    space = core.action_space
    draw = torch.rand(num_envs, *space.shape, generator=torch.Generator().manual_seed(0))
    low, high = torch.tensor(space.low), torch.tensor(space.high)
    action = checkpoint.spec.prepare(low + (high - low) * draw)
    core.reset(seed=0)
    turn = torch.arange(num_envs) * HORIZON // num_envs
    for each in range(HORIZON):
        core.reset(mask=turn == each)
        core.step(action)
    return core, action


def seconds(core: DreamCore, action: torch.Tensor, steps: int) -> float:
    begun = time.process_time()
    for _ in range(steps):
        core.step(action)
    return (time.process_time() - begun) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="+", default=["playtable", "metaworld"])
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 16, 64, 1024])
    parser.add_argument("--rewards", nargs="+", default=["success", "probability"])
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one timing")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    without = {f"without {t}": tuple(x for x in TRICKS if x != t) for t in TRICKS}
    sets = {"all": TRICKS, **without, "none": ()}
    rows = []
    for name in args.checkpoints:
        checkpoint = load(name)
        kinds = itertools.product(args.num_envs, args.rewards, checkpoint.rewards)
        for num_envs, reward, reward_model in kinds:
            cores = {k: made(checkpoint, num_envs, reward, reward_model, tricks) for k, tricks in sets.items()}
            steps = max(4, round(args.seconds / seconds(*cores["all"], 8)))
            times: dict[str, list[float]] = {k: [] for k in sets}
            for _ in range(args.turns):
                for k, (core, action) in cores.items():
                    times[k].append(seconds(core, action, steps))
            pairs = {k: [a / b for a, b in zip(v, times["all"], strict=True)] for k, v in times.items() if k != "all"}
            row = {"checkpoint": name, "num_envs": num_envs, "reward": reward, "reward_model": reward_model}
            row |= {"step_us": round(statistics.median(times["all"]) * 1e6, 1)}
            row |= {k: round(statistics.median(v), 3) for k, v in pairs.items()}
            rows.append(row)
            print(row, flush=True)
    args.out.write_text(json.dumps({**provenance(), "turns": args.turns, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
