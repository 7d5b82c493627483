"""What SAC and PPO reach from nothing in the dream of a Metaworld task, in the simulator, and in what time.

    python benchmarks/shaped_rewards.py hold random sb3_ppo sb3_sac torchrl_sac     # a row each; --task, --seed

Writes benchmarks/results/shaped_rewards.json: success from 50 test starts, seconds of training on one thread. "hold"
and "random" are the controls, policies that learn nothing, from the same starts.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import dreamgym
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.provenance import provenance

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shaped_rewards.json"
BUDGETS = {"sb3_ppo": 300_000, "sb3_sac": 60_000, "torchrl_sac": 12_000}
"""Imagined steps, or updates, of each example: its own default."""


CONTROLS = ("hold", "random")


def row(example: str, task: str, episodes: int, seed: int) -> dict[str, object]:
    """Trains and scores one example; with what its figures rest on."""
    found = control(example, task, episodes, seed) if example in CONTROLS else trained(example, task, episodes, seed)
    told = provenance(checkpoint_hashes(dreamgym.load("metaworld")))
    about = {"example": example, "task": task, "seed": seed, "episodes": episodes}
    return {**about, **found, "commit": told["commit"], "hashes": told["hashes"]}


def control(policy: str, task: str, episodes: int, seed: int) -> dict[str, float]:
    """Success rates of a policy that learns nothing."""
    config = EvaluationConfig(episodes=episodes, split="test", seed=seed)
    result = evaluate(policy, "metaworld", task, config)
    return {"seconds": 0.0, "cpu_seconds": 0.0, "dream": result.dream.rate, "simulator": result.twin.rate}


def trained(example: str, task: str, episodes: int, seed: int) -> dict[str, float]:
    """What an example reaches, and in what time."""
    sys.path.insert(0, str(HERE.parent / "examples"))
    module = importlib.import_module(example)
    began, busy = time.monotonic(), time.process_time()
    model = module.train(task, BUDGETS[example], seed=seed)
    spent = {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(time.process_time() - busy, 1)}
    return {**spent, **module.score(model, task, episodes)}


def main() -> None:
    """Adds rows to the result file, in place of those of the same example, task and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", nargs="+", choices=(*CONTROLS, *BUDGETS))
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
        RESULTS.write_text(json.dumps({"rows": rows, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
