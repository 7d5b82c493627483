"""Planners in shipped dreams: success in the dream and in its twin, beside the scripted expert's.

    python benchmarks/planning.py --checkpoint playtable --tasks open_drawer close_drawer --planners cem --episodes 20

Rows {planner, world_model, task, dream_success, twin_success, expert_success, episodes} are added to
benchmarks/results/planning.json as each is done; those that are there already are not measured again. Starts are those
of the split "val" unless told otherwise, the same for every planner.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dreamgym_agents.planning import METHODS, Planner

from dreamgym.envs.make import open_checkpoint, start_bank, usual_horizon
from dreamgym.envs.simulators import suite_of
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.setup import choose_rows
from dreamgym.provenance import provenance
from dreamgym.suites.trials import open_trials

RESULT = Path(__file__).parent / "results" / "planning.json"


def expert(world_model: str, task: str, split: str, episodes: int) -> float:
    """The scripted expert's success from the same starts."""
    opened = open_checkpoint(world_model)
    suite, bank = suite_of(opened.simulator), start_bank(opened)
    if suite is None or bank is None or bank.snapshot is None:
        raise ValueError(f"{world_model} has no simulator or no starts in it")
    rows, _ = choose_rows(bank, [task], episodes, split, 0)
    trials = open_trials(suite, **opened.simulator["kwargs"])
    done = []
    for i, row in enumerate(rows):
        rng = np.random.default_rng([0, i])
        snapshot = bank.snapshot[int(row)].numpy()
        attempt = trials.attempt(task, snapshot, rng, horizon=usual_horizon(opened), linger=1)
        done.append(bool(attempt.success.any()))
    trials.close()
    return float(np.mean(done))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--planners", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--split", default="val")
    parser.add_argument("--set", nargs="*", default=[], help="fields of PlannerConfig as FIELD=JSON")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    changes = {name: json.loads(value) for name, _, value in (word.partition("=") for word in args.set)}
    kept: list[dict[str, Any]] = json.loads(args.out.read_text())["rows"] if args.out.exists() else []
    for task in args.tasks:
        for planner in args.planners:
            about = {"planner": planner, "world_model": args.checkpoint, "task": task, "settings": changes}
            about |= {"split": args.split, "episodes": args.episodes}
            if any(all(row.get(k) == v for k, v in about.items()) for row in kept):
                continue

            def make(spec: Any, method: str = planner) -> Planner:
                return Planner(spec, method=method, **changes)  # type: ignore[arg-type]

            done = evaluate(make, args.checkpoint, task, episodes=args.episodes, split=args.split)
            rates = {side: getattr(done, side).rate for side in ("dream", "twin")}
            scripted = expert(args.checkpoint, task, args.split, args.episodes)
            row = {**about, **{f"{k}_success": v for k, v in rates.items()}, "expert_success": scripted}
            kept.append(row)
            args.out.write_text(json.dumps({**provenance(), "rows": kept}, indent=1) + "\n")
            print(row, flush=True)


if __name__ == "__main__":
    main()
