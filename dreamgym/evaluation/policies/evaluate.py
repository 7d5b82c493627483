"""Any policy on any dream and on its twin, from paired start states: success with intervals, and what it rests on::

    result = evaluate("random", "playtable", "open_drawer", episodes=50)
    print(result.summary()["twin"]["success_rate"])

Episode i begins from the same row of the start bank in both worlds. The rows come from held-out data (split "val"), so
nothing was trained on them; a seed stands for the same rows whatever the policy, so policies can be compared in pairs.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from dreamgym.envs import make, twin
from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.making.measures import measures_of
from dreamgym.evaluation.policies.episodes import Episodes, play
from dreamgym.evaluation.policies.load import CONFIG, load_policy, policy_name, read_config
from dreamgym.evaluation.policies.record import DreamRecorder, TwinRecorder, replay
from dreamgym.evaluation.policies.result import Evaluation, EvaluationConfig, file_stem
from dreamgym.evaluation.statistics.comparison import compare
from dreamgym.training.checkpoint import file_sha256
from dreamgym.types import Policy

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

HORIZONS = (1, 5, 10, 25, 50)
LINGER = 5
DREAMS_AT_ONCE = 512


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


def evaluate(
    policy: str | Path | Policy | Callable[..., Policy],
    world_model: str | Checkpoint,
    task: str | Sequence[str] = "all",
    config: EvaluationConfig | None = None,
    *,
    device: torch.device | str | None = None,
    clips_to: str | os.PathLike[str] | None = None,
    name: str | None = None,
    progress: bool = False,
    **changes: Any,
) -> Evaluation:
    """Evaluates a policy in a dream and in its twin.

    Args:
        policy: see `load_policy`. It is shown the dream's features, or what its attribute ``obs`` asks for ("state",
            "pixels", "dict").
        world_model: a checkpoint, its name or folder, or the id of a dream ("Dream-PlayTable-v0").
        task: a task, several, or "all".
        config: see `EvaluationConfig`.
        device: where to dream and act; None: where the model is.
        clips_to: folder for clips (``config.clips`` columns each).
        name: what to call the policy; None: `policy_name`.
        progress: whether to show bars.
        changes: fields of `EvaluationConfig` to change.

    Raises:
        ValueError: an unknown policy, task or split, or a checkpoint without start bank, reward or simulator.
    """
    config = replace(config or EvaluationConfig(), **changes)
    opened = open_world(world_model)
    config = config.settled(opened)
    bank, reward = make.start_bank(opened), make.choose_reward(opened, config.reward_model)
    if bank is None:
        raise ValueError(f"{opened.path.name} has no start bank to begin from: fill one with 'dreamgym starts'")
    if config.twin and bank.snapshot is None:
        raise ValueError("the start bank has no simulator snapshots, so nothing can begin in the twin: use twin=False")
    names = list(reward.tasks) if task == "all" else [task] if isinstance(task, str) else list(task)
    unknown = [n for n in names if n not in reward.tasks]
    if unknown or not names:
        raise ValueError(f"unknown task {unknown}; this checkpoint knows {list(reward.tasks)}, or say 'all'")
    number = config.imagined or config.episodes
    row, which = choose_rows(bank, names, number, config.split, config.seed)
    which = np.array([reward.tasks.index(n) for n in names])[which]
    if device is None:
        device = next((p.device for p in opened.model.parameters()), torch.device("cpu"))
    actor = load_policy(policy, opened.spec, device)
    world = _World(opened, actor, config, device, row, which, name or policy_name(policy), progress)
    return world.run(bank, _training(policy), Path(clips_to) if clips_to is not None and config.clips else None)


@dataclass(frozen=True)
class _World:
    """One evaluation under way: what both worlds need."""

    opened: Checkpoint
    policy: Policy
    config: EvaluationConfig
    device: torch.device | str
    row: np.ndarray
    task: np.ndarray
    name: str
    progress: bool

    def run(self, bank: StartBank, training: dict[str, Any], clips_to: Path | None) -> Evaluation:
        """Dream, twin, and what follows from both."""
        reward = make.choose_reward(self.opened, self.config.reward_model)
        dream, dreamt = self._dream(clips_to is not None) if self.config.dream else (None, None)
        twin_, lived = self._twin(clips_to is not None) if self.config.twin else (None, None)
        result = Evaluation(
            self.name, self.opened.path.name, tuple(reward.tasks), self.config, dream, twin_,
            training=training, checksum=fingerprint(self.opened.path) or "",
        )  # fmt: skip
        if twin_ is None or lived is None:
            return result
        sequences = lived.sequences(reward.tasks, twin_.row, twin_.task)
        played = lived.played()
        imagined = replay(self.opened.model, reward, bank, sequences, self.opened.probe, self.config.seed)
        longest = int(sequences.length.max())
        horizons = [h for h in HORIZONS if h < longest] + [longest]
        measures = measures_of(self.opened.simulator)
        drift = compare(played, imagined, sequences, measures).to_dict(horizons)["horizons"]
        reliability = lived.reliability(reward.thresholds.cpu().numpy()[twin_.task])
        clips = []
        if clips_to is not None and dream is not None and dreamt is not None and lived.camera is not None:
            from dreamgym.evaluation.pages.clips import write_clips  # needs the report extra

            clips = write_clips(clips_to, file_stem(self.name), dream, twin_, dreamt, lived, self.config.clips)
        return replace(result, reliability=reliability, drift=drift, clips=clips)

    def _options(self, num_envs: int) -> dict[str, Any]:
        config = self.config
        options: dict[str, Any] = {"num_envs": num_envs, "horizon": config.horizon, "reward": "probability"}
        options |= {"autoreset_mode": "disabled", "split": None, "device": self.device}
        return options | {"obs": getattr(self.policy, "obs", "features"), "reward_model": config.reward_model}

    def _dream(self, keep: bool) -> tuple[Episodes, DreamRecorder | None]:
        core = make.make_core(self.opened, **self._options(min(len(self.row), DREAMS_AT_ONCE)))
        recorder = DreamRecorder(core, self.config.episodes) if keep else None
        title = f"{self.name}, dream" if self.progress else None
        seed = self.config.seed
        return play(core, self.policy, self.row, self.task, seed=seed, watch=recorder, progress=title), recorder

    def _twin(self, keep: bool) -> tuple[Episodes, TwinRecorder]:
        n = self.config.episodes
        options = self._options(min(n, self.config.simulators))
        if not keep:
            options["simulator_kwargs"] = self._cameras_read()
        core = twin.make_core(self.opened, num_workers=self.config.num_workers, **options)
        try:
            shown = [c for c in self.opened.spec.cameras if c in core.sims.cameras]
            states = dict.fromkeys(m.key for m in measures_of(self.opened.simulator))
            recorder = TwinRecorder(core, n, shown[0] if keep and shown else None, tuple(states))
            title = f"{self.name}, twin" if self.progress else None
            row, task, seed = self.row[:n], self.task[:n], self.config.seed
            found = play(core, self.policy, row, task, seed=seed, linger=LINGER, watch=recorder, progress=title)
        finally:
            core.sims.close()
        return found, recorder

    def _cameras_read(self) -> dict[str, Any]:
        """The simulator's cameras that the model or the policy reads: frames that nobody reads cost most of a step."""
        recorded = (self.opened.simulator or {}).get("kwargs", {}).get("cameras")
        if recorded is None or getattr(self.policy, "obs", "features") != "features":
            return {}
        return {"cameras": tuple(c for c in recorded if f"rgb_{c}" in self.opened.spec.observations)}


