"""How many source files a step of a dream and a training run cross: how far a reader must follow them.

    python benchmarks/files_crossed.py --before PATH_OF_ANOTHER_CHECKOUT --out benchmarks/results/files_crossed.json

Traced with ``sys.settrace``: a file counts when one of its functions runs; what importing a module executes does not.
Only files of ``dreamgym`` count. These are traced in each tree:

    quiet_step     a step of Dream-PlayTable-v0 through `gymnasium.make_vec` (numpy, 16 envs) at which no env ends
    ending_step    one at which some envs end and begin anew
    plain_step     the same without `dreamgym.envs.core.fast`, where the tree has that switch
    training_run   ``dreamgym fit`` of an RSSM on vectors: 2 updates on a store of 4 episodes, from the command line to
                   the last save
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRACED = ("quiet_step", "ending_step", "plain_step", "training_run")
STATE = {"robot_obs": 15, "scene_obs": 24, "action": 7}


def crossed(package: Path, work: Callable[[], Any]) -> dict[str, list[str]]:
    """The functions of ``package`` that ``work`` runs, by file."""
    found: dict[str, set[str]] = {}

    def trace(frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        # Bodies of modules and classes run when they are imported.
        if event == "call" and code.co_filename.startswith(f"{package}/") and code.co_flags & 2:
            found.setdefault(code.co_filename.removeprefix(f"{package}/"), set()).add(code.co_qualname)

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    return {name: sorted(functions) for name, functions in sorted(found.items())}


def trace_steps(package: Path, **options: Any) -> dict[str, dict[str, list[str]]]:
    import gymnasium as gym
    import torch

    import dreamgym  # noqa: F401 - registers the ids

    torch.set_num_threads(1)
    envs = gym.make_vec("Dream-PlayTable-v0", num_envs=16, **options)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    out: dict[str, dict[str, list[str]]] = {}
    for _ in range(200):
        action = envs.action_space.sample()
        last: list[Any] = []
        files = crossed(package, lambda a=action, kept=last: kept.append(envs.step(a)))  # type: ignore[misc]
        ended = bool((last[0][2] | last[0][3]).any())
        # Later steps of a kind replace earlier ones: what is made once and kept has been made.
        out["ending_step" if ended else "quiet_step"] = files
    return out


def trace_training(package: Path, folder: Path) -> dict[str, list[str]]:
    import numpy as np

    from dreamgym.cli import main
    from dreamgym.data import EpisodeStore

    rng = np.random.default_rng(0)
    store = EpisodeStore.create(folder / "store", {k: ((n,), "float32") for k, n in STATE.items()})
    rows = [{k: rng.uniform(-1, 1, (40, n)).astype(np.float32) for k, n in STATE.items()} for _ in range(4)]
    store.append([(each, {"split": "train" if i < 3 else "val"}) for i, each in enumerate(rows)])
    own = (package / "world_models" / "recipe.py").exists()
    variant = ["--family", "rssm", "--set", "variant=state"] if own else ["--variant", "state"]
    words = ["fit", "--store", str(store.path), "--run", str(folder / "run"), *variant]
    words += ["--steps", "2", "--batch-size", "2", "--length", "8"]

    def work() -> None:
        with suppress(SystemExit):
            main(words)

    return crossed(package, work)


def measure(tree: Path) -> dict[str, Any]:
    """Runs this file on another checkout, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'agents'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--tree", str(tree)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    files: dict[str, dict[str, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    git = ["git", "-C", str(tree), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    return {
        "commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "files": {name: len(files[name]) for name in TRACED if name in files},
        "functions": {name: sum(len(f) for f in files[name].values()) for name in TRACED if name in files},
        "crossed": {name: files[name] for name in TRACED if name in files},
    }


def child(tree: Path) -> None:
    package = tree / "dreamgym"
    with tempfile.TemporaryDirectory() as folder:
        result = {**trace_steps(package), "training_run": trace_training(package, Path(folder))}
    if (package / "envs" / "core" / "fast.py").exists():
        result["plain_step"] = trace_steps(package, fast=False)["ending_step"]
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--out", type=Path, help="JSON file")
    parser.add_argument("--tree", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tree is not None:
        child(args.tree)
        return
    results = {"now": measure(ROOT)} if args.before is None else {"before": measure(args.before), "now": measure(ROOT)}
    for name in TRACED:
        told = {k: f"{v['files'][name]} files" for k, v in results.items() if name in v["files"]}
        print(name, told)
    if args.out is not None:
        args.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
