"""PushT: horizons 16 to 128 against an adversary of growing strength (Fig. 3).

    python -m dreamgym.data.state_demonstrations --suite pusht --episodes 200 --out DATA
    python benchmarks/warpd/run_pusht.py --data DATA --runs RUNS --preset tiny

Writes benchmarks/results/warpd_pusht.json: rows {method, horizon, perturbation, seed, success, solved, episodes}.
``success`` is the paper's: the largest share of the outline that the block covered, averaged over episodes; ``solved``
the share of episodes in which that reached 0.9. A row that is there is not computed again, and a run that was killed
goes on.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

from methods import METHODS, PRESETS, action_spec, configure, evaluate, read_demonstrations, trained
from rows import RESULTS, Rows

from dreamgym.sims.perturbed import PROBABILITY, perturbed
from dreamgym.sims.pusht import PushTEnv

HORIZONS = (16, 32, 64, 128)
PERTURBATIONS = (0, 20, 40, 60, 80, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the store of demonstrations")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--horizons", nargs="*", type=int, default=HORIZONS)
    parser.add_argument("--perturbations", nargs="*", type=int, default=PERTURBATIONS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--vae-epochs", type=int, default=None)
    parser.add_argument("--diffusion-epochs", type=int, default=None)
    parser.add_argument("--out", type=Path, default=RESULTS / "warpd_pusht.json")
    args = parser.parse_args()
    rows = Rows(args.out, ("method", "horizon", "perturbation", "seed", "preset"))
    demos = read_demonstrations(args.data)
    for seed in args.seeds:
        for horizon in args.horizons:
            for method in args.methods:
                key = {"method": method, "horizon": horizon, "seed": seed, "preset": args.preset}
                missing = [p for p in args.perturbations if not rows.has(**key, perturbation=p)]
                if not missing:
                    continue
                config = configure("pusht", args.preset, demos, horizon=horizon, length=horizon)
                epochs = {"vae_epochs": args.vae_epochs, "diffusion_epochs": args.diffusion_epochs}
                changes = {k: v for k, v in epochs.items() if v is not None}
                config = replace(config, train=replace(config.train, seed=seed, **changes))
                # Snippets near an episode's end need rows after it: the pusher has arrived and stays.
                run = args.runs / f"{method}_{args.preset}_{horizon}_{seed}"
                action = action_spec(PushTEnv())
                policy = trained(method, config, demos.padded(horizon), action, args.preset, run)(None)
                for p in missing:
                    draws = zlib.crc32(f"{method} {horizon} {p} {seed}".encode())
                    found = evaluate(
                        policy, lambda p=p: perturbed(PushTEnv(), p, PROBABILITY, 0), args.episodes, draws,
                        measure="coverage",
                    )  # fmt: skip
                    rows.put(**key, perturbation=p, success=round(float(found.mean()), 4),
                             solved=round(float((found >= 0.9).mean()), 4), episodes=args.episodes)  # fmt: skip
                    print(rows.data["rows"][-1])


if __name__ == "__main__":
    main()
