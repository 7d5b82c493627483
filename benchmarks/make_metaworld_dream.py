"""The dream of Metaworld's ten tasks (WARPD, Table 4), from nothing: demonstrations, world model, rewards, checkpoint.

    python benchmarks/make_metaworld_dream.py --folder FOLDER
    python benchmarks/metaworld_dream.py --checkpoint FOLDER/checkpoint

Each stage goes on where it was stopped (collecting is stopped by SIGINT, training by SIGINT or SIGTERM), and one that
is done is left alone. Who acts, by turns: the scripted experts; the same with noise; experts who stray before success
and after it; a random walk. The strays are there for the rewards: experts come to "reach" from one side and stop at the
edge of success, and a classifier that had seen them alone (94 episodes) scored F1 0.64 on it. With strays and a longer
stay it is 0.81 with 37 episodes an operator and 0.92 with 67, hence twice as many as the world model would need; a
classifier of twice the width, trained for longer, has 0.94 with the 37.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

from dreamgym.data import EpisodeStore
from dreamgym.data.collect import collect
from dreamgym.data.state_demonstrations import OPERATORS, StateDemonstrations
from dreamgym.sims.metaworld import TASKS
from dreamgym.training.recipe_mlp import finish_mlp, train_mlp

LINGER = 30  # rows after the first success


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where data, run and checkpoint are kept")
    parser.add_argument("--data", type=Path, default=None, help="the store, if not FOLDER/data")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=TASKS)
    parser.add_argument("--episodes", type=int, default=3200, help="in all; 80 of each task by each operator")
    parser.add_argument("--steps", type=int, default=12_000, help="updates of the world model")
    parser.add_argument("--hidden", nargs="*", type=int, default=(256, 256))
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    data = args.data or args.folder / "data"
    tasks = () if set(args.tasks) == set(TASKS) else tuple(args.tasks)
    who = StateDemonstrations("metaworld", tasks, OPERATORS["metaworld"], linger=LINGER)
    held = len(EpisodeStore.open(data)) if data.exists() else 0
    if held < args.episodes:
        found = collect(who, data, num_workers=args.workers, num_episodes=args.episodes, info=asdict(who))
        if found.stopped:
            raise SystemExit("collecting was stopped: run again to go on")
    size = {"hidden": tuple(args.hidden)}
    trained = train_mlp(data, args.folder / "run", steps=args.steps, tasks=tasks, eval_every=1000, model_changes=size)
    if trained.step < args.steps:
        raise SystemExit(f"training was stopped after {trained.step} updates: run again to go on")
    out = args.folder / "checkpoint"
    if out.exists():
        print(f"{out} is there already: remove it to make it again")
        return
    metrics = finish_mlp(args.folder / "run", data, out, tasks=tasks)
    rewards = {task: round(found["f1"], 3) for task, found in metrics["rewards"]["tasks"].items()}
    print(json.dumps({"open_loop": metrics["open_loop"], "reward_f1": rewards}))


if __name__ == "__main__":
    main()
