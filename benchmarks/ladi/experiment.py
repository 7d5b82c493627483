"""Guided policies from a few demonstrations of every task, and their episodes in the simulator: what the experiments of
LaDi-WM share.

- Seed s learns from demonstrations s n to (s + 1) n of each task: other data, not only another beginning. One policy
  learns all tasks of the world.
- It is trained anew for each number of ``--steps``, until success without refinement from val starts no longer rises;
  the best number is kept, for the controls of the same demonstrations too. So the policies have converged, and nothing
  but val chose how long they learn.
- What is reported is success in the simulator from test starts, which chose nothing. All policies of a work folder meet
  the same starts in the same order, so they can be compared in pairs.

A *cell* is a policy, a control and a number of refinements; it is measured at once for all tasks and kept in a file of
its own, with a row a task. What is done is not done again, and a killed training goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from dreamgym_agents.common.selection import select_demonstrations
from dreamgym_agents.common.settings import weights_id
from dreamgym_agents.refinement import GuidedPolicy, GuidedTraining, Refined, load, refine, save, train
from dreamgym_agents.refinement.commands import TrainOptions, new_policy
from imaginations import TrueFuture, changed, copy_model, own_action
from torch import Tensor

from dreamgym.data import EpisodeStore
from dreamgym.data.store import EpisodeView
from dreamgym.envs import make, twin
from dreamgym.evaluation.policies.bound import BoundCore
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.rollout import RolloutOptions, run_episodes
from dreamgym.evaluation.policies.setup import checkpoint_hashes, choose_rows
from dreamgym.evaluation.statistics.inference import clustered_wilson
from dreamgym.provenance import provenance
from dreamgym.training.checkpoint import Checkpoint
from dreamgym.training.checkpoint import load as open_checkpoint
from dreamgym.training.runs import data_digest
from dreamgym.world_models.base import WorldModel

TRAINED_ON: dict[str, Callable[[WorldModel], WorldModel]] = {"copy": copy_model, "own_action": own_action}
"""Controls whose policies are trained on another imagination than the world model's."""
CONTROLS = ("copy", "own_action", "mean", "true_future")


class Training(NamedTuple):
    """Which policy is trained.

    Attributes:
        demonstrations: of each task.
        seed: of data, weights, batches and noise.
        imagined: what the imagined frames are (`GuidedTraining`).
        shown: None: the world model's; else a key of `TRAINED_ON`.
        frames: of a chunk, and so imagined ones.
        body: entries of the proprioception that it reads.
    """

    demonstrations: int
    seed: int
    imagined: str = "own"
    shown: str | None = None
    frames: int = 6
    body: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """As a part of a file's name."""
        body = "".join(f"_{i}" for i in self.body)
        return f"{self.shown or self.imagined}_{self.frames}_{self.demonstrations}_{self.seed}{body and f'_body{body}'}"


