"""What an evaluation takes place in: the opened checkpoint, its bank and reward, the tasks and the settled options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np

from dreamgym.envs import make
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.simulators import suite_of
from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.fingerprint import outside_code
from dreamgym.evaluation.policies.libraries import PolicyOptions
from dreamgym.rewards.base import RewardModel
from dreamgym.suites import Measure
from dreamgym.training.checkpoint import read_config
from dreamgym.world_models.base import WorldModel

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

HASHED = ("model", "rewards", "starts", "probe")
BEHAVIOUR = ("family", "config", "spec", "rewards", "starts", "probe", "simulator", "dtype")
"""Entries of a checkpoint's config that decide how it behaves; its card and its metrics do not."""


def open_world(name: str | Checkpoint) -> Checkpoint:
    """The checkpoint behind an environment's id, a shipped name, a folder or a hub address.

    Raises:
        ValueError: an id that stands for no checkpoint of its own.
    """
    if isinstance(name, str) and name in gym.registry:
        kwargs = gym.spec(name.replace("Real-", "Dream-", 1)).kwargs
        if "checkpoint" not in kwargs:
            raise ValueError(f"{name!r} stands for no world model: give a checkpoint's folder or name")
        return make.open_checkpoint(kwargs["checkpoint"])
    return make.open_checkpoint(name)


@dataclass(frozen=True)
class Setup:
    """One evaluation's surroundings.

    Attributes:
        opened: the checkpoint.
        model: its world model, as the config's robot sees it.
        bank: its start bank.
        reward: the reward model that is asked.
        tasks: names of the tasks to evaluate, in turn.
        config: with nothing left open: split and horizon are set.
        measures: of the simulator's state, where the suite states any.
    """

    opened: Checkpoint
    model: WorldModel
    bank: StartBank
    reward: RewardModel
    tasks: tuple[str, ...]
    config: EvaluationConfig
    measures: tuple[Measure, ...] = ()

    @classmethod
    def of(cls, opened: Checkpoint, task: str | Sequence[str], config: EvaluationConfig) -> Setup:
        """Resolves tasks, split and horizon.

        Raises:
            ValueError: an unknown task, split or robot, or a checkpoint without start bank, reward or snapshots.
        """
        bank, reward = make.start_bank(opened), make.choose_reward(opened, config.reward_model)
        if bank is None:
            raise ValueError(f"{opened.path.name} has no start bank to begin from: fill one with 'dreamgym starts'")
        if config.twin and bank.snapshot is None:
            raise ValueError(
                "the start bank has no simulator snapshots, so nothing can begin in the twin: leave the twin out "
                "(--no-twin; twin=False in Python)"
            )
        tasks = tuple(reward.tasks) if task == "all" else (task,) if isinstance(task, str) else tuple(task)
        unknown = [n for n in tasks if n not in reward.tasks]
        if unknown or not tasks:
            raise ValueError(f"unknown task {unknown}; this checkpoint knows {list(reward.tasks)}, or say 'all'")
        split = config.split
        if split == "auto":
            split = bank.reported_split(tasks)
        suite = suite_of(opened.simulator)
        settled = replace(config, split=split, horizon=config.horizon or make.usual_horizon(opened))
        model = opened.model if config.embodiment is None else opened.model.embody(config.embodiment)
        return cls(opened, model, bank, reward, tasks, settled, () if suite is None else suite.measures)

    @property
    def policy_options(self) -> PolicyOptions:
        """What a policy of another library must be told.

        Raises:
            ValueError: `map` or `obs` is none.
        """
        config = self.config
        suite = suite_of(self.opened.simulator)
        return PolicyOptions(suite, config.map, config.obs, config.vecnormalize, config.trust_policy)

    def choose_starts(self) -> tuple[np.ndarray, np.ndarray]:
        """The start of each episode: rows of the bank [N] and indices into ``reward.tasks`` [N]."""
        number = self.config.imagined or self.config.episodes
        row, which = choose_rows(self.bank, self.tasks, number, self.config.split, self.config.seed)
        return row, np.array([self.reward.tasks.index(n) for n in self.tasks])[which]


def choose_rows(
    bank: StartBank, tasks: Sequence[str], number: int, split: str | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the bank for ``number`` episodes, the tasks in turn; no row of a task twice before each of them once.

    Returns:
        Rows [number] and indices into ``tasks`` [number].
    """
    task = np.arange(number) % len(tasks)
    row = np.empty(number, np.int64)
    for i, name in enumerate(tasks):
        own, rng = bank.candidates(name, split).cpu().numpy(), np.random.default_rng([seed, i])
        count = int((task == i).sum())
        rounds = [rng.permutation(own) for _ in range(-(-count // len(own)))]
        row[task == i] = np.concatenate([*rounds, own[:0]])[:count]
    return row, task


def checkpoint_hashes(opened: Checkpoint) -> dict[str, str]:
    """What a figure that was measured with this checkpoint rests on: sha256 by role; {} where it has no folder.

    "model", "rewards", "starts", "probe": of those files. "settings": of everything in config.json that decides how it
    behaves (action bounds, simulator, tasks), so that an edited card or metric changes nothing. "code": of a family or
    a reward that is somebody else's, as in a script.
    """
    if not (Path(opened.path) / "config.json").is_file():
        return {}
    config = read_config(opened.path)
    out = {k: config["files"][f"{k}.safetensors"] for k in HASHED if f"{k}.safetensors" in config["files"]}
    told = json.dumps({k: config.get(k) for k in BEHAVIOUR}, sort_keys=True)
    kinds = sorted({type(opened.model), *map(type, opened.rewards.values())}, key=lambda kind: kind.__qualname__)
    if codes := [code for code in map(outside_code, kinds) if code is not None]:
        out["code"] = hashlib.sha256("".join(codes).encode()).hexdigest()
    return out | {"settings": hashlib.sha256(told.encode()).hexdigest()}
