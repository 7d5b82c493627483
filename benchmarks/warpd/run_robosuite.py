"""robosuite Lift and Can: horizons 16 and 128, without and with the adversary (Fig. 5).

    python -m dreamgym.data.state_demonstrations --suite robosuite --tasks lift --episodes 300 --out DATA
    python benchmarks/warpd/run_robosuite.py --task lift --data DATA --runs RUNS --preset tiny

Writes benchmarks/results/warpd_robosuite.json: rows {method, task, horizon, perturbation, seed, success, episodes}.
The paper's text gives perturbations no magnitude. Here one is in the unit of the action (`RobosuiteEnv.perturb`), hence
1, the largest: as far as the arm is let go in a step, 0.05 m and 0.5 rad. Episodes: 50 for each of three seeds, 150 in
all. A row that is there is not computed again, and a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import zlib

import gymnasium as gym
from methods import METHODS, action_spec, configure, evaluate, read_demonstrations, trained
from options import make_parser, shrink, with_training
from rows import Rows

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.robosuite import ROBOTS, TASKS, RobosuiteEnv

COMPARED = ("warpd", "warpd_no_world_model", "diffusion_policy")
NONE, LARGEST = 0.0, 1.0
KEY = ("method", "task", "horizon", "perturbation", "seed", "preset")
SIMULATORS = 4  # at once: each takes a second to make and hundreds of MB


def make_env(args: argparse.Namespace, perturbation: float) -> gym.Env:
    """The simulator, disturbed or not."""
    return perturbed(RobosuiteEnv(args.task, args.robot, horizon=args.steps), perturbation, PROBABILITY, 0)


def main() -> None:
    parser = make_parser(__doc__, "warpd_robosuite.json", "the store of demonstrations")
    parser.add_argument("--task", choices=TASKS, default="lift")
    parser.add_argument("--robot", choices=ROBOTS, default="Panda")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=COMPARED)
    parser.add_argument("--horizons", nargs="*", type=int, default=(16, 128))
    parser.add_argument("--perturbations", nargs="*", type=float, default=(NONE, LARGEST))
    parser.add_argument("--episodes", type=int, default=50, help="for each seed: 150 of three")
    parser.add_argument("--steps", type=int, default=250, help="of an episode at most")
    args = parser.parse_args()
    shrink(args, horizons=[16], episodes=1, steps=5)
    rows, demos = Rows(args.out, KEY), read_demonstrations(args.data, (args.task,))
    first = make_env(args, NONE)
    action = action_spec(first)
    first.close()
    for seed in args.seeds:
        for horizon in args.horizons:
            for method in args.methods:
                key = {"method": method, "task": args.task, "horizon": horizon, "seed": seed, "preset": args.preset}
                missing = [p for p in args.perturbations if not rows.has(**key, perturbation=p)]
                if not missing:
                    continue
                config = configure("robosuite", args.preset, demos, horizon=horizon, length=horizon)
                run = args.runs / f"{method}_{args.task}_{args.preset}_{horizon}_{seed}"
                policy = trained(
                    method, with_training(config, args, seed), demos.padded(horizon), action, args.preset, run
                )(args.task)
                for p in missing:
                    draws = zlib.crc32(f"{method} {horizon} {p} {seed}".encode())
                    found = evaluate(policy, lambda p=p: make_env(args, p), args.episodes, draws, SIMULATORS)
                    rows.put(**key, perturbation=p, success=round(float(found.mean()), 4), episodes=len(found))
                    print(rows.data["rows"][-1])


if __name__ == "__main__":
    main()