@dataclass
class Bench:
    """A world model, demonstrations, and a folder of what was made of them."""

    options: argparse.Namespace
    world: Checkpoint
    work: Path
    _cores: dict[tuple[int, str], twin.TwinCore] = field(default_factory=dict)

    @classmethod
    def open(cls, options: argparse.Namespace, world: str, work: Path) -> Bench:
        """Opens a checkpoint; one sample a prediction where its family can, for nobody reads its uncertainty.

        Raises:
            ValueError: ``work`` is of another world model.
        """
        opened = open_checkpoint(world)
        file, model = work / "world_model.sha256", checkpoint_hashes(opened)["model"]
        if file.is_file() and (before := file.read_text().strip()) != model:
            raise ValueError(f"{work} holds policies of the world model {before}, not of {model}: give another --work")
        work.mkdir(parents=True, exist_ok=True)
        file.write_text(model + "\n")
        if "samples" in opened.model.config.to_dict():
            opened = replace(opened, model=changed(opened.model, samples=1))
        return cls(options, opened, work)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Those asked for, or all of the world's reward."""
        return tuple(self.options.tasks or make.choose_reward(self.world, None).tasks)

    def view(self, number: int, seed: int) -> EpisodeView:
        """Demonstrations of every task.

        Raises:
            ValueError: the store has too few of one.
        """
        store = select_demonstrations(EpisodeStore.open(self.options.store), self.tasks, successful=True)
        chosen: set[int] = set()
        for task in self.tasks:
            known = sorted(m["episode_index"] for m in store.metas if m.get("task") == task)
            mine = known[seed * number : (seed + 1) * number]
            if len(mine) < number:
                raise ValueError(
                    f"{store.path} has {len(known)} demonstrations of {task} for training, seed {seed} needs "
                    f"{seed * number} to {(seed + 1) * number - 1}: collect more"
                )
            chosen |= set(mine)
        return store.select(where=lambda meta: meta.get("episode_index") in chosen)

    # -- policies --

    def trained(self, training: Training, updates: int) -> GuidedPolicy:
        """The policy; trained now, or gone on with, where it is not there yet."""
        folder, options = self.work / "policies" / training.key / f"{updates:06d}", self.options
        if not (folder / "config.json").is_file():
            a = self.world.spec.actions_per_frame
            asked = TrainOptions(
                options.store, str(self.world.path), folder, text=options.text, preset=options.preset,
                chunk=training.frames * a, execute=options.execute * a, tokens=options.tokens,
                proprioception_entries=training.body, seed=training.seed,
            )  # fmt: skip
            shown = TRAINED_ON.get(training.shown or "", lambda model: model)(self.world.model)
            imagined: Any = training.imagined
            how = GuidedTraining(updates, options.batch_size, imagined=imagined, seed=training.seed)
            view, run = self.view(training.demonstrations, training.seed), Path(f"{folder}.run")
            policy = train(new_policy(asked, self.world.model, tuple(sorted(self.tasks))), shown, view, how, run)
            save(folder, policy, world_model=str(self.world.path), metrics={**training._asdict(), "updates": updates})
        return load(folder).policy  # type: ignore[return-value]

    def updates(self, training: Training) -> tuple[int, dict[int, float]]:
        """For how long such policies learn, and success from val starts by number of updates."""
        own, found = training._replace(imagined="own", shown=None, frames=6, body=()), dict[int, float]()
        file = self.work / "val" / f"{own.key}.json"
        if file.is_file():
            found = {int(k): v for k, v in json.loads(file.read_text()).items()}
        else:
            for number in self.options.steps:
                found[number] = self.val(self.trained(own, number), 0)
                if found[number] < max(found.values()):
                    break
            write(file, found)
        return max(found, key=lambda number: (found[number], -number)), found

    def val(self, policy: GuidedPolicy, times: int) -> float:
        """Success from val starts, mean of all tasks: what chooses."""
        return self.episodes(refine(policy, times=times), "val", self.options.val_episodes).rate

    # -- episodes --

    def episodes(self, policy: Refined, split: str, number: int, seed: int = 0, control: str | None = None) -> Episodes:
        """Episodes of every task in the simulator.

        Args:
            policy: acts.
            split: of the starts.
            number: of each task; the starts do not depend on ``seed``.
            seed: of the policy's and the model's noise.
            control: what is in place of the world model's imagination; "mean" is not.
        """
        core = self.twin_core(min(self.options.simulators, number * len(self.tasks)), policy.obs)
        rows, which = choose_rows(core.starts, self.tasks, number * len(self.tasks), split, 0)
        model = self.world.model
        if control == "true_future":
            model = TrueFuture(model, core).view
        elif control in TRAINED_ON:
            model = TRAINED_ON[control](model)
        inner = make.make_core(replace(self.world, model=model), **{**self._core_options(core.num_envs), "chunk": None})
        task = np.array([core.tasks.index(name) for name in self.tasks])[which]
        try:
            return run_episodes(core, policy, rows, task, RolloutOptions(seed), bound=BoundCore(inner, policy, seed))
        finally:
            inner.close()

    def _core_options(self, num_envs: int) -> dict[str, Any]:
        a = self.world.spec.actions_per_frame
        horizon = self.options.horizon or make.usual_horizon(self.world)
        options: dict[str, Any] = {"num_envs": num_envs, "horizon": horizon, "reward": "probability", "split": None}
        return options | {"autoreset_mode": "disabled", "chunk": None if a == 1 else a}

    def twin_core(self, num_envs: int, obs: str = "features") -> twin.TwinCore:
        if (num_envs, obs) not in self._cores:
            self._cores[num_envs, obs] = twin.make_core(self.world, obs=obs, **self._core_options(num_envs))
        return self._cores[num_envs, obs]

    def close(self) -> None:
        """Closes the simulators."""
        for core in self._cores.values():
            core.close()

    # -- cells --

    def cell(self, name: str, make_rows: Callable[[], tuple[Episodes, Mapping[str, Any]]]) -> None:
        """Measures a cell that is not there yet, and keeps it.

        Args:
            name: of its file.
            make_rows: gives the episodes and what the rows say of the cell.
        """
        file = self.work / "cells" / f"{name}.json"
        if file.is_file():
            return
        found, about = make_rows()
        hashes = {**checkpoint_hashes(self.world), **about.get("hashes", {})}
        rest = {"settings": settings(self.options), "world_model": str(self.world.path), **provenance(hashes)}
        rows = [{**about, **row, **rest} for row in self._rows(found)]
        write(file, rows)
        print(name, {row["task"]: row["success"] for row in rows}, flush=True)

    def _rows(self, found: Episodes) -> list[dict[str, Any]]:
        core, rows = next(iter(self._cores.values())), []
        for task in self.tasks:
            own = found.select(found.task == core.tasks.index(task))
            low, high = clustered_wilson(own.success, own.row)
            outcomes = "".join(str(int(x)) for x in own.success)
            about = {"task": task, "success": own.rate, "episodes": len(own), "interval_95": [low, high]}
            rows.append({**about, "outcomes": outcomes, "starts": own.row.tolist()})
        return rows

    def about(self, training: Training, policy: GuidedPolicy) -> dict[str, Any]:
        """What rows say of a policy."""
        updates, val = self.updates(training)
        view = self.view(training.demonstrations, training.seed)
        told = {"demonstrations": training.demonstrations, "seed": training.seed, "imagined": training.imagined}
        told |= {"updates": updates, "val": {str(k): v for k, v in val.items()}}
        return told | {"hashes": {"policy": weights_id(policy), "demonstrations": str(data_digest(view))}}


