"""robosuite Lift and Can: horizons 16 and 128, without and with the adversary (Fig. 5).

    dreamgym collect --suite robosuite --tasks lift --episodes 300 --store DATA
    python benchmarks/warpd/run_robosuite.py --task lift --store STORE --runs RUNS --preset tiny

Writes benchmarks/results/warpd_robosuite.json: rows {method, task, horizon, perturbation, seed, success, episodes,
demonstrations, seconds, settings}; who plans nothing stands at horizon 0. The method "operator" is the script of
robomimic's "better" kind, which looks into the simulator: what the adversary alone takes from one who knows the way.
The paper's text gives perturbations no magnitude. Here one is in the unit of the action and of as many steps
(`RobosuiteEnv.perturb`): at 1 the arm is pushed for a step as far as it is let go in one, which moves the gripper by
some 2 cm; at 3, the largest here, for three steps. Episodes: 50 for each of three seeds, 150 in all. A row that is
there is not computed again, and a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import time
import zlib
from functools import partial

import gymnasium as gym
import numpy as np
from dreamgym_agents.warpd.recipes import configure, read_demonstrations
from methods import METHODS, NO_HORIZON, STILL, TRAINED_OUT, action_spec, trained, trained_out, with_rows
from options import add_policy, make_parser, settings, shrink, with_policy, with_training
from rollouts import Episode, PolicyOf, Simulators, evaluate
from rows import Rows

from dreamgym.sims.robosuite import ROBOTS, TASKS, RobosuiteEnv
from dreamgym.suites.robosuite.operators import Operator

COMPARED = ("warpd", "warpd_no_world_model", "diffusion_policy", "diffusion_policy_trained_out", "mlp", "random")
RELATIVE = "diffusion_policy_relative"  # actions are changes here: every chunk is relative
OPERATOR = "operator"
HORIZONS = (16, 128)
PERTURBATIONS = (0.0, 1.0, 3.0)
KEY = ("method", "task", "horizon", "perturbation", "seed", "preset")
VAL = 50_000  # seeds of the starts from which the length of a training is chosen
AT_ONCE = 6  # each takes two seconds to make and hundreds of MB


def operated(episodes: list[Episode], simulators: Simulators) -> np.ndarray:
    """Whether the scripted operator succeeds, [episodes]."""
    out = []
    for episode in episodes:
        env = simulators.of([episode])[0]
        env.reset(seed=episode.seed)
        simulator = env.unwrapped
        assert isinstance(simulator, RobosuiteEnv)
        hand, over, done = Operator(simulator, "better", np.random.default_rng(episode.seed)), False, False
        while not over:
            _, _, terminated, truncated, info = env.step(hand.act())
            over, done = terminated or truncated, done or bool(info["is_success"])
        out.append(done)
    return np.array(out, float)


def chosen_by(simulators: Simulators, args: argparse.Namespace, policy_of: PolicyOf) -> float:
    """Success undisturbed, from starts of its own: by it one training is chosen."""
    episodes = [Episode(VAL + i, args.task) for i in range(args.episodes)]
    return float(evaluate(policy_of, episodes, simulators, VAL).mean())


def main() -> None:
    parser = make_parser(__doc__, "warpd_robosuite.json", "the store of demonstrations")
    parser.add_argument("--task", choices=TASKS, default="lift")
    parser.add_argument("--robot", choices=ROBOTS, default="Panda")
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=(*(m for m in METHODS if m not in (STILL, RELATIVE)), OPERATOR),
        default=(OPERATOR, *COMPARED),
    )
    parser.add_argument("--horizons", nargs="*", type=int, default=HORIZONS)
    parser.add_argument("--perturbations", nargs="*", type=float, default=PERTURBATIONS)
    parser.add_argument("--episodes", type=int, default=50, help="for each seed: 150 of three")
    parser.add_argument("--steps", type=int, default=250, help="of an episode at most")
    add_policy(parser)
    args = parser.parse_args()
    shrink(args, horizons=[16], episodes=1, steps=5)
    rows, demos = Rows(args.out, KEY), read_demonstrations(args.store, (args.task,))

    def make_env(task: str | None) -> gym.Env:
        return RobosuiteEnv(task, args.robot, horizon=args.steps)

    simulators = Simulators(make_env, AT_ONCE)
    action = action_spec(simulators.of([Episode(0, args.task)])[0])
    for seed in args.seeds:
        first = 10_000 + seed * args.episodes  # other episodes for each seed
        for horizon in args.horizons:
            for method in args.methods:
                reactive = method in (OPERATOR, *NO_HORIZON)  # one row, at horizon 0
                key = {"method": method, "task": args.task, "seed": seed, "preset": args.preset}
                key["horizon"] = 0 if reactive else horizon
                length = min(HORIZONS) if reactive else horizon
                config = configure("robosuite", args.preset, demos, horizon=length, length=length)
                config = with_training(with_policy(config, args), args, seed, method)
                config = with_rows(config, method, max(HORIZONS))
                how = {} if method == OPERATOR else settings(config)
                how |= {"robot": args.robot, "steps": args.steps}
                missing = [p for p in args.perturbations if not rows.has(how, **key, perturbation=p)]
                if not missing:
                    continue
                begun, policy_of, val = time.process_time(), None, {}
                if method != OPERATOR:
                    arm = "" if args.robot == "Panda" else f"{args.robot}_"
                    run = args.runs / f"{method}_{args.task}_{arm}{args.preset}_{length}_{seed}"
                    make = partial(trained, method, demos=demos.trailed(length - 1), action=action, preset=args.preset)
                    if method in TRAINED_OUT:
                        policy_of, val = trained_out(make, config, run, partial(chosen_by, simulators, args))
                    else:
                        policy_of = make(config, run=run)
                ready = time.process_time()
                episodes = [Episode(first + i, args.task, p, seed) for p in missing for i in range(args.episodes)]
                draws = zlib.crc32(f"{method} {length} {seed}".encode())
                found = (
                    operated(episodes, simulators)
                    if policy_of is None
                    else evaluate(policy_of, episodes, simulators, draws)
                )
                took = {"train": round(ready - begun, 1), "run": round(time.process_time() - ready, 1)}
                for p, done in zip(missing, found.reshape(len(missing), -1), strict=True):
                    success = round(float(done.mean()), 4)
                    held = {"episodes": len(done), "demonstrations": len(demos)} | ({"val": val} if val else {})
                    rows.put(**key, perturbation=p, success=success, **held, seconds=took, settings=how)
                    print(rows.data["rows"][-1], flush=True)


if __name__ == "__main__":
    main()
