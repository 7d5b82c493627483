"""Real against imagined success over many policies: how far a dream can be trusted to rank and score them.

    python benchmarks/agreement.py runs/drawer_0 runs/drawer_1 --checkpoint calvin_d --episodes 200
    python benchmarks/agreement.py --scripted --checkpoint playtable --tasks open_drawer --episodes 25
    python benchmarks/agreement.py --found runs/diwa --episodes 100
    python benchmarks/agreement.py --again

Each policy (every one that a run saved, or one folder at a time) is evaluated in the dream and in its twin from the
same held-out starts, and kept as JSON under ``--out``, so that a killed run goes on. ``--scripted`` adds 20 scripted
policies a task from bad to good, for a dream in which nothing was trained yet; it needs a model that decodes state.
``--found`` takes the evaluations in folders named `evaluations` below a folder as they are, of so many ``--episodes``.
``--again`` evaluates nothing: it takes the policies that the result file lists together anew, for a measure that was
added since; commit and machine stay those of the evaluations.

Written: benchmarks/results/agreement.json, the measures of `dreamgym.evaluation.statistics.study` at its top.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamgym.evaluation.policies.batch import evaluate_all
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.result import Evaluation, evaluation_file
from dreamgym.evaluation.policies.setup import Setup, checkpoint_hashes, open_world
from dreamgym.evaluation.statistics.agreement import Score
from dreamgym.evaluation.statistics.study import rank_all, ranks_to_dict, study
from dreamgym.provenance import provenance

RESULT = Path(__file__).parent / "results" / "agreement.json"
NUM_SCRIPTED = 20
SHOWN = (
    "num_policies", "pearson", "spearman", "mmrv", "mmrv_floor", "mmrv_floor_95", "mmrv_within_tasks",
    "mmrv_within_tasks_floor", "mean_gap", "coverage_95",
)  # fmt: skip


def scripted(world: str, tasks: list[str], config: EvaluationConfig, out: Path) -> Iterator[Evaluation]:
    """Twenty scripted policies a task, each missing more often and with a noisier hand than the one before it."""
    from dreamgym.suites.calvin.scripted import ScriptedPolicy

    opened = open_world(world)
    hashes = checkpoint_hashes(opened)  # a dream that was trained on is another one
    for task in tasks:
        for i, bad in enumerate(np.linspace(0, 1, NUM_SCRIPTED)):
            name = f"scripted_{i:02d}"
            file = evaluation_file(out, name, task)
            settled = Setup.of(opened, task, config).config
            if file.is_file() and (old := Evaluation.load(file)).config == settled and old.hashes == hashes:
                yield old
                continue
            policy = ScriptedPolicy(task, miss_share=float(bad), noise=0.5 * float(bad))
            done = evaluate(policy, opened, task, config, name=name, progress=True)
            done.save(file)
            yield done


def again(told: dict[str, Any]) -> dict[str, Any]:
    """A result with every measure that follows from its policies' success rates taken anew, the rest as it was."""
    scores = [Score.from_dict(p) for p in told["policies"]]
    ranks = ranks_to_dict(scores, *rank_all(scores, told["seed"]))
    out: dict[str, Any] = {}
    for key, value in told.items():
        out |= ranks if key == "num_policies" else {} if key in ranks else {key: value}
    return out


def measured(options: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Evaluates what the command line asks for and takes it together."""
    config = EvaluationConfig(
        episodes=options.episodes, imagined=options.imagined, seed=options.seed, horizon=options.horizon,
        simulators=options.simulators, num_workers=options.num_workers,
    )  # fmt: skip
    found: list[Evaluation] = []
    for task in options.tasks or [None]:
        found += evaluate_all(options.policies, options.checkpoint, task, config, out=options.out, progress=True)
    if options.scripted:
        if options.checkpoint is None or not options.tasks:
            parser.error("--scripted needs --checkpoint and --tasks")
        found += scripted(options.checkpoint, options.tasks, config, options.out)
    for folder in options.found:
        there = [Evaluation.load(file) for file in sorted(folder.rglob("evaluations/*.json"))]
        found += [e for e in there if e.config.episodes == options.episodes and e.dream and e.twin]
    if len(found) < 2:
        parser.error("give at least two policies, --scripted, or --found with evaluations of so many --episodes")
    return {
        **provenance(),
        "load_before": os.getloadavg()[0],
        "seed": options.seed,
        "world_models": sorted({e.world_model for e in found}),
        "tasks": sorted({e.task for e in found}),
        "episodes": options.episodes,
        "splits": sorted({str(e.config.split) for e in found}),
        "hashes_by_world_model": {e.world_model: e.hashes for e in found},
        **study(found, num_real=options.num_real, seed=options.seed).to_dict(),
    }


def main(args: list[str] | None = None) -> None:
    """Evaluates, takes all together and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="*", help="folders of runs or of policies, or names of policies")
    parser.add_argument("--checkpoint", help="where the policies' folders do not say")
    parser.add_argument("--tasks", nargs="*", help="where the policies' folders do not say")
    parser.add_argument("--scripted", action="store_true")
    parser.add_argument("--found", nargs="+", type=Path, default=[], help="folders with evaluations, used as they are")
    parser.add_argument("--again", action="store_true", help="take the policies of --result together anew")
    parser.add_argument("--episodes", type=int, default=200, help="paired episodes a policy")
    parser.add_argument("--imagined", type=int, help="episodes in the dream in all")
    parser.add_argument("--horizon", type=int, help="where not given, the suite's")
    parser.add_argument("--simulators", type=int, default=4)
    parser.add_argument("--num-workers", type=int, default=0)
    parser.add_argument("--num-real", type=int, default=25, help="of the check of intervals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("agreement"), help="folder for the evaluations")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args(args)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    told = again(json.loads(options.result.read_text())) if options.again else measured(options, parser)
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps({k: told.get(k) for k in SHOWN}, indent=1))
    print(f"wrote {options.result}")


if __name__ == "__main__":
    main()
