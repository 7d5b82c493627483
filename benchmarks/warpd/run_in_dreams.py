"""Agents of the other experiments in the shipped dreams and in their twins, from the same held-out starts.

    python benchmarks/warpd/run_in_dreams.py --suite robosuite --store STORE --runs RUNS warpd_lift_tiny_16_0 ...

What comes last are folders of ``--runs``, trained by `run_pusht.py`, `run_robosuite.py` or `run_metaworld.py` on
``--store``. They act as `dreamgym evaluate` has them act; an agent of several tasks is told which.

Writes benchmarks/results/warpd_in_dreams.json: rows {suite, run, method, size, horizon, seed, tasks, episodes, steps,
twin, dream, both, world_model}; ``size`` is that of the policy's layers, or the channels of a denoiser of chunks;
``twin`` and ``dream`` are shares of successes within ``steps``, ``both`` the share of starts on which the two agree,
``world_model`` the hash of the dream's weights: a row of another dream is measured again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dreamgym_agents.common.runs import finished
from dreamgym_agents.warpd import WARPD, Agent, Demonstrations, PlanningPolicy, WARPDConfig, train
from dreamgym_agents.warpd.recipes import (
    CHUNKS,
    WITHOUT_WORLD_MODEL,
    as_learned,
    bounds,
    cut,
    make_agent,
    read_demonstrations,
)
from options import make_parser
from rows import Rows

from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.setup import open_world
from dreamgym.training.checkpoint import file_sha256

KEY = ("suite", "run", "preset")
STEPS = {"pusht": 300, "robosuite": 250, "metaworld": 150}  # as the experiments have them


def of_run(run: Path, suite: str, recorded: Demonstrations, preset: str) -> tuple[str, Agent]:
    """The method that was trained in a run's folder, and its agent.

    Raises:
        ValueError: the run is not finished, or these are not the demonstrations that it learned from.
    """
    held = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config, method = WARPDConfig.from_dict(held["config"]), held["kind"]
    if method == WARPD.kind and config.vae.rollout_after is None:
        method = WITHOUT_WORLD_MODEL
    demos = as_learned(recorded, suite, method)
    if "action_origin" not in held["config"]:  # older runs tell less
        config = replace(config, action_origin=demos.origin)
    told = held["data"]
    demos = cut(demos, config, method, whole=told["trail"] == 0 if "trail" in told else None)
    if differ := {k: v for k, v in demos.fingerprint().items() if told.get(k, v) != v}:
        raise ValueError(f"{run} learned from other demonstrations: {differ} here, {told} there")
    agent = make_agent(method, config, demos, bounds(demos), preset)
    for stage in agent.stages():
        if finished(run, stage.name, stage.epochs) is None:
            raise ValueError(f"{run}: the stage {stage.name!r} is not finished; go on with the script that began it")
    return method, train(agent, demos, run, show=False)


def main() -> None:
    parser = make_parser(__doc__, "warpd_in_dreams.json", "the store of demonstrations that they were trained on")
    parser.add_argument("--suite", choices=tuple(STEPS), required=True)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("names", nargs="+", help="folders of --runs")
    args = parser.parse_args()
    rows, opened = Rows(args.out, KEY), open_world(args.suite)
    dream = file_sha256(opened.path / "model.safetensors")
    for name in args.names:
        there = [r for r in rows.data["rows"] if (r["suite"], r["run"]) == (args.suite, name)]
        if any((r["world_model"], r["episodes"]) == (dream, args.episodes) for r in there):
            continue
        held = json.loads((args.runs / name / "config.json").read_text(encoding="utf-8"))
        recorded = read_demonstrations(args.store, held["config"]["tasks"])
        method, agent = of_run(args.runs / name, args.suite, recorded, args.preset)
        config, steps = agent.config, STEPS[args.suite]
        tasks = list(config.tasks)
        found = evaluate(PlanningPolicy(agent, tasks[0]), opened, tasks, episodes=args.episodes, horizon=steps)
        assert found.dream is not None
        assert found.twin is not None
        shares = {"twin": found.twin.rate, "dream": found.dream.rate}
        shares["both"] = float((found.twin.success == found.dream.success).mean())
        size = config.diffusion.denoiser.channels if method in CHUNKS else config.hidden
        about: dict[str, Any] = {"method": method, "size": list(size), "horizon": config.horizon}
        about |= {"seed": config.train.seed, "preset": args.preset, "tasks": tasks, "episodes": args.episodes}
        about |= {"steps": steps, "world_model": dream, **{k: round(v, 4) for k, v in shares.items()}}
        rows.put(suite=args.suite, run=name, **about)
        print(rows.data["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
