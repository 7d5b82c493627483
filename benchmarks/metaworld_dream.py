"""Metaworld's scripted experts in a dream and in its twin, with and without noise: does the dream tell them apart?

    python benchmarks/metaworld_dream.py --checkpoint checkpoints/metaworld --episodes 10

Writes ``benchmarks/results/metaworld_dream.json``: rows {task, policy, dream, twin, episodes}, success rates. A row
that is there, of the same dream, is not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.evaluation.evaluate import evaluate
from dreamgym.sims.metaworld import Expert
from dreamgym.training.checkpoint import load

RESULTS = Path(__file__).parent / "results" / "metaworld_dream.json"
NOISE = {"expert": 0.0, "noise 1": 1.0, "noise 3": 3.0}


class ExpertPolicy:
    """The suite's script on decoded state.

    Args:
        task: whose.
        noise: standard deviation of what is added to its actions.
    """

    obs = "state"

    def __init__(self, task: str, noise: float) -> None:
        self.expert = Expert(task, noise)

    def start(self, num_envs: int, generator: torch.Generator | None = None) -> np.random.Generator:
        """Its own source of noise."""
        return np.random.default_rng(0)

    def act(
        self, obs: Tensor, carry: Any, fresh: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        """Actions [B, 4] for states [B, 39]."""
        actions = np.stack([self.expert.act(state, carry) for state in obs.cpu().numpy()])
        return torch.from_numpy(actions), carry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--tasks", nargs="*", default=[], help="some of the checkpoint's; all by default")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--horizon", type=int, default=120)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    opened = load(args.checkpoint)
    files = json.loads((opened.path / "config.json").read_text())["files"]
    about = {"horizon": args.horizon, "files": files}
    out = json.loads(args.out.read_text()) if args.out.exists() else {}
    if {k: out.get(k) for k in about} != about:
        out = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", **about, "rows": []}  # of another dream
    for task in args.tasks or opened.rewards["success"].tasks:
        for name, noise in NOISE.items():
            if any((r["task"], r["policy"], r["episodes"]) == (task, name, args.episodes) for r in out["rows"]):
                continue
            found = evaluate(
                ExpertPolicy(task, noise), opened, task, episodes=args.episodes, horizon=args.horizon, name=name
            )
            summary = found.summary()
            rates = {world: summary[world]["success_rate"] for world in ("dream", "twin")}
            out["rows"].append({"task": task, "policy": name, **rates, "episodes": args.episodes})
            print(out["rows"][-1], flush=True)
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
