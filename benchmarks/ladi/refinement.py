"""LaDi-WM's refinement on any dream: how often, from how many demonstrations, and what does as well without a world
model (Tables 4 and 8, supplement Table 1).

    python benchmarks/ladi/refinement.py --work WORK --store data/operators --world dreams/latent
    python benchmarks/ladi/refinement.py ... --num-demonstrations 10 20 30 --seeds 0 1 2 --parts refinements repeats
    python benchmarks/ladi/refinement.py --work GOAL --store data/goal_demos --world dreams/libero \
        --horizon 300 --out benchmarks/results/ladi_refinement_libero.json

Writes rows {refinements, demonstrations, control, task, seed, success, episodes, repeat, imagined, ...} into
benchmarks/results/ladi_refinement.json; see `experiment.py` for what is chosen on val and reported on test. Parts, in
the order in which they are measured:

- kinds: what the imagined frames are in training ("own": the world model's of the policy's own first decision,
  "recorded": of the demonstrated actions, "future": the demonstration's own future), 0, 1 and 2 refinements each. The
  one with the most successes from val starts at two refinements (WORK/val/kinds.json) is kept for all else.
- refinements: 0 to 4.
- controls: "copy" (the present frame in place of the imagined ones), "own_action" (a second pass that sees its own
  first decision, without imagination: equal passes of the policy), "mean" (the mean of as many samples as refinement
  would take), "true_future" (the simulator's own future, by a policy that was trained on recorded ones). ``imagined``
  of a control's row is what its policy was trained with.
- repeats: evaluations of the same policies with other noise, from the same starts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from dreamgym_agents.refinement import refine
from experiment import CONTROLS, TRAINED_ON, Bench, Training, averaged, gather, make_parser, write

from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.training.stop import Stopped

PARTS = ("kinds", "refinements", "controls", "repeats")
KINDS = ("own", "recorded", "future")
JUDGED_AT = 2
"""Refinements at which kinds of imagined frames are compared: the paper's choice."""


@dataclass(frozen=True)
class Cell:
    """What is measured at once."""

    training: Training
    times: int
    control: str | None = None
    repeat: int = 0

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.control or 'world_model'}.{self.training.key}.{self.times}.{self.repeat}"

    def measured(self, bench: Bench) -> tuple[Episodes, Mapping[str, Any]]:
        """Its episodes and what its rows say."""
        policy = bench.trained(self.training, bench.updates(self.training)[0])
        times, used = self.times, policy
        if self.control == "mean":
            times, used = 0, averaged(policy, self.times + 1)
        found = bench.episodes(refine(used, times=times), "test", bench.options.episodes, self.repeat, self.control)
        about = {"refinements": self.times, "control": self.control, "repeat": self.repeat}
        return found, {**bench.about(self.training, policy), **about}


def kept_kind(bench: Bench) -> str:
    """What the imagined frames are in training, as success from val starts has it; measured once a work folder."""
    file, first = bench.work / "val" / "kinds.json", bench.options.num_demonstrations[0]
    if not file.is_file():
        found = {}
        for kind in bench.options.kinds:
            training = Training(first, bench.options.seeds[0], kind)
            found[kind] = bench.val(bench.trained(training, bench.updates(training)[0]), JUDGED_AT)
        write(file, found)
    rates: dict[str, float] = json.loads(file.read_text())
    return max(rates, key=lambda kind: rates[kind])


def wanted(bench: Bench, part: str) -> list[Cell]:
    """The cells of a part, in the order in which they are measured."""
    options = bench.options
    first, seeds = options.num_demonstrations[0], options.seeds
    if part == "kinds":
        return [
            Cell(Training(first, seeds[0], kind), times) for kind in options.kinds for times in range(JUDGED_AT + 1)
        ]
    kind = kept_kind(bench)
    groups = [Training(n, seed, kind) for n in options.num_demonstrations for seed in seeds]
    if part == "refinements":
        return [Cell(training, times) for training in groups for times in options.refinements]
    if part == "repeats":
        own = [training for training in groups if training.seed == seeds[0]]
        return [
            Cell(t, times, repeat=i) for t in own for times in options.refinements for i in range(1, options.repeats)
        ]
    times = [n for n in options.refinements if n][:JUDGED_AT]
    return [
        Cell(controlled(control, training), n, control)
        for training in groups
        if training.demonstrations == first
        for control in options.controls
        for n in times
    ]


def controlled(control: str, training: Training) -> Training:
    """The policy of a control, where the usual one is ``training``."""
    if control in TRAINED_ON:
        return training._replace(imagined="own", shown=control)
    return training._replace(imagined="future") if control == "true_future" else training


def parse(args: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__, "ladi_refinement")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--refinements", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--controls", nargs="+", default=list(CONTROLS), choices=CONTROLS)
    parser.add_argument("--repeats", type=int, default=10, help="evaluations of each, the first included")
    return parser.parse_args(args)


def main(args: Sequence[str] | None = None) -> int:
    """Measures the cells that are not there yet."""
    options = parse(args)
    torch.set_num_threads(1)
    bench = Bench.open(options, options.world, options.work)
    try:
        for part in options.parts:
            for cell in wanted(bench, part):
                bench.cell(cell.name, lambda: cell.measured(bench))  # noqa: B023 - called at once
                gather([options.work], options.out)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    finally:
        bench.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
