"""Scripts in the dream of a state-based suite and in its twin, with and without noise: does the dream tell them apart?

    python benchmarks/state_dreams.py --checkpoint metaworld --episodes 10

Scripts are Metaworld's experts, PushT's pusher and robosuite's better operator; all act on states.
Writes ``benchmarks/results/state_dreams.json``: by suite, rows {task, policy, dream, twin, episodes}, success
rates from the same held-out starts. A row that is there, of the same dream, is not computed again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.evaluate import evaluate
from dreamgym.evaluation.policies.setup import Setup
from dreamgym.provenance import commit, provenance
from dreamgym.training.checkpoint import file_sha256, load

RESULTS = Path(__file__).parent / "results" / "state_dreams.json"
# Noise on each action: in units of the action, PushT's in pixels.
NOISE = {"metaworld": (0.0, 1.0, 3.0), "pusht": (0.0, 20.0, 60.0), "robosuite": (0.0, 0.5, 1.5)}
HORIZON = {"metaworld": 120, "pusht": 300, "robosuite": 200}

Act = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def script(suite: str, task: str) -> Act:
    """A new script of a task."""
    if suite == "metaworld":
        from dreamgym.suites.metaworld import Expert

        return Expert(task).act
    if suite == "robosuite":
        return operator(task)
    from dreamgym.suites.pusht import Pusher

    return Pusher().act


def operator(task: str) -> Act:
    """Robosuite's better operator on states."""
    from dreamgym.suites.robosuite.operators import Operator, StateSight

    sight = StateSight(task)
    hands: list[Operator] = []

    def act(state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sight.state = state
        if not hands:
            hands.append(Operator(sight, "better", rng))
        return hands[0].act()

    return act


class ScriptPolicy:
    """A script on decoded state, one for each env.

    Args:
        suite, task: whose.
        noise: standard deviation of what is added to its actions.
    """

    obs = "state"

    def __init__(self, suite: str, task: str, noise: float) -> None:
        self.suite, self.task, self.noise = suite, task, noise

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> dict[str, Any]:
        """Scripts that have not begun, and their own source of noise."""
        return {"scripts": [script(self.suite, self.task) for _ in range(num_envs)], "rng": np.random.default_rng(0)}

    def act(
        self, obs: Tensor, carry: dict[str, Any], fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Actions [B, A] for states [B, O]."""
        rng, rows = carry["rng"], []
        for i, state in enumerate(obs.cpu().numpy()):
            if fresh[i]:
                carry["scripts"][i] = script(self.suite, self.task)
            action = carry["scripts"][i](state, rng)
            rows.append(action + self.noise * rng.standard_normal(len(action)))
        return torch.from_numpy(np.stack(rows)).float(), carry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tasks", nargs="*", default=[], help="some of the checkpoint's; all by default")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    opened = load(args.checkpoint)
    assert opened.simulator is not None
    suite = opened.simulator["id"]
    if suite not in NOISE:
        raise SystemExit(f"no script acts on the states of {suite!r}: there are scripts for {sorted(NOISE)}")
    model, starts = (file_sha256(opened.path / f"{part}.safetensors") for part in ("model", "starts"))
    split = Setup.of(opened, "all", EvaluationConfig()).config.split
    about = {"horizon": HORIZON[suite], "model": model, "starts": starts, "split": split, "commit": commit()}
    out = json.loads(args.out.read_text()) if args.out.exists() else {"dreams": {}}
    out |= provenance()
    mine = out["dreams"].get(suite, {})
    if any(mine.get(k) != about[k] for k in ("horizon", "model", "starts", "split")):
        mine = {**about, "rows": []}  # of another dream
    for task in args.tasks or opened.rewards["success"].tasks:
        for noise in NOISE[suite]:
            name = f"noise {noise:g}" if noise else "script"
            if any((r["task"], r["policy"], r["episodes"]) == (task, name, args.episodes) for r in mine["rows"]):
                continue
            policy = ScriptPolicy(suite, task, noise)
            found = evaluate(policy, opened, task, episodes=args.episodes, horizon=HORIZON[suite], name=name)
            rates = {world: found.summary()[world]["success_rate"] for world in ("dream", "twin")}
            mine["rows"].append({"task": task, "policy": name, **rates, "episodes": args.episodes})
            print(mine["rows"][-1], flush=True)
            out["dreams"][suite] = mine
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
