"""What fine-tuning in the dream adds to a clone that has converged: one experiment, row by row, with its controls.

    python benchmarks/converged_clones.py --work WORK --store data/operators --world playtable
    python benchmarks/converged_clones.py --work WORK --store ... --world playtable --variants gaussian more
    python benchmarks/converged_clones.py --work OTHER --store ... --world FOLDER --variants plain_reward
    python benchmarks/converged_clones_page.py WORK OTHER       # result file and table

A row is a task, a number of demonstrations, a seed and a variant; each is a file in ``WORK/rows``. What is done is not
done again, and a killed row goes on where it was. The order is that of ``GROUPS``, so that early rows make a table.

1. Seed s clones from demonstrations s n to (s + 1) n of the task: other data, not only another beginning.
2. It clones for 400 epochs, then anew for 1,600, then for 6,400, until success from val starts in the simulator no
   longer rises; the best of them is the clone. So the clone, and not the dream, has the benefit of the simulator.
3. Fine-tuning begins from exactly that clone. The tuned policy is the saved one of the highest *imagined* return from
   training starts: no simulator step chooses it.
4. Both act from the same test starts, one a scene, in dream and simulator. No figure of the table chose anything.

``dream_steps`` and ``sim_steps`` are those of fine-tuning, ``chosen_sim_steps`` those that chose the epochs, and
``world_sim_steps`` those of the data that world model and reward learned from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diwa import BC_WEIGHT
from dreamgym_agents.common.encoded import EncodedChunks, encode_chunks
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.diffusion_ppo import CloneConfig, TuneConfig, TuneResult, clone, load_policy, save_policy, tune
from dreamgym_agents.diffusion_ppo.recipes import PolicyChoice, make_env

from dreamgym.data import EpisodeStore
from dreamgym.data.store import EpisodeView
from dreamgym.evaluation.policies.batch import evaluate_all
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.setup import checkpoint_hashes
from dreamgym.evaluation.policies.summary import gain
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import Checkpoint, load
from dreamgym.training.stop import Stopped

GROUPS = ((5, 0), (10, 0), (5, 1), (10, 1), (5, 2), (10, 2), (20, 0), (50, 0))
"""(demonstrations, seed), in the order in which they are run."""


@dataclass(frozen=True)
class Variant:
    """What is done with the demonstrations.

    Attributes:
        policy: "diffusion" or "gaussian".
        tuned: whether it is fine-tuned at all.
        online: fine-tune in the twin, rewarded once by the oracle (DPPO).
        bc_weight: of the cloning term; None: the paper's for the task.
        more: clone from as many demonstrations more as the steps of the world model's own data would have made.
    """

    policy: str = "diffusion"
    tuned: bool = True
    online: bool = False
    bc_weight: float | None = None
    more: bool = False


VARIANTS = {
    "dream": Variant(),
    "gaussian": Variant(policy="gaussian", tuned=False),
    "more": Variant(tuned=False, more=True),
    "online": Variant(online=True),
    "online_no_cloning": Variant(online=True, bc_weight=0.0),
    # The world model or reward of --world is the control: one without clumsy attempts, without labels on play.
    "plain_reward": Variant(),
}


@dataclass(frozen=True)
class Row:
    """One row under way."""

    task: str
    demonstrations: int
    seed: int
    name: str
    world: Checkpoint
    options: argparse.Namespace

    @property
    def variant(self) -> Variant:
        return VARIANTS[self.name]

    @property
    def key(self) -> str:
        """Task, demonstrations and seed as a part of a file's name."""
        return f"{self.task}_{self.demonstrations}_{self.seed}"

    def view(self) -> EpisodeView:
        """The demonstrations of this row.

        Raises:
            ValueError: the store has too few.
        """
        store = select_demonstrations(EpisodeStore.open(self.options.store), [self.task], successful=True)
        number = self.demonstrations
        if self.variant.more:
            number += round(world_steps(self.world) / len(self.tasks()) / float(store.lengths.mean()))
        first = self.seed * number
        chosen = sorted(m["episode_index"] for m in store.metas)[first : first + number]
        if len(chosen) < number:
            raise ValueError(
                f"{store.path} has {len(store)} demonstrations of {self.task} for training, seed {self.seed} needs "
                f"{first} to {first + number - 1}: collect more"
            )
        return store.select(where=lambda meta: meta.get("episode_index") in set(chosen))

    def tasks(self) -> list[str]:
        """Every task of the world's reward."""
        return list(next(iter(self.world.rewards.values())).tasks)

    def clones(self) -> dict[int, Path]:
        """Policies by epochs, each trained from the beginning, until one is no better than the best before it."""
        out: dict[int, Path] = {}
        best, view, data = -1.0, self.view(), None
        for epochs in self.options.epochs:
            folder = self.options.work / "clones" / f"{self.variant.policy}{'_more' * self.variant.more}" / self.key
            folder /= f"{epochs:05d}"
            if not (folder / "config.json").is_file():
                data = data or self._encoded(view)
                self.fit_clone(folder, data, epochs)
            out[epochs] = folder
            if (rate := self.val(folder)) <= best:
                break
            best = rate
        return out

    def _encoded(self, view: EpisodeView) -> EncodedChunks:
        generator = torch.Generator().manual_seed(self.seed)
        return encode_chunks(self.world.model, view, self._chunk(), generator=generator)

    def _chunk(self) -> int:
        return PolicyChoice(self.variant.policy).build(self.world.spec).config.chunk

    def fit_clone(self, folder: Path, data: EncodedChunks, epochs: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # the network's first weights
            policy = PolicyChoice(self.variant.policy).build(self.world.spec)
        config = replace(CloneConfig.tiny(), epochs=epochs, demonstrations=data.episodes, seed=self.seed)
        about = {"task": self.task, "world_model": self.options.world}
        clone(policy, data, config, Path(f"{folder}.run"), about=about)
        save_policy(folder, policy.eval(), **about, metrics={"clone_epochs": epochs, "seed": self.seed})

    def _scored(self, folder: Path, split: str, episodes: int, dream: bool) -> Evaluation:
        config = EvaluationConfig(
            episodes=episodes,
            split=split,
            dream=dream,
            simulators=self.options.simulators,
            horizon=self.options.horizon,
        )
        out = folder.parent / f"{folder.name}_{split}"
        return next(evaluate_all([str(folder)], self.options.world, self.task, config, out=out))

    def val(self, folder: Path) -> float:
        """Success in the simulator from val starts: what chooses."""
        return self._val(folder).summary()["twin"]["success_rate"]

    def _val(self, folder: Path) -> Evaluation:
        return self._scored(folder, "val", self.options.val_episodes, dream=False)

    def test(self, folder: Path) -> Evaluation:
        """Success in both worlds from test starts: what is reported."""
        return self._scored(folder, "test", self.options.episodes, dream=True)

    def tuned(self, base: Path) -> TuneResult:
        """Fine-tunes, or goes on with it."""
        variant, options, policy = self.variant, self.options, load_policy(base)
        weight = BC_WEIGHT.get(self.task, 0.05) if variant.bc_weight is None else variant.bc_weight
        config = replace(TuneConfig.tiny(), seed=self.seed, bc_weight=weight, eval_every=options.eval_every)
        config = replace(config, total_steps=options.online_steps if variant.online else options.steps)
        given = {"horizon": options.horizon, "checkpoint": options.world}
        if variant.online:  # small iterations: smaller batches, and evaluations that cost few simulator steps
            config = replace(config, eval_episodes=options.simulators, batch_size=1280, num_updates=10)
            given |= {"reward": "success", "num_envs": options.simulators}
        else:
            config = replace(config, eval_episodes=min(config.eval_episodes, options.num_envs))
            given |= {"reward": "probability", "num_envs": options.num_envs, "split": "train"}
        env = make_env("Real-v0" if variant.online else "Dream-v0", self.task, policy.config.chunk, **given)
        run = options.work / self.name / self.key
        result = tune(policy, env, config, run, task=self.task, world_model=options.world)
        env.close()
        return result

    def made(self) -> dict[str, Any]:
        """Does all of it."""
        clones = self.clones()
        val = {epochs: self._val(folder) for epochs, folder in clones.items()}
        chosen = max(val, key=lambda epochs: val[epochs].twin.rate)  # of equals the shortest
        base, view = self.test(clones[chosen]), self.view()
        row: dict[str, Any] = {"task": self.task, "demonstrations": len(view), "seed": self.seed, "variant": self.name}
        row |= {"scene": scene(self.world), "world_model": self.options.world, "policy": self.variant.policy}
        row |= {"operators": sorted({str(m.get("operator")) for m in view.metas}), "epochs": chosen}
        row |= {"val": {str(epochs): found.twin.rate for epochs, found in val.items()}}
        row |= {"chosen_sim_steps": sum(int(found.twin.length.sum()) for found in val.values())}
        row |= {"world_sim_steps": world_steps(self.world), "episodes": self.options.episodes, **side("base", base)}
        if self.variant.tuned:
            row |= self._tuned_part(clones[chosen], base)
        hashes = {**checkpoint_hashes(self.world), "demonstrations": digest(view)}
        return {**row, "settings": settings(self.options), **provenance(hashes)}

    def _tuned_part(self, clone: Path, base: Evaluation) -> dict[str, Any]:
        result = self.tuned(clone)
        best = max(result.evaluations, key=lambda e: e["return"])
        tuned = self.test(self.options.work / self.name / self.key / "policies" / f"iteration_{best['iteration']:06d}")
        out = {
            **side("tuned", tuned),
            "gain": dict(zip(("mean", "low", "high"), gain(base.twin, tuned.twin), strict=True)),
        }
        return out | {"dream_steps": result.dream_steps, "sim_steps": result.sim_steps, "iteration": best["iteration"]}


def side(name: str, found: Evaluation) -> dict[str, Any]:
    """Success of a policy in both worlds; ``outcomes`` a digit an episode, ``starts`` the bank's rows."""
    told = found.summary()
    return {
        name: told["twin"]["success_rate"],
        f"{name}_interval_95": told["twin"]["interval_95"],
        f"{name}_imagined": told["dream"]["success_rate"],
        f"{name}_outcomes": "".join(str(int(x)) for x in found.twin.success),
        f"{name}_imagined_outcomes": "".join(str(int(x)) for x in found.dream.success),
        "split": found.config.split,
        "starts": found.twin.row.tolist(),
    }


def scene(world: Checkpoint) -> str:
    """The simulator's scene, or its name where it has one only."""
    simulator = world.simulator or {}
    return str(simulator.get("kwargs", {}).get("scene", simulator.get("id")))


def world_steps(world: Checkpoint) -> int:
    """Simulator steps of the data that world model and reward learned from, as the card says; 0 if it does not."""
    return sum(int(told["steps"]) for told in (world.metrics.get("data") or {}).values())


def digest(view: EpisodeView) -> str:
    """sha256 of the actions of demonstrations: tells one selection from another."""
    out = hashlib.sha256()
    for i in range(len(view)):
        out.update(view.episode(i, ["action"])["action"].tobytes())
    return out.hexdigest()


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """How the rows were run: what may not differ within a table."""
    names = ("epochs", "steps", "num_envs", "eval_every", "simulators", "episodes", "val_episodes", "horizon")
    return {name: getattr(options, name) for name in names} | {"online_steps": options.online_steps}


def group(word: str) -> tuple[int, int]:
    """The word "5:0" as (5, 0)."""
    demonstrations, _, seed = word.partition(":")
    return int(demonstrations), int(seed)


def parse(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="policies, runs, evaluations and rows live here")
    parser.add_argument("--store", type=Path, required=True, help="demonstrations of several operators")
    parser.add_argument("--world", default="playtable", help="name or folder of the checkpoint")
    parser.add_argument("--variants", nargs="+", default=["dream"], choices=list(VARIANTS))
    parser.add_argument("--groups", nargs="+", type=group, default=list(GROUPS), metavar="DEMONSTRATIONS:SEED")
    parser.add_argument("--tasks", nargs="+", help="all of the world's by default")
    parser.add_argument("--epochs", nargs="+", type=int, default=[400, 1600, 6400])
    parser.add_argument("--steps", type=int, default=400_000, help="imagined steps of a run, evaluations included")
    parser.add_argument("--online-steps", type=int, default=100_000)
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--eval-every", type=int, default=8)
    parser.add_argument("--simulators", type=int, default=16, help="at a time, in this process")
    parser.add_argument("--episodes", type=int, default=100, help="from test starts, one each")
    parser.add_argument("--val-episodes", type=int, default=50)
    parser.add_argument("--horizon", type=int, help="the suite's by default")
    return parser.parse_args(args)


def wanted(options: argparse.Namespace, world: Checkpoint) -> Iterator[Row]:
    """Every row, in the order in which they are made."""
    for name in options.variants:
        for demonstrations, seed in options.groups:
            for task in options.tasks or next(iter(world.rewards.values())).tasks:
                yield Row(task, demonstrations, seed, name, world, options)


def check_work(work: Path, world: Checkpoint) -> None:
    """Keeps which world model a work folder is of: clones of one read nothing in the features of another.

    Raises:
        ValueError: it is of another one.
    """
    file, model = work / "world_model.sha256", checkpoint_hashes(world)["model"]
    if file.is_file() and (before := file.read_text().strip()) != model:
        raise ValueError(f"{work} holds clones of the world model {before}, not of {model}: give another --work")
    work.mkdir(parents=True, exist_ok=True)
    file.write_text(model + "\n")


def main(args: list[str] | None = None) -> int:
    """Makes the rows that are not there yet."""
    options = parse(args)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(1)
    world = load(options.world)
    check_work(options.work, world)
    try:
        for row in wanted(options, world):
            file = options.work / "rows" / f"{row.name}.{row.key}.json"
            if file.is_file():
                continue
            made = row.made()
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(json.dumps(made) + "\n")
            part.replace(file)
            print(json.dumps({k: v for k, v in made.items() if "outcomes" not in k and k != "starts"}), flush=True)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