def averaged(policy: GuidedPolicy, number: int) -> GuidedPolicy:
    """A view of a policy whose decision is the mean of ``number`` samples."""
    view = copy.copy(policy)
    view.__dict__ = dict(policy.__dict__)

    def decide(
        history: Tensor, task: Tensor, imagined: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:  # fmt: skip
        chunks = [policy.decide(history, task, imagined, generator) for _ in range(number)]
        return policy.config.action.prepare(torch.stack(chunks).mean(0))

    view.decide = decide  # type: ignore[method-assign]
    return view


def gather(folders: Sequence[Path], out: Path) -> None:
    """Writes the rows of all cells of some work folders into a result file.

    Raises:
        ValueError: cells were measured with other settings than others, which no table may mix.
    """
    files = sorted(file for folder in folders for file in (folder / "cells").glob("*.json"))
    rows = [row for file in files for row in json.loads(file.read_text())]
    if other := [row for row in rows if row["settings"] != rows[0]["settings"]]:
        raise ValueError(
            f"cells of {[str(folder) for folder in folders]} were measured with {other[0]['settings']} and with "
            f"{rows[0]['settings']}: give another --work"
        )
    write(out, {"rows": rows}, indent=1)


def write(file: Path, content: Any, indent: int | None = None) -> None:
    """Writes JSON whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=indent) + "\n")
    part.replace(file)


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """How cells were measured: what may not differ within a table."""
    names = ("steps", "batch_size", "preset", "tokens", "execute", "text", "simulators", "episodes", "val_episodes")
    return {name: getattr(options, name) for name in (*names, "horizon")}


def make_parser(doc: str | None, result: str) -> argparse.ArgumentParser:
    """The options that all experiments have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="policies, runs and cells live here")
    parser.add_argument("--store", type=Path, required=True, help="demonstrations of several operators")
    parser.add_argument("--world", required=True, help="name or folder of the checkpoint")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / f"{result}.json")
    parser.add_argument("--tasks", nargs="+", help="all of the world's by default")
    parser.add_argument("--num-demonstrations", nargs="+", type=int, default=[10])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", nargs="+", type=int, default=[2000, 4000, 8000])
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--preset", choices=["tiny", "paper"], default="tiny")
    parser.add_argument("--tokens", type=int, default=4, help="that the features of a frame are divided into")
    parser.add_argument("--execute", type=int, default=1, help="frames of a chunk that are carried out")
    parser.add_argument("--text", help="SigLIP whose text tower reads the instructions; else tasks are numbers")
    parser.add_argument("--simulators", type=int, default=16, help="at a time, in this process")
    parser.add_argument("--episodes", type=int, default=25, help="of each task, from test starts")
    parser.add_argument("--val-episodes", type=int, default=15, help="of each task, from val starts")
    parser.add_argument("--horizon", type=int, help="the suite's by default")
    return parser
