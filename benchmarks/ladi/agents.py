"""Any agent in any dream: imagined and real success of policies that were trained in dreams of several families.

    dreamgym refinement train --store demos --checkpoint dreams/latent --tasks open_drawer --out policies/refinement
    dreamgym diffusion-ppo clone --store demos --task open_drawer --checkpoint dreams/latent --out ...
    dreamgym warpd train --store demos --task open_drawer --checkpoint ... --out ...
    python benchmarks/ladi/agents.py --work WORK --dreams latent=dreams/latent rssm=playtable \
        --policies refinement:latent:0=policies/refinement diffusion-ppo:rssm:0=policies/tuned ...

Writes rows {agent, dream, task, seed, imagined, real, episodes, ...} into benchmarks/results/ladi_agents.json, one for
each task of each policy; a policy is given as AGENT:DREAM:SEED=FOLDER. All begin from the same test starts: dreams
whose start banks have other snapshots than the first one's are refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from experiment import write

from dreamgym.envs.make import choose_reward
from dreamgym.evaluation.policies.batch import evaluate_all
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import interval
from dreamgym.training.checkpoint import Checkpoint, load

RESULTS = Path(__file__).parents[1] / "results" / "ladi_agents.json"


class Entry(NamedTuple):
    """A policy of the table."""

    agent: str
    dream: str
    seed: int
    folder: str


def entry(word: str) -> Entry:
    """The word "AGENT:DREAM:SEED=FOLDER"."""
    name, sign, folder = word.partition("=")
    parts = name.split(":")
    if not sign or len(parts) != 3 or not parts[2].isdigit():
        raise argparse.ArgumentTypeError(f"expected AGENT:DREAM:SEED=FOLDER, got {word!r}")
    return Entry(parts[0], parts[1], int(parts[2]), folder)


def check_starts(dreams: dict[str, Checkpoint]) -> None:
    """Refuses dreams whose starts differ: their rows could not be compared.

    Raises:
        ValueError: they do.
    """
    names = list(dreams)
    banks = [{k: np.asarray(dreams[n].starts[k]) for k in ("snapshot", "split")} for n in names]
    for name, bank in zip(names[1:], banks[1:], strict=True):
        if not all(np.array_equal(bank[k], banks[0][k]) for k in bank):
            raise ValueError(
                f"{name} and {names[0]} begin elsewhere: finish both from the same stores, with the same seed and bank"
            )


def rows_of(found: Evaluation, what: Entry) -> list[dict[str, Any]]:
    """A row a task."""
    assert found.dream is not None and found.twin is not None
    rows = []
    for number in np.unique(found.twin.task):
        real, dream = (side.select(side.task == number) for side in (found.twin, found.dream))
        row: dict[str, Any] = {"agent": what.agent, "dream": what.dream, "task": found.tasks[number], "seed": what.seed}
        row |= {"imagined": dream.rate, "real": real.rate, "episodes": len(real), "interval_95": list(interval(real))}
        row |= {"agree": float((real.success == dream.success).mean()), "starts": real.row.tolist()}
        row |= {"outcomes": "".join(str(int(x)) for x in real.success), "training": found.training}
        rows.append({**row, "split": found.config.split, **found.provenance})
    return rows


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="evaluations live here")
    parser.add_argument("--dreams", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--policies", nargs="+", type=entry, required=True, metavar="AGENT:DREAM:SEED=FOLDER")
    parser.add_argument("--tasks", nargs="+", help="of policies that do not say theirs; else all")
    parser.add_argument("--episodes", type=int, default=50, help="of a policy")
    parser.add_argument("--horizon", type=int, help="the suite's by default")
    parser.add_argument("--simulators", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> None:
    """Evaluates every policy that was not yet, and writes the rows."""
    options = parse(args)
    torch.set_num_threads(1)
    folders = dict(word.partition("=")[::2] for word in options.dreams)
    dreams = {name: load(folder) for name, folder in folders.items()}
    check_starts(dreams)
    config = EvaluationConfig(
        episodes=options.episodes, split="test", horizon=options.horizon, simulators=options.simulators
    )
    rows: list[dict[str, Any]] = []
    for what in options.policies:
        if what.dream not in dreams:
            raise ValueError(f"{what.agent}: no dream {what.dream!r} among {list(dreams)}")
        known = choose_reward(dreams[what.dream], None).tasks
        tasks = [t for t in options.tasks or () if t in known] or None
        out = options.work / f"{what.agent}_{what.dream}_{what.seed}"
        for found in evaluate_all([what.folder], folders[what.dream], tasks, config, out=out):
            rows += rows_of(found, what)
        write(options.out, {"rows": rows}, indent=1)
        print({k: v for k, v in rows[-1].items() if k in ("agent", "dream", "task", "imagined", "real")}, flush=True)


if __name__ == "__main__":
    main()