def _training(policy: Any) -> dict[str, Any]:
    """What the folder of a saved policy says of its training, as far as it says anything."""
    if not isinstance(policy, str | Path) or not Path(policy).is_dir():
        code = fingerprint(policy)
        return {} if code is None else {"fingerprint": code}
    folder = Path(policy)
    config = read_config(folder)
    told: dict[str, Any] = {}
    for part in (config.get("metrics"), config.get("training"), config):
        told |= part if isinstance(part, dict) else {}
    out: dict[str, Any] = {
        k: told[k] for k in ("iteration", "dream_steps", "sim_steps", "seed", "variant") if k in told
    }
    out["fingerprint"] = fingerprint(policy)
    place = folder.resolve()
    digits = re.search(r"(\d+)$", place.name)
    if "iteration" not in out and digits and place.parent.name == "policies":
        out["iteration"] = int(digits[1])
    return out


def fingerprint(saved: Any) -> str | None:
    """Tells whether a policy or world model is the same still.

    Of a saved one the hash of its config, which holds the others; of "path/to/file.py:factory" and
    "package.module:factory" that of the file with the factory (not of what it imports); None of what has no file.
    """
    if not isinstance(saved, str | Path):
        return None
    where, _, factory = str(saved).rpartition(":")
    if not (Path(saved) / CONFIG).is_file() and factory and where.replace(".", "").isidentifier():
        try:
            found = importlib.util.find_spec(where)
        except (ImportError, ValueError):
            return None
        where = "" if found is None else found.origin or ""
    file = Path(where) if where.endswith(".py") else Path(saved) / CONFIG
    return file_sha256(file) if file.is_file() else None
