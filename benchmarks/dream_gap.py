"""How far a dream overrates policies, and whether two mends lessen it: a cut where it is unsure, several classifiers.

    python benchmarks/dream_gap.py WORK --limits 1 0.5
    python benchmarks/dream_gap.py WORK --limits 1 --classifiers checkpoints/reward_1 checkpoints/reward_2

``WORK`` is the work folder of `converged_clones.py`: its policies, and what they came to from test starts in the
simulator. Each policy imagines the same episodes again in every mode:

- ``plain``: as `dreamgym evaluate` does.
- ``limit F``: an episode whose uncertainty exceeds F times the checkpoint's own limit has failed.
- ``classifiers``: success is called by the mean of several classifiers (the world's own, and those of the other
  checkpoints of the same model), at the mean of their thresholds.

Nothing is chosen by these figures. Written: benchmarks/results/dream_gap.json, a row a policy and mode, and of each
mode the measures of `dreamgym.evaluation.statistics.study`: imagined minus real, Pearson's r, MMRV over all policies
and within tasks, and what a perfect dream would come to.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dreamgym.envs import make
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.load import load_policy
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.rollout import RolloutOptions, run_episodes
from dreamgym.evaluation.policies.setup import checkpoint_hashes, open_world
from dreamgym.evaluation.statistics.inference import effective_episodes
from dreamgym.evaluation.statistics.study import rank_all, ranks_to_dict
from dreamgym.provenance import provenance
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.training.checkpoint import Checkpoint, read_config
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel

RESULT = Path(__file__).parent / "results" / "dream_gap.json"
AT_ONCE = 512


class MeanReward(RewardModel):
    """The mean of several reward models of the same tasks, at the mean of their thresholds."""

    kind = "mean"

    def __init__(self, members: Sequence[RewardModel]) -> None:
        super().__init__()
        if any(m.tasks != members[0].tasks for m in members):
            raise ValueError(f"classifiers of one ensemble need the same tasks, got {[m.tasks for m in members]}")
        self.members, self.tasks = nn.ModuleList(members), members[0].tasks
        self.register_buffer("thresholds", torch.stack([m.thresholds for m in members]).mean(0))

    def start(self, model: WorldModel, state: State, task: Tensor) -> Memory:
        started = [m.start(model, state, task) for m in self.members]
        return {f"{i}/{k}": v for i, memory in enumerate(started) for k, v in memory.items()}

    def probability(self, model: WorldModel, memory: Memory, state: State, task: Tensor) -> Tensor:
        given = []
        for i, member in enumerate(self.members):
            own = {k.removeprefix(f"{i}/"): v for k, v in memory.items() if k.startswith(f"{i}/")}
            given.append(member.probability(model, own, state, task))
        return torch.stack(given).mean(0)

    def to_config(self) -> dict[str, Any]:
        return {"members": len(self.members)}


@dataclass(frozen=True)
class Mode:
    """A way to imagine.

    Attributes:
        world: the checkpoint, its rewards perhaps replaced.
        limit: of the uncertainty; None: none.
    """

    world: Checkpoint
    limit: float | None = None


def modes(world: Checkpoint, limits: Sequence[float], classifiers: Sequence[str]) -> dict[str, Mode]:
    """Every mode by name.

    Raises:
        ValueError: the checkpoint has no limit, or a classifier belongs to another model.
    """
    out, own = {"plain": Mode(world)}, world.spec.uncertainty_limit
    if limits and own is None:
        raise ValueError(f"{world.path} has no uncertainty limit of its own: leave --limits out")
    out |= {f"limit {factor:g}": Mode(world, factor * own) for factor in limits}
    if classifiers:
        others = [open_world(name) for name in classifiers]
        if foreign := [str(o.path) for o in others if _model(o) != _model(world)]:
            raise ValueError(f"{foreign} hold another world model than {world.path}, whose features their rewards read")
        members = [make.choose_reward(o, None) for o in (world, *others)]
        out["classifiers"] = Mode(replace(world, rewards={"success": MeanReward(members)}))
    return out


def _model(world: Checkpoint) -> tuple[Any, ...]:
    """What tells one world model from another: family, settings, weights."""
    config = read_config(world.path)
    return config["family"], config["config"], config["files"]["model.safetensors"]


def found(work: Path) -> Iterator[tuple[Path, Evaluation]]:
    """Policies below a work folder that were evaluated from test starts, with what they came to."""
    for file in sorted(work.rglob("*_test/*.json")):
        yield file.parent.with_name(file.parent.name.removesuffix("_test")), Evaluation.load(file)


def imagined(folder: Path, real: Evaluation, mode: Mode) -> Episodes:
    """The episodes of an evaluation, imagined anew."""
    policy = load_policy(folder, mode.world.spec, "cpu")
    core = make.make_core(
        mode.world, num_envs=min(len(real.dream), AT_ONCE), horizon=real.config.horizon, reward="probability",
        autoreset_mode="disabled", split=None, chunk=getattr(policy, "chunk", None), uncertainty_limit=mode.limit,
    )  # fmt: skip
    return run_episodes(core, policy, real.dream.row, real.dream.task, RolloutOptions(real.config.seed))


def measured(work: Path, all_modes: dict[str, Mode]) -> dict[str, Any]:
    """Rows and measures of each mode."""
    rows, scores = [], {name: [] for name in all_modes}
    for folder, real in found(work):
        for name, mode in all_modes.items():
            side = imagined(folder, real, mode)
            sure = effective_episodes(side.success, side.row)
            policy = str(folder.relative_to(work))
            score = replace(real.score(), name=policy, imagined=side.rate, imagined_effective=sure)
            scores[name].append(score)
            rows.append({"mode": name, "policy": policy, "task": score.task, "real": score.real, "imagined": side.rate})
            print(json.dumps(rows[-1]), flush=True)
    if not rows:
        raise ValueError(f"{work} holds no policy that was evaluated from test starts")
    out = {}
    for name, own in scores.items():
        told = ranks_to_dict(own, *rank_all(own)) if len(own) > 1 else {"num_policies": len(own)}
        out[name] = {"mean_gap": float(np.mean([s.imagined - s.real for s in own])), **told}
    return {"modes": out, "rows": rows}


def main(args: Sequence[str] | None = None) -> int:
    """Imagines, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--world", default="playtable")
    parser.add_argument("--limits", nargs="*", type=float, default=[1.0, 0.5], help="factors on the checkpoint's limit")
    parser.add_argument("--classifiers", nargs="*", default=[], help="checkpoints of the same model, other classifiers")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    world = open_world(options.world)
    told = measured(options.work, modes(world, options.limits, options.classifiers))
    settings = {"world_model": options.world, "limits": options.limits, "classifiers": options.classifiers}
    origin = provenance(checkpoint_hashes(world))
    options.out.write_text(json.dumps({**origin, "settings": settings, **told}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
