"""How often LIBERO's scripted operator succeeds from the benchmark's own initial states, task by task.

    python benchmarks/libero_operators.py --suites libero_goal libero_spatial --states 10

Writes after every episode and goes on where it stopped; a task's episodes of another commit are made again with
``--again``. Needs DREAMGYM_LIBERO_ASSETS.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.provenance import provenance
from dreamgym.sims.libero import SUITES
from dreamgym.sims.libero.env import LiberoEnv
from dreamgym.suites.libero.operators import PROFICIENCIES, Operator

RESULTS = Path(__file__).parent / "results" / "libero_operators.json"
HORIZON = 600  # LIBERO's own evaluation


def try_task(env: LiberoEnv, state: int, proficiency: str) -> dict[str, Any]:
    """One episode from an initial state: the steps to success, or None and what the operator said went wrong."""
    env.reset(seed=state, options={"init_state": state})
    operator = Operator(env, proficiency, np.random.default_rng(state))
    for step in range(1, HORIZON + 1):
        try:
            action = operator.act()
        except ValueError as unknown:  # no way is known to hold what the task is about
            return {"state": state, "steps": None, "failures": [*operator.failures, str(unknown)]}
        if env.step(action)[2]:
            return {"state": state, "steps": step}
    return {"state": state, "steps": None, "failures": operator.failures}


def summary(episodes: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Successes and episodes by suite, and how many tasks stand at 80% or more."""
    found = {}
    for suite in SUITES:
        rates = [_rate(rows) for task, rows in episodes.items() if task.startswith(f"{suite}/") and rows]
        if rates:
            at_80 = sum(rate >= 0.8 for rate in rates)
            found[suite] = {"tasks": len(rates), "success": round(float(np.mean(rates)), 4), "tasks_at_80": at_80}
    return found


def _rate(rows: list[dict[str, Any]]) -> float:
    return sum(row["steps"] is not None for row in rows) / len(rows)


def main() -> None:
    """Try the tasks and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument("--only", default="", help="tasks whose names hold this")
    parser.add_argument("--states", type=int, default=10, help="initial states of each task, from the first on")
    parser.add_argument("--proficiency", choices=list(PROFICIENCIES), default="better")
    parser.add_argument("--again", action="store_true", help="forget earlier episodes of these tasks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    old = json.loads(options.out.read_text()) if options.out.exists() else {}
    episodes: dict[str, list[dict[str, Any]]] = old.get("episodes", {})
    commits: dict[str, str] = old.get("commits", {})
    tasks = [f"{suite}/{task}" for suite in options.suites for task in SUITES[suite] if options.only in task]
    for task in tasks if options.again else ():
        episodes.pop(task, None)
    for task in tasks:
        rows = episodes.setdefault(task, [])
        todo = range(len(rows), options.states)
        if not todo:
            continue
        env = LiberoEnv(task=task, horizon=None)
        for state in todo:
            rows.append(try_task(env, state, options.proficiency))
            about = provenance()
            commits[task] = about["commit"]
            write(options.out, {
                **about, "proficiency": options.proficiency, "horizon": HORIZON, "suites": summary(episodes),
                "commits": commits, "episodes": episodes,
            })  # fmt: skip
        env.close()
        print(f"{_rate(rows):.2f} {task} {[row['steps'] for row in rows]}", flush=True)


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON in one go."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
