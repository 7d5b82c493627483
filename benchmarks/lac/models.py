"""The world models of LAC-WM's experiments: pretrained on some robots, then adapted to the one that is held out.

    python benchmarks/lac/models.py --work WORK --stores STORES                     # all of them, seed by seed
    python benchmarks/lac/models.py --work WORK --stores STORES --models LAC EAC EAC-S --seeds 0

STORES holds a store for each robot (``dreamgym collect --suite robosuite_arms --robot NAME --store STORES/NAME``); WORK
takes stores and runs. What is done is not done again, and a killed run goes on where it was. The other programs of this
folder (`imagined_rollouts.py`, `selection.py`, `probe.py`) read WORK and keep what they find in WORK/rows, one file a
row; `results.py` gathers the rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from dreamgym_agents.common.settings import weights_id

from dreamgym.data import EpisodeStore, join
from dreamgym.provenance import provenance
from dreamgym.sims.robosuite_arms.embodiments import HELD_OUT
from dreamgym.training.adapt import adapt
from dreamgym.training.fit import FitResult
from dreamgym.training.progress import latest, read_state
from dreamgym.training.stop import Stopped
from dreamgym.training.train import load_run, train
from dreamgym.world_models.families.latent_action import LatentActionModel

ROBOTS = ("panda_joints", "ur5e_pose", "kinova3_position")
"""To pretrain on, in the order in which they are added (Fig. 4)."""
KEYS = ("rgb_static", "state", "action", "snapshot")
WHICH = ("work", "stores", "rows", "models", "seeds", "splits", "baselines", "networks", "picture")
"""Options that say what is done and where it is kept, not how."""
VAL_EVERY = 10
"""Every tenth episode is held out."""


@dataclass(frozen=True)
class Variant:
    """How a world model comes to be.

    Attributes:
        front: "latent" (LAC-WM) or "explicit" (EAC-WM).
        robots: how many of `ROBOTS` it is pretrained on; 0: from scratch on the held-out one.
        share: of each robot's episodes.
        order: stages of adaptation; None: the family's own.
        changes: fields of the family's config.
        adapted: whether it is adapted at all.
    """

    front: str = "latent"
    robots: int = 3
    share: float = 1.0
    order: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    adapted: bool = True

    @property
    def pretraining(self) -> str:
        """Names what several variants may share."""
        parts = [self.front, str(self.robots), f"{self.share:g}", *(f"no_{key}" for key in self.changes)]
        return "_".join(parts)


VARIANTS = {
    "LAC": Variant(),
    "EAC": Variant("explicit"),
    "EAC-S": Variant("explicit", 0),
    "LAC-2": Variant(robots=2),
    "EAC-2": Variant("explicit", 2),
    "LAC-1": Variant(robots=1),
    "EAC-1": Variant("explicit", 1),
    "LAC-MD": Variant(changes={"motion": None}, adapted=False),
    "LAC-MD-CA": Variant(changes={"motion": None, "augment": 0}),
    "LAC-DFT": Variant(order="dft"),
    "LAC-(2,3)": Variant(order="23"),
    "LAC-(1,2)": Variant(order="12"),
    "EAC-TFT": Variant("explicit", order="tft"),
    "LAC-2-half": Variant(robots=2, share=0.5),
    "EAC-2-half": Variant("explicit", 2, 0.5),
}
"""In the order in which they are trained, so that early ones make a table: Tables 1 and 2, Fig. 4, Fig. 2, Table 3,
Table 5 and Fig. 5 (there "1" and "2-half" have seen as much as each other, and "2" twice as much)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every program of this folder is told."""
    parser.add_argument("--work", type=Path, required=True, help="stores, runs and rows live here")
    parser.add_argument("--stores", type=Path, required=True, help="folder of stores")
    parser.add_argument("--models", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-steps", type=int, default=3000, help="updates of pretraining")
    parser.add_argument("--adapt-steps", type=int, default=1500, help="updates of adaptation")
    parser.add_argument("--batch-size", type=int, default=24, help="windows of an update; of adaptation, half of them")
    parser.add_argument("--rows", default="rows", help="folder of WORK for the rows; another one for other settings")
    parser.add_argument("--set", nargs="*", default=[], help="fields of the family's config as FIELD=JSON")


class Models:
    """Trains the world models, and opens them.

    Args:
        options: of `add_options`.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.work = options, Path(options.work)
        self.changes = {k: json.loads(v) for k, _, v in (word.partition("=") for word in options.set)}

    def store(self, robot: str, share: float = 1.0) -> Path:
        """The episodes of a robot, the first ``share`` of them, every tenth held out."""
        out = self.work / "stores" / f"{robot}_{share:g}"

        def make(part: Path) -> None:
            source = EpisodeStore.open(self.options.stores / robot)
            store = EpisodeStore.create(part, {key: source.keys[key] for key in KEYS}, source.info)
            for i in range(round(share * len(source))):
                split = "val" if i % VAL_EVERY == VAL_EVERY - 1 else "train"
                store.append([(source.episode(i, KEYS), {**source.metas[i], "split": split})])

        return _made(out, make)

    def joined(self, variant: Variant) -> Path:
        """The store that a variant is pretrained on."""
        parts = [self.store(robot, variant.share) for robot in ROBOTS[: variant.robots]]
        if len(parts) == 1:
            return parts[0]
        return _made(self.work / "stores" / f"{variant.robots}_{variant.share:g}", lambda out: join(parts, out))

    def pretrained(self, name: str, seed: int) -> Path:
        """The run of a variant's pretraining, done."""
        variant, steps = VARIANTS[name], self.options.pretrain_steps
        changes = {"front": variant.front, **self.changes, **variant.changes}
        settings = {"seed": seed, "batch_size": self.options.batch_size, "eval_every": 0}
        run = self.work / "runs" / f"{variant.pretraining}_{seed}"
        store = self.joined(variant)
        return _done(
            run, steps, lambda: train(store, run, "latent_action", "tiny", changes=changes, steps=steps, **settings)
        )

    def adapt_steps(self, variant: Variant) -> int:
        """Updates on the held-out robot; from scratch as many as the others have in all."""
        return int(self.options.adapt_steps + (0 if variant.robots else self.options.pretrain_steps))

    def adapted(self, name: str, seed: int) -> Path:
        """The run of a variant's adaptation, done."""
        variant, store = VARIANTS[name], self.store(HELD_OUT)
        steps = self.adapt_steps(variant)
        run = self.work / "runs" / f"{name}_{seed}"
        settings = {"seed": seed, "batch_size": max(1, self.options.batch_size // 2), "eval_every": 0}
        if variant.robots:
            source = self.pretrained(name, seed)
            return _done(run, steps, lambda: adapt(source, store, run, None, variant.order, steps, **settings))
        settings["batch_size"] = self.options.batch_size
        changes = {"front": variant.front, **self.changes}
        return _done(
            run, steps, lambda: train(store, run, "latent_action", "tiny", changes=changes, steps=steps, **settings)
        )

    def opened(self, name: str, seed: int, pretrained: bool = False) -> LatentActionModel:
        """The trained model, adapted or only pretrained.

        Raises:
            ValueError: it is not trained yet.
        """
        variant, options = VARIANTS[name], self.options
        run = self.work / "runs" / (f"{variant.pretraining}_{seed}" if pretrained else f"{name}_{seed}")
        needed = options.pretrain_steps if pretrained else self.adapt_steps(variant)
        if updates(run) < needed:
            raise ValueError(f"{run} has {updates(run)} of {needed} updates: run benchmarks/lac/models.py first")
        model = load_run(run)
        assert isinstance(model, LatentActionModel)
        return model

    def row(self, kind: str, make: Callable[[], dict[str, Any]], **key: Any) -> dict[str, Any]:
        """A row of results, made unless its file is there.

        Raises:
            ValueError: it is there and was made with other settings.
        """
        file = self.work / self.options.rows / f"{'.'.join([kind, *map(str, key.values())])}.json"
        if not file.is_file():
            made = {**key, **make(), "settings": self.settings()}
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(json.dumps(made) + "\n")
            part.replace(file)
            print(kind, {k: v for k, v in made.items() if isinstance(v, int | float | str)}, flush=True)
        row: dict[str, Any] = json.loads(file.read_text())
        if row["settings"] != self.settings():
            raise ValueError(f"{file} was made with {row['settings']}, not {self.settings()}: give other --rows")
        return row

    def settings(self) -> dict[str, Any]:
        """How rows are made: what may not differ within a table."""
        return {k: v for k, v in vars(self.options).items() if k not in WHICH}


def told(model: LatentActionModel) -> dict[str, Any]:
    """Where a row comes from."""
    return provenance({"model": weights_id(model)})


def updates(run: Path) -> int:
    """Updates that a run has had."""
    progress = latest(run) if run.is_dir() else None
    return 0 if progress is None else int(read_state(progress)["step"])


def _done(run: Path, steps: int, work: Callable[[], FitResult]) -> Path:
    if updates(run) < steps:
        result = work()
        if result.stopped is not None:
            raise Stopped(f"{run}: stopped after {result.step} updates, which are kept", result.stopped)
    return run


def _made(out: Path, make: Callable[[Path], Any]) -> Path:
    """A folder that is there whole or not at all."""
    if not out.is_dir():
        part = out.with_name(out.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        make(part)
        part.replace(out)
    return out


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args(args)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(1)
    models = Models(options)
    try:
        for seed in options.seeds:
            for name in options.models:
                (models.adapted if VARIANTS[name].adapted else models.pretrained)(name, seed)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
