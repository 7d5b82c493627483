"""Damages checkpoints at random and looks at what `load` and a rollout make of them.

    python tests/robustness/corruption.py --rounds 1000

Each damaged checkpoint is opened, put into a dream and stepped, in a process with a limit of memory and of time. What
may happen:

    refused     a CheckpointError
    unchanged   it opens, and the rollout is the same number by number: the damage was to something that it does not use
    owner       it opens and the rollout is another, but the field is the owner's to choose (see `OWNERS`)
    changed     it opens and the rollout is another without a word: a failure
    error       another exception than CheckpointError: a failure
    died, hung  the process died, or took longer than `LIMIT` seconds: a failure
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import random
import resource
import shutil
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutations import plain, resigned
from worlds import drawn_history, make_world, worlds

from dreamgym.envs.make import make_core
from dreamgym.envs.twin import choose_simulator
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import CheckpointError, load
from dreamgym.types import InstructionSpec

LIMIT = 60.0
MEMORY = 12 * 2**30
STEPS = 4
FAILURES = ("changed", "error", "died", "hung")

OWNERS: dict[str, str] = {
    "spec/uncertainty_limit": "calibrated apart from the weights; decides where 'auto' truncates",
    "config/still*": "which entries of its observation an MLP takes for the robot's place: any choice is a model",
    "config/body*": "which entries it takes for the pushed body's: likewise",
    "probe/vectors*": "how the entries of a sensor lie, where no suite says it",
    "config/noise": "a toy's noise",
    "config/breaks_above": "where a toy stops imagining",
    "config/encoders/*/mean*": "how colours are standardised for an encoder",
    "config/encoders/*/std*": "likewise",
    "config/encoder/mean*": "likewise",
    "config/encoder/std*": "likewise",
    "config/encoders/*/image_size": "the size that images are brought to for an encoder",
    "config/encoders/*/architecture/*": "of a transformer, what shapes no tensor: heads, activations, constants",
    "config/encoder/architecture/*": "likewise",
    "config/heads": "of attention: they share one tensor however many there are",
    "config/decoder_heads": "likewise",
    "config/horizon": "frames that attention spans: likewise",
    "config/sampler_steps": "of a sample: each number is a sampler",
    "config/samples": "of a prediction, whose spread is the uncertainty",
    "config/target": "what is diffused",
    "config/causal": "which actions a frame reads",
    "config/diffusion": "whether it is",
    "config/steps": "of a preview",
    "config/guidance": "weight of the instruction",
    "config/refiner_steps": "of a refinement",
    "config/inference_degradation": "strength of the noise that a refinement begins with",
    "config/residual": "whether latents are predicted as differences",
    "config/autoencoder/groups": "of group norms: any that divides the channels",
    "config/text/length": "tokens that a sentence is padded to",
    "config/backbone/*": "rotary positions, noise schedule, scale of latents: they shape no tensor",
    "config/refiner/*": "likewise",
    "config/uncertainty_limit": "a toy's limit, as that of the spec",
}
"""Fields whose every valid value is as good as another, so that nobody can notice that it was changed, and why."""


@dataclass
class Tally:
    """Outcomes of one world and kind of damage, and what failed."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    owned: Counter[str] = field(default_factory=Counter)


def rollout(folder: Path) -> dict[str, np.ndarray]:
    """What a caller sees of a checkpoint: observations, rewards, ends, infos, decoded state, for a few steps; and what
    the model makes of real frames.
    """
    opened = load(folder)
    if opened.simulator is not None:
        choose_simulator(opened)
    limit = None if opened.spec.uncertainty_limit is None else "auto"
    action, frame = opened.spec.action, opened.spec.actions_per_frame
    actions = frame * (action.clip if isinstance(action, InstructionSpec) else 1)
    core = make_core(opened, num_envs=3, horizon=(STEPS - 1) * actions, uncertainty_limit=limit)  # ends within
    obs, info = core.reset(seed=0)
    seen = {"obs 0": obs, **{f"{k} 0": v for k, v in info.items()}}
    draws = torch.Generator().manual_seed(0)
    for t in range(1, STEPS + 1):
        obs, reward, terminated, truncated, info, _ = core.step(_action(core, draws))
        seen |= {f"obs {t}": obs, f"reward {t}": reward, f"terminated {t}": terminated, f"truncated {t}": truncated}
        seen |= {f"{k} {t}": v for k, v in info.items()}
        if opened.probe is not None:
            seen |= {f"{k} {t}": v for k, v in opened.probe(opened.model.features(core.state)).items()}
    seen["of frames"] = core.reset(options={"history": drawn_history(core.spec, 3, draws)})[0]
    flat = {f"{k} {name}": v for k, value in seen.items() for name, v in _parts(value)}
    return {k: np.array(v) for k, v in flat.items() if isinstance(v, (torch.Tensor, np.ndarray))}


