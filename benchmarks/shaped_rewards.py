"""What SAC and PPO reach from nothing in the dream of a Metaworld task, in the simulator, and in what time.

    python benchmarks/shaped_rewards.py sb3_ppo sb3_sac torchrl_sac     # a row each; --task, --seed, --episodes

Writes benchmarks/results/shaped_rewards.json: success from 50 test starts, seconds of training on one thread.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import dreamgym
from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.provenance import provenance

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shaped_rewards.json"
BUDGETS = {"sb3_ppo": 300_000, "sb3_sac": 60_000, "torchrl_sac": 12_000}
"""Imagined steps, or updates, of each example: its own default."""


def row(example: str, task: str, episodes: int, seed: int) -> dict[str, object]:
    """Trains and scores one example."""
    sys.path.insert(0, str(HERE.parent / "examples"))
    module = importlib.import_module(example)
    began, busy = time.monotonic(), time.process_time()
    model = module.train(task, BUDGETS[example], seed=seed)
    spent = {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - busy, 1)}
    rates = module.score(model, task, episodes)
    return {"example": example, "task": task, "seed": seed, "episodes": episodes, **spent, **rates}


def main() -> None:
    """Adds rows to the result file, in place of those of the same example, task and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", nargs="+", choices=BUDGETS)
    parser.add_argument("--task", default="button_press")
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for example in asked.examples:
        found = row(example, asked.task, asked.episodes, asked.seed)
        print(found)
        kept = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        same = ("example", "task", "seed")
        rows = [r for r in kept if any(r[k] != found[k] for k in same)] + [found]
        told = provenance(checkpoint_hashes(dreamgym.load("metaworld")))
        RESULTS.write_text(json.dumps({"rows": rows, **told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
