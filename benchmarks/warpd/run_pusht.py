"""PushT: horizons 16 to 128 against an adversary of growing strength (Fig. 3).

    dreamgym collect --suite pusht --operators habitual --episodes 1100 --store DATA
    python benchmarks/warpd/run_pusht.py --store STORE --runs RUNS --preset tiny

The operator "habitual" has no plans that a state does not show (`dreamgym.suites.pusht.HabitualPusher`): its tastes,
which differ from episode to episode, make the set multimodal. The data of PushT's dream, by the operator "pusher" who
does plan, do too (random walks are left out), but less can be learned from them.

Writes benchmarks/results/warpd_pusht.json: rows {method, horizon, perturbation, seed, success, spread, solved,
episodes, demonstrations, seconds, settings}. ``success`` is the paper's: the largest share of the outline that the
block covered, averaged over episodes (an episode ends once that reaches 0.9, as its demonstrations do); ``spread`` its
standard deviation over episodes; ``solved`` the share of episodes in which it reached 0.9; ``seconds`` the processor
time of training (since it last went on, where it was killed) and of running for all perturbations together. The same
episodes are run for every seed. The paper runs each of 50 episodes ten times: that is ``--episodes 50 --repeats 10``,
each with other draws of policy and adversary.

Actions are positions to go to, some 20 pixels from the disc on a table of 512. What acts on what it sees at every step
(WARPD, the perceptron) learns how far from the disc they are, which for a policy of fixed weights is a skip connection;
chunks, which are planned blindly, stay positions, as Chi et al. found best.

A method is trained once for a horizon and a seed, and all its perturbations are run side by side, in batches. The
perceptron, the random policy and a disc that stands still ("still": what the adversary and luck alone come to) have no
horizon: they are trained and run once a seed, and their rows are the same at every horizon. A row that is there is not
computed again, and a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import time
import zlib
from functools import partial

from dreamgym_agents.warpd import recipes
from dreamgym_agents.warpd.recipes import as_learned, bounds, configure, read_demonstrations
from methods import METHODS, NO_HORIZON, TRAINED_OUT, action_spec, trained, trained_out, with_rows
from options import add_policy, make_parser, settings, shrink, with_policy, with_training
from rollouts import Episode, PolicyOf, Simulators, evaluate
from rows import Rows

from dreamgym.sims.pusht import PushTEnv

HORIZONS = (16, 32, 64, 128)
PERTURBATIONS = (0, 20, 40, 60, 80, 100)
KEY = ("method", "horizon", "perturbation", "seed", "preset")
AT_ONCE = 300
VAL = 50_000  # seeds of the starts from which the length of a training is chosen


def measure(
    policy_of: PolicyOf, name: str, simulators: Simulators, args: argparse.Namespace
) -> dict[int, dict[str, float]]:
    """The figures of each perturbation, every one from the same episodes and adversaries."""
    episodes = [
        Episode(10_000 + i, perturbation=p, adversary=repeat)
        for p in args.perturbations
        for repeat in range(args.repeats)
        for i in range(args.episodes)
    ]
    found = evaluate(policy_of, episodes, simulators, zlib.crc32(name.encode()), measure="coverage")
    by_perturbation = found.reshape(len(args.perturbations), -1)
    return {
        p: {"success": round(float(x.mean()), 4), "spread": round(float(x.std()), 4),
            "solved": round(float((x >= 0.9).mean()), 4), "episodes": len(x)}
        for p, x in zip(args.perturbations, by_perturbation, strict=True)
    }  # fmt: skip


def chosen_by(simulators: Simulators, args: argparse.Namespace, policy_of: PolicyOf) -> float:
    """The share of the outline covered from starts of its own, undisturbed: by it one training is chosen."""
    episodes = [Episode(VAL + i) for i in range(args.episodes)]
    return float(evaluate(policy_of, episodes, simulators, VAL, measure="coverage").mean())


def main() -> None:
    parser = make_parser(__doc__, "warpd_pusht.json", "the store of demonstrations")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--horizons", nargs="*", type=int, default=HORIZONS)
    parser.add_argument("--perturbations", nargs="*", type=int, default=PERTURBATIONS)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1, help="of every episode; the paper's 10")
    parser.add_argument("--steps", type=int, default=300, help="of an episode at most; the suite's 300")
    add_policy(parser)
    args = parser.parse_args()
    shrink(args, horizons=[16], perturbations=[0, 100], episodes=2, steps=40)
    rows, recorded = Rows(args.out, KEY), read_demonstrations(args.store)
    positions = action_spec(PushTEnv())
    simulators = Simulators(lambda task: PushTEnv(horizon=args.steps), AT_ONCE)
    for seed in args.seeds:
        for horizon in args.horizons:
            for method in args.methods:
                key = {"method": method, "seed": seed, "preset": args.preset}
                kind = TRAINED_OUT.get(method, method)
                demos = as_learned(recorded, "pusht", kind) if kind in recipes.METHODS else recorded
                action = bounds(demos) if demos.origin else positions
                shown = args.horizons if method in NO_HORIZON else [horizon]
                length = min(HORIZONS) if method in NO_HORIZON else horizon
                config = configure("pusht", args.preset, demos, horizon=length, length=length)
                config = with_training(with_policy(config, args), args, seed, method)
                config = with_rows(config, method, max(HORIZONS))
                how = settings(config, steps=args.steps, repeats=args.repeats)
                if all(rows.has(how, **key, horizon=h, perturbation=p) for h in shown for p in args.perturbations):
                    continue
                run = args.runs / f"{method}_{args.preset}_{length}_{seed}"
                begun = time.process_time()
                # Snippets begin at every row, as plans do; beyond the end, which no episode outlives, the last repeats.
                trailed, val = demos.trailed(length - 1), {}
                make = partial(trained, method, demos=trailed, action=action, preset=args.preset)
                if method in TRAINED_OUT:
                    policy_of, val = trained_out(make, config, run, partial(chosen_by, simulators, args))
                else:
                    policy_of = make(config, run=run)
                ready = time.process_time()
                found = measure(policy_of, f"{method} {length} {seed}", simulators, args)
                took = {"train": round(ready - begun, 1), "run": round(time.process_time() - ready, 1)}
                for h in shown:
                    for p, figures in found.items():
                        told = {**figures, "demonstrations": len(demos), "seconds": took, "settings": how}
                        told |= {"val": val} if val else {}
                        rows.put(**key, horizon=h, perturbation=p, **told)
                        print(rows.data["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
