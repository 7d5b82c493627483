"""robosuite Lift and Can: horizons 16 and 128, without and with the adversary (Fig. 5).

    python -m dreamgym.data.state_demonstrations --suite robosuite --tasks lift --episodes 300 --out DATA
    python benchmarks/warpd/run_robosuite.py --task lift --data DATA --runs RUNS --preset tiny

Writes benchmarks/results/warpd_robosuite.json: rows {method, task, horizon, perturbation, seed, success, episodes}.
The perturbation is in the simulator's unit (`RobosuiteEnv.perturb`). A row that is there is not computed again, and a
run that was killed goes on.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

from methods import METHODS, PRESETS, action_spec, configure, evaluate, read_demonstrations, trained
from rows import RESULTS, Rows

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.robosuite import RobosuiteEnv

COMPARED = ("warpd", "warpd_no_world_model", "diffusion_policy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("lift", "can"), default="lift")
    parser.add_argument("--robot", default="Panda")
    parser.add_argument("--data", type=Path, required=True, help="the store of demonstrations")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=COMPARED)
    parser.add_argument("--horizons", nargs="*", type=int, default=(16, 128))
    parser.add_argument("--perturbations", nargs="*", type=float, default=(0.0, 1.0))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50, help="for each seed: 150 of three")
    parser.add_argument("--steps", type=int, default=250, help="the longest episode")
    parser.add_argument("--vae-epochs", type=int, default=None)
    parser.add_argument("--diffusion-epochs", type=int, default=None)
    parser.add_argument("--out", type=Path, default=RESULTS / "warpd_robosuite.json")
    args = parser.parse_args()
    rows = Rows(args.out, ("method", "task", "horizon", "perturbation", "seed", "preset"))
    demos = read_demonstrations(args.data, (args.task,))
    for seed in args.seeds:
        for horizon in args.horizons:
            for method in args.methods:
                key = {"method": method, "task": args.task, "horizon": horizon, "seed": seed, "preset": args.preset}
                missing = [p for p in args.perturbations if not rows.has(**key, perturbation=p)]
                if not missing:
                    continue
                config = configure("robosuite", args.preset, demos, horizon=horizon, length=horizon)
                epochs = {"vae_epochs": args.vae_epochs, "diffusion_epochs": args.diffusion_epochs}
                changes = {k: v for k, v in epochs.items() if v is not None}
                config = replace(config, train=replace(config.train, seed=seed, **changes))
                run = args.runs / f"{method}_{args.task}_{args.preset}_{horizon}_{seed}"

                def make(p: float = 0.0) -> object:
                    env = RobosuiteEnv(args.task, args.robot, horizon=args.steps)
                    return perturbed(env, p, PROBABILITY, 0)

                action = action_spec(make())  # type: ignore[arg-type]
                policy = trained(method, config, demos.padded(horizon), action, args.preset, run)(args.task)
                for p in missing:
                    draws = zlib.crc32(f"{method} {horizon} {p} {seed}".encode())
                    # A simulator takes a second to make and hundreds of MB: four at once.
                    found = evaluate(policy, lambda p=p: make(p), args.episodes, draws, batch=4)  # type: ignore[misc]
                    rows.put(**key, perturbation=p, success=round(float(found.mean()), 4), episodes=args.episodes)
                    print(rows.data["rows"][-1])


if __name__ == "__main__":
    main()
