"""What one refinement is worth with other imaginations: LaDi-WM's Tables 3, 9, 10, 11 and Figure 3.

    python benchmarks/ladi/ablations.py --work WORK --store data/operators --world dreams/latent
    python benchmarks/ladi/ablations.py ... --worlds without_diffusion=dreams/plain without_siglip=dreams/dino \
        without_interaction=dreams/joined pixels=dreams/pixels --scaled 10=dreams/play10 50=dreams/play50

Writes rows {ablation, value, refinements, demonstrations, task, seed, success, episodes, ...} into
benchmarks/results/ladi_ablations.json; see `experiment.py` for what is chosen on val and reported on test. One
refinement, as in the paper's tables, but where ``--times`` says otherwise; ``--world`` is the whole model.

- frames: of a chunk and so imagined ones. More than the world model's own chunk are imagined chunk after chunk.
- states: entries of the suite's proprioception that the policy reads (``--states none= hand=0,1,2,3,4,5,6
  joints=7,8,9,10,11,12,13`` on CALVIN's tables), by their name.
- denoising: steps of the policy's decision; no other policy is trained.
- world_model: another one, by the name that ``--worlds`` gives it ("whole" is that of ``--world``); its policies, which
  read its features, are trained in ``WORK/NAME``. How it was made is said by its own card.
- data: the same, of world models from less data; the value is a number that says how much (``--scaled``).
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.refinement import GuidedPolicy, refine
from experiment import Bench, Training, gather, make_parser

from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.training.stop import Stopped

PARTS = ("frames", "denoising", "states", "world_model", "data")


@dataclass(frozen=True)
class Cell:
    """What is measured at once.

    Attributes:
        ablation: one of `PARTS`.
        value: what it is set to.
        training: of the policy.
        times: refinements.
    """

    ablation: str
    value: int | str
    training: Training
    times: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.ablation}_{self.value}.{self.training.key}.{self.times}"

    def measured(self, bench: Bench) -> tuple[Episodes, Mapping[str, Any]]:
        """Its episodes and what its rows say."""
        policy = bench.trained(self.training, bench.updates(self.training)[0])
        used = denoised(policy, int(self.value)) if self.ablation == "denoising" else policy
        found = bench.episodes(refine(used, times=self.times), "test", bench.options.episodes)
        about = {"ablation": self.ablation, "value": self.value, "refinements": self.times}
        return found, {**bench.about(self.training, policy), **about}


def denoised(policy: GuidedPolicy, steps: int) -> GuidedPolicy:
    """A view of a policy that decides in so many denoising steps."""
    view = copy.copy(policy)
    view.__dict__ = {**policy.__dict__, "config": replace(policy.config, denoising_steps=steps)}
    return view


def cells(options: argparse.Namespace, part: str, values: Sequence[int | str]) -> Iterator[Cell]:
    """Of a part, all seeds of a value before the next."""
    for value in values:
        for seed in options.seeds:
            frames = int(value) if part == "frames" else 6
            body = dict(options.states)[str(value)] if part == "states" else ()
            training = Training(options.num_demonstrations[0], seed, options.imagined, frames=frames, body=body)
            yield Cell(part, value, training, options.times)


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__, "ladi_ablations")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--imagined", default="own", choices=["own", "recorded", "future"], help="frames in training")
    parser.add_argument("--times", type=int, default=1, help="refinements")
    parser.add_argument("--frames", nargs="+", type=int, default=[1, 2, 4, 6, 8])
    parser.add_argument("--denoising", nargs="+", type=int, default=[1, 2, 5, 10, 30])
    parser.add_argument("--states", nargs="*", type=entries, default=[], metavar="NAME=0,1,2")
    parser.add_argument("--worlds", nargs="*", type=named, default=[], metavar="NAME=FOLDER")
    parser.add_argument("--scaled", nargs="*", type=named, default=[], metavar="NUMBER=FOLDER")
    return parser.parse_args(args)


def named(word: str) -> tuple[str, str]:
    """The word "plain=dreams/plain" as its two sides."""
    name, sign, folder = word.partition("=")
    if not (name and sign and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, got {word!r}")
    return name, folder


def entries(word: str) -> tuple[str, tuple[int, ...]]:
    """The word "joints=7,8,9" as its name and numbers; "none=" has none."""
    name, sign, numbers = word.partition("=")
    if not (name and sign and all(n.isdigit() for n in numbers.split(",") if numbers)):
        raise argparse.ArgumentTypeError(f"expected NAME=0,1,2, got {word!r}")
    return name, tuple(int(n) for n in numbers.split(",") if numbers)


def main(args: Sequence[str] | None = None) -> int:
    """Measures the cells that are not there yet."""
    options = parse(args)
    torch.set_num_threads(1)
    own = [(options.world, options.work, part, list(getattr(options, part))) for part in ("frames", "denoising")]
    other: list[tuple[str, Path, str, list[int | str]]] = [
        (folder, options.work / name, part, [name])
        for part, worlds in (("world_model", options.worlds), ("data", options.scaled))
        for name, folder in worlds
    ]
    own.append((options.world, options.work, "states", [name for name, _ in options.states]))
    whole = [(options.world, options.work, "world_model", ["whole"])] if options.worlds else []
    folders = [options.work]
    try:
        for world, work, part, values in [*own, *whole, *other]:
            if part not in options.parts:
                continue
            bench = Bench.open(options, world, work)
            folders = list(dict.fromkeys([*folders, work]))
            try:
                for cell in cells(options, part, values):
                    bench.cell(cell.name, lambda: cell.measured(bench))  # noqa: B023 - called at once
                    gather(folders, options.out)
            finally:
                bench.close()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
