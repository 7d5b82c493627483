"""PushT: horizons 16 to 128 against an adversary of growing strength (Fig. 3).

    python -m dreamgym.data.state_demonstrations --suite pusht --episodes 200 --out DATA
    python benchmarks/warpd/run_pusht.py --data DATA --runs RUNS --preset tiny

Writes benchmarks/results/warpd_pusht.json: rows {method, horizon, perturbation, seed, success, spread, solved,
episodes}. ``success`` is the paper's: the largest share of the outline that the block covered, averaged over episodes
(an episode ends once that reaches 0.9, as its demonstrations do); ``spread`` its standard deviation over episodes;
``solved`` the share of episodes in which it reached 0.9. The paper runs each of 50 episodes ten times: that is
``--repeats 10``, each with other draws of policy and adversary. A row that is there is not computed again, and a run
that was killed goes on.
"""

from __future__ import annotations

import argparse
import zlib

import numpy as np
from methods import METHODS, action_spec, configure, evaluate, read_demonstrations, trained
from options import make_parser, shrink, with_training
from rows import Rows

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.pusht import PushTEnv
from dreamgym.types import Policy

HORIZONS = (16, 32, 64, 128)
PERTURBATIONS = (0, 20, 40, 60, 80, 100)
KEY = ("method", "horizon", "perturbation", "seed", "preset")


def measure(policy: Policy, args: argparse.Namespace, name: str, perturbation: int) -> np.ndarray:
    """Largest coverage of each episode, [episodes * repeats]."""
    found = [
        evaluate(
            policy,
            lambda r=repeat: perturbed(PushTEnv(horizon=args.steps), perturbation, PROBABILITY, r),  # type: ignore[misc]
            args.episodes,
            zlib.crc32(f"{name} {perturbation} {repeat}".encode()),
            measure="coverage",
        )
        for repeat in range(args.repeats)
    ]
    return np.concatenate(found)


def main() -> None:
    parser = make_parser(__doc__, "warpd_pusht.json", "the store of demonstrations")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--horizons", nargs="*", type=int, default=HORIZONS)
    parser.add_argument("--perturbations", nargs="*", type=int, default=PERTURBATIONS)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=1, help="of every episode; the paper's 10")
    parser.add_argument("--steps", type=int, default=300, help="of an episode at most; the suite's 300")
    args = parser.parse_args()
    shrink(args, horizons=[16], perturbations=[0, 100], episodes=2, steps=40)
    rows, demos = Rows(args.out, KEY), read_demonstrations(args.data)
    action = action_spec(PushTEnv())
    for seed in args.seeds:
        for horizon in args.horizons:
            for method in args.methods:
                key = {"method": method, "horizon": horizon, "seed": seed, "preset": args.preset}
                missing = [p for p in args.perturbations if not rows.has(**key, perturbation=p)]
                if not missing:
                    continue
                config = configure("pusht", args.preset, demos, horizon=horizon, length=horizon)
                run = args.runs / f"{method}_{args.preset}_{horizon}_{seed}"
                # Demonstrations shorter than a snippet go on with their last row: the pusher has arrived and stays.
                policy = trained(
                    method, with_training(config, args, seed), demos.padded(horizon), action, args.preset, run
                )(None)
                for p in missing:
                    found = measure(policy, args, f"{method} {horizon} {seed}", p)
                    figures = {"success": found.mean(), "spread": found.std(), "solved": (found >= 0.9).mean()}
                    rows.put(**key, perturbation=p, **{k: round(float(v), 4) for k, v in figures.items()},
                             episodes=len(found))  # fmt: skip
                    print(rows.data["rows"][-1])


if __name__ == "__main__":
    main()
