"""Real against imagined success over many policies: how far a dream can be trusted to rank and score them.

    python benchmarks/agreement.py runs/drawer_0 runs/drawer_1 --world-model calvin_d --episodes 200
    python benchmarks/agreement.py --scripted --world-model playtable --task open_drawer --episodes 25

Each policy (every one that a run saved, or one folder at a time) is evaluated in the dream and in its twin from the
same held-out starts, and kept as JSON under ``--out``, so that a killed run goes on. ``--scripted`` adds 20 scripted
policies a task from bad to good, for a dream in which nothing was trained yet; it needs a model that decodes state.

Written: benchmarks/results/agreement.json, the measures of `dreamgym.evaluation.study` at its top.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dreamgym.evaluation.batch import evaluate_all
from dreamgym.evaluation.demo import machine
from dreamgym.evaluation.evaluate import evaluate
from dreamgym.evaluation.result import Evaluation, EvaluationConfig, evaluation_file
from dreamgym.evaluation.study import study

RESULT = Path(__file__).parent / "results" / "agreement.json"
NUM_SCRIPTED = 20


def scripted(world: str, tasks: list[str], config: EvaluationConfig, out: Path) -> Iterator[Evaluation]:
    """Twenty scripted policies a task, each missing more often and with a noisier hand than the one before it."""
    from dreamgym.evaluation.scripted import ScriptedPolicy

    for task in tasks:
        for i, bad in enumerate(np.linspace(0, 1, NUM_SCRIPTED)):
            name = f"scripted_{i:02d}"
            file = evaluation_file(out, name, task)
            if file.is_file() and (old := Evaluation.load(file)).config == config:
                yield old
                continue
            policy = ScriptedPolicy(task, miss_share=float(bad), noise=0.5 * float(bad))
            done = evaluate(policy, world, task, config, name=name, progress=True)
            done.save(file)
            yield done


def commit() -> str:
    """The commit that is measured."""
    here = Path(__file__).parent
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()


def main() -> None:
    """Evaluates, takes all together and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="*", help="folders of runs or of policies, or names of policies")
    parser.add_argument("--world-model", help="where the policies' folders do not say")
    parser.add_argument("--task", nargs="*", help="where the policies' folders do not say")
    parser.add_argument("--scripted", action="store_true")
    parser.add_argument("--episodes", type=int, default=200, help="paired episodes a policy")
    parser.add_argument("--imagined", type=int, help="episodes in the dream in all")
    parser.add_argument("--horizon", type=int, default=64)
    parser.add_argument("--simulators", type=int, default=4)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--num-real", type=int, default=25, help="of the check of intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("agreement"), help="folder for the evaluations")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    config = EvaluationConfig(
        episodes=options.episodes, imagined=options.imagined, seed=options.seed, horizon=options.horizon,
        simulators=options.simulators, num_workers=options.workers,
    )  # fmt: skip
    found = []
    for task in options.task or [None]:
        found += evaluate_all(options.policies, options.world_model, task, config, out=options.out, progress=True)
    if options.scripted:
        if options.world_model is None or not options.task:
            parser.error("--scripted needs --world-model and --task")
        found += scripted(options.world_model, options.task, config, options.out)
    if len(found) < 2:
        parser.error("give at least two policies, or --scripted")
    told = {
        "machine": {"cpu": machine(), "python": platform.python_version(), "load_before": os.getloadavg()[0]},
        "commit": commit(),
        "seed": options.seed,
        "world_models": sorted({e.world_model for e in found}),
        "tasks": sorted({e.task for e in found}),
        "episodes": options.episodes,
        **study(found, num_real=options.num_real, seed=options.seed).to_dict(),
    }
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(json.dumps(told, indent=1) + "\n")
    shown = ("num_policies", "pearson", "spearman", "mmrv", "mmrv_floor", "mmrv_floor_95", "mean_gap", "coverage_95")
    print(json.dumps({k: told[k] for k in shown}, indent=1))
    print(f"wrote {options.result}")


if __name__ == "__main__":
    main()