def _parts(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else [("", value)]


def _action(core: Any, draws: torch.Generator) -> torch.Tensor:
    space = core.action_space
    if hasattr(space, "n"):
        return torch.randint(int(space.n), (core.num_envs,), generator=draws)
    low, high = (torch.as_tensor(bound) for bound in (space.low, space.high))
    return low + (high - low) * torch.rand(core.num_envs, *low.shape, generator=draws)


def judge(folder: Path, whole: dict[str, np.ndarray]) -> tuple[str, str]:
    """The outcome of one damaged checkpoint, and what there is to say of it."""
    try:
        seen = rollout(folder)
    except CheckpointError as error:
        return "refused", str(error)
    except Exception as error:
        return "error", f"{error!r:.300} at {traceback.extract_tb(error.__traceback__)[-1]}"
    same = seen.keys() == whole.keys() and all(np.array_equal(v, whole[k], equal_nan=True) for k, v in seen.items())
    return ("unchanged", "") if same else ("changed", "")


def _serve(pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    whole: dict[str, np.ndarray] = {}
    while True:
        kind, folder = pipe.recv()
        if kind == "whole":
            whole = rollout(folder)
            pipe.send(("unchanged", ""))
        else:
            pipe.send(judge(folder, whole))


class Judge:
    """`judge` in a process of its own, which is begun again whenever it dies or hangs."""

    def __init__(self) -> None:
        self.whole: Path | None = None
        self._begin()

    def compare_with(self, whole: Path) -> None:
        """What damaged checkpoints are compared with from now on."""
        self.whole = whole
        self.pipe.send(("whole", whole))
        self.pipe.recv()

    def _begin(self) -> None:
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        if self.whole is not None:
            self.compare_with(self.whole)

    def __call__(self, folder: Path) -> tuple[str, str]:
        self.pipe.send(("damaged", folder))
        try:
            if self.pipe.poll(LIMIT):
                outcome: tuple[str, str] = self.pipe.recv()
                return outcome
            found = "hung", f"no answer in {LIMIT:.0f} s"
        except EOFError:
            found = "died", "the process ended"
        self.close()
        self._begin()
        return found

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()


def attack(
    judged: Judge, world: str, kind: str, rounds: int, seed: int, scratch: Path, keep: Path | None = None
) -> Tally:
    """Damages one world's checkpoint ``rounds`` times; failures name seed, round and field.

    Args:
        judged: who opens them.
        world: one of `worlds()`.
        kind: "plain" or "resigned".
        rounds: how often.
        seed: of the damage; round r of it is always the same.
        scratch: an empty folder.
        keep: where checkpoints that failed are kept.
    """
    whole, other = make_world(world, scratch / "whole"), make_world("toy point_mass", scratch / "other")
    damage, tally = {"plain": plain, "resigned": resigned}[kind], Tally()
    judged.compare_with(whole)
    for i in range(rounds):
        folder = scratch / "damaged"
        shutil.copytree(whole, folder)
        what = damage(folder, random.Random(zlib.crc32(f"{world} {kind} {seed} {i}".encode())), other)
        outcome, said = judged(folder)
        if outcome == "changed" and any(fnmatch(what, pattern) for pattern in OWNERS):
            outcome = "owner"
            tally.owned[what] += 1
        tally.counts[outcome] += 1
        if outcome in FAILURES:
            tally.failures.append(f"{world}, {kind}, seed {seed}, round {i}: {what}: {outcome} {said}")
            if keep is not None:
                shutil.copytree(folder, keep / f"{world} {kind} {seed} {i}".replace(" ", "_"), dirs_exist_ok=True)
        shutil.rmtree(folder)
    return tally


def main() -> None:
    """Prints a table, and every failure; exits 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="of each kind for each world")
    parser.add_argument("--worlds", nargs="*", default=worlds(), help=f"some of {worlds()}")
    parser.add_argument("--kinds", nargs="*", default=["plain", "resigned"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where checkpoints that failed are kept")
    parser.add_argument("--json", type=Path, help="where to write the figures, behind those that are there")
    args = parser.parse_args()
    table, failed = {}, False
    before = json.loads(args.json.read_text())["series"] if args.json is not None and args.json.exists() else []
    judged = Judge()
    for world in args.worlds:
        for kind in args.kinds:
            with tempfile.TemporaryDirectory() as scratch:
                tally = attack(judged, world, kind, args.rounds, args.seed, Path(scratch), args.keep)
            table[f"{world}, {kind}"] = dict(tally.counts)
            print(f"{world:<24} {kind:<9} {dict(sorted(tally.counts.items()))} {dict(tally.owned)}", flush=True)
            for line in tally.failures:
                print(f"  {line}", flush=True)
            failed = failed or bool(tally.failures)
            if args.json is not None:
                own = {**provenance(), "rounds": args.rounds, "seed": args.seed, "outcomes": table}
                args.json.write_text(json.dumps({"series": [*before, own]}, indent=1) + "\n")
    judged.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
