"""Any policy on any dream and on its twin, from paired start states: success with intervals, and what it rests on.

    result = evaluate("random", "playtable", "open_drawer", episodes=50)
    print(result.summary()["twin"]["success_rate"])

Episode i begins from the same row of the start bank in both worlds. The rows come from held-out data (split "val"), so
nothing was trained on them; a seed stands for the same rows whatever the policy, so policies can be compared in pairs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from dreamgym import __version__
from dreamgym.envs import make, twin
from dreamgym.envs.starts import StartBank
from dreamgym.evaluation.agreement import Score
from dreamgym.evaluation.calibration import Reliability
from dreamgym.evaluation.comparison import compare
from dreamgym.evaluation.inference import Estimate, prediction_powered, wilson
from dreamgym.evaluation.play import Episodes, play
from dreamgym.evaluation.policies import CONFIG, load_policy, policy_name, read_config
from dreamgym.evaluation.record import DreamRecorder, TwinRecorder, replay
from dreamgym.training.checkpoint import file_sha256
from dreamgym.types import Policy

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

FORMAT = 1
HORIZONS = (1, 5, 10, 25, 50)
LINGER = 5
DREAMS_AT_ONCE = 512


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated.

    Attributes:
        episodes: paired episodes: so many in the twin, and as many in the dream from the same starts.
        imagined: episodes in the dream in all; more than ``episodes`` sharpen the estimate of real success.
        seed: of the starts and of every draw.
        split: "val", held-out starts; "train"; or None, both.
        horizon: control steps of an episode.
        dream, twin: which of the two worlds.
        simulators: how many at a time.
        num_workers: processes for them; 0: this process.
        reward_model: which of the checkpoint's; None: its default.
        clips: columns of a clip of successes, and of one of disagreements; 0: no clips.
    """

    episodes: int = 100
    imagined: int | None = None
    seed: int = 0
    split: str | None = "val"
    horizon: int = 64
    dream: bool = True
    twin: bool = True
    simulators: int = 4
    num_workers: int = 0
    reward_model: str | None = None
    clips: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.simulators < 1 or self.horizon < 1 or self.clips < 0:
            raise ValueError(f"episodes, simulators and horizon must be at least 1 and clips at least 0, got {self}")
        if self.imagined is not None and self.imagined < self.episodes:
            raise ValueError(
                f"imagined={self.imagined} episodes in the dream, but {self.episodes} in the twin: each episode in the "
                "twin needs an imagined one from the same start"
            )
        if not (self.dream or self.twin):
            raise ValueError("neither dream nor twin: there is nothing to evaluate in")


@dataclass(frozen=True)
class Evaluation:
    """What a policy came to; `save` and `load` keep it as JSON.

    Attributes:
        policy, world_model: names.
        tasks: every task of the reward model; episodes index it.
        config: how it was evaluated.
        dream, twin: the episodes, paired from the first on; the dream may have more. None: not run.
        reliability: the reward model's probabilities on the twin's frames against the oracle.
        drift: measures by horizon of the dream along the actions executed in the twin (`comparison.Agreement`).
        training: what the policy's folder says of its training: "iteration", "dream_steps", "sim_steps".
        clips: {"kind", "file"} for each clip, files relative to the evaluation's.
    """

    policy: str
    world_model: str
    tasks: tuple[str, ...]
    config: EvaluationConfig
    dream: Episodes | None
    twin: Episodes | None
    reliability: Reliability | None = None
    drift: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    clips: list[dict[str, str]] = field(default_factory=list)

    @property
    def task(self) -> str:
        """The task, or the tasks joined by commas."""
        side = self.twin if self.twin is not None else self.dream
        assert side is not None
        return ",".join(self.tasks[i] for i in np.unique(side.task))

    def forecast(self) -> np.ndarray:
        """The dream's word on each imagined episode, [N] in [0, 1]: the mean over all imagined episodes from its start.

        One imagined outcome would be a throw of dice.
        """
        assert self.dream is not None
        starts = np.stack([self.dream.row, self.dream.task])
        index = np.ravel(np.unique(starts, axis=1, return_inverse=True)[1])
        mean: np.ndarray = np.bincount(index, self.dream.success) / np.bincount(index)
        return mean[index]

    def estimate(self, confidence: float = 0.95) -> Estimate | None:
        """Real success by prediction-powered inference; None without a twin or without further imagined episodes."""
        if self.dream is None or self.twin is None or len(self.dream) <= len(self.twin):
            return None
        forecast, n = self.forecast(), len(self.twin)
        return prediction_powered(self.twin.success, forecast[:n], forecast[n:], confidence)

    def score(self, step: float | None = None) -> Score:
        """Success in both worlds, for `dreamgym.evaluation.agreement`.

        Args:
            step: training step; None: what the policy's folder says ("dream_steps", else "iteration").

        Raises:
            ValueError: it was not evaluated in both.
        """
        if self.dream is None or self.twin is None:
            raise ValueError(f"{self.policy} was not evaluated in both worlds; evaluate it with dream and twin")
        if step is None:
            step = next((self.training[k] for k in ("dream_steps", "iteration") if k in self.training), None)
        rates = self.twin.rate, self.dream.rate
        return Score(self.policy, *rates, len(self.twin), len(self.dream), step, self.task)

    def summary(self) -> dict[str, Any]:
        """The figures without the episodes, JSON-ready: "dream", "twin", "classifier", "estimate"."""
        out: dict[str, Any] = {}
        for name, side in (("dream", self.dream), ("twin", self.twin)):
            if side is not None:
                out[name] = side_summary(side)
        if self.twin is not None:
            out["classifier"] = found_summary(self.twin)
        estimate = self.estimate()
        return out if estimate is None else {**out, "estimate": estimate.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        out: dict[str, Any] = {"format": FORMAT, "library_version": __version__, "policy": self.policy}
        out |= {"world_model": self.world_model, "task": self.task, "tasks": list(self.tasks)}
        out |= {"config": vars(self.config), "training": self.training, **self.summary()}
        out |= {"drift": self.drift, "clips": self.clips}
        out["reliability"] = None if self.reliability is None else self.reliability.to_dict()
        sides = {"dream": self.dream, "twin": self.twin}
        out["episodes"] = {k: None if v is None else v.to_dict() for k, v in sides.items()}
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """Reads what `to_dict` wrote.

        Raises:
            ValueError: it is something else, or of a newer format.
        """
        if data.get("format") != FORMAT or "episodes" not in data:
            raise ValueError(f"not an evaluation of format {FORMAT} (format: {data.get('format')}): evaluate it again")
        dream, twin_ = (data["episodes"][k] and Episodes.from_dict(data["episodes"][k]) for k in ("dream", "twin"))
        frames = data["reliability"] and Reliability.from_dict(data["reliability"])
        names = data["policy"], data["world_model"], tuple(data["tasks"])
        config = EvaluationConfig(**data["config"])
        return cls(*names, config, dream, twin_, frames, data["drift"], data["training"], data["clips"])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it as JSON; never half."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(self.to_dict()), encoding="utf-8")
        part.replace(file)
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is damaged or something else.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} cannot be read as an evaluation ({error}): delete it and evaluate again"
            ) from error


def side_summary(side: Episodes) -> dict[str, Any]:
    """Figures of one world's episodes, JSON-ready."""
    low, high = wilson(int(side.success.sum()), len(side))
    means = {"mean_return": side.returns, "mean_length": side.length, "mean_uncertainty": side.uncertainty}
    return {
        "num_episodes": len(side),
        "num_starts": len(np.unique(side.row)),
        "success_rate": round(side.rate, 6),
        "interval_95": [round(low, 6), round(high, 6)],
        **{k: float(f"{v.mean():.5g}") for k, v in means.items()},
    }


def found_summary(side: Episodes) -> dict[str, float]:
    """The reward model's verdict on whole episodes against the oracle's: precision, recall, F1 (1 for 0 of 0)."""
    hits, said, true = (int(x.sum()) for x in (side.found & side.success, side.found, side.success))
    values = {"precision": (hits, said), "recall": (hits, true), "episode_f1": (2 * hits, said + true)}
    return {k: round(a / b, 6) if b else 1.0 for k, (a, b) in values.items()}


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
    actor = load_policy(policy, opened.spec, "cpu" if device is None else device)
    world = _World(opened, actor, config, device, row, which, name or policy_name(policy), progress)
    return world.run(bank, _training(policy), None if clips_to is None else Path(clips_to))


@dataclass(frozen=True)
class _World:
    """One evaluation under way: what both worlds need."""

    opened: Checkpoint
    policy: Policy
    config: EvaluationConfig
    device: torch.device | str | None
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
            self.name, self.opened.path.name, tuple(reward.tasks), self.config, dream, twin_, training=training
        )
        if twin_ is None or lived is None:
            return result
        sequences = lived.sequences(reward.tasks, twin_.row, twin_.task)
        played = lived.played()
        imagined = replay(self.opened.model, reward, bank, sequences, self.opened.probe, self.config.seed)
        longest = int(sequences.length.max())
        horizons = [h for h in HORIZONS if h < longest] + [longest]
        drift = compare(played, imagined, sequences).to_dict(horizons)["horizons"]
        reliability = lived.reliability(reward.thresholds.cpu().numpy()[twin_.task])
        clips = []
        if clips_to is not None and dream is not None and dreamt is not None and lived.camera is not None:
            from dreamgym.evaluation.clips import write_clips  # needs the report extra

            clips = write_clips(clips_to, _file_stem(self.name), dream, twin_, dreamt, lived, self.config.clips)
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
        core = twin.make_core(
            self.opened, num_workers=self.config.num_workers, **self._options(min(n, self.config.simulators))
        )
        try:
            shown = [c for c in self.opened.spec.cameras if c in core.sims.cameras]
            recorder = TwinRecorder(core, n, shown[0] if keep and shown else None)
            title = f"{self.name}, twin" if self.progress else None
            row, task, seed = self.row[:n], self.task[:n], self.config.seed
            found = play(core, self.policy, row, task, seed=seed, linger=LINGER, watch=recorder, progress=title)
        finally:
            core.sims.close()
        return found, recorder


def _training(policy: Any) -> dict[str, Any]:
    """What the folder of a saved policy says of its training, as far as it says anything."""
    if not isinstance(policy, str | Path) or not Path(policy).is_dir():
        return {}
    folder = Path(policy)
    config = read_config(folder)
    told: dict[str, Any] = {}
    for part in (config.get("metrics"), config.get("training"), config):
        told |= part if isinstance(part, dict) else {}
    out = {k: told[k] for k in ("iteration", "dream_steps", "sim_steps", "seed", "variant") if k in told}
    out["fingerprint"] = fingerprint(policy)
    digits = re.search(r"(\d+)$", folder.resolve().name)
    if "iteration" not in out and digits:
        out["iteration"] = int(digits[1])
    return out


def fingerprint(policy: Any) -> str | None:
    """Tells whether a saved policy is still the same: the hash of its config, which holds those of its weights."""
    if not isinstance(policy, str | Path) or not Path(policy).is_dir():
        return None
    return file_sha256(Path(policy) / CONFIG)


def _file_stem(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_") or "policy"


def evaluation_file(folder: str | os.PathLike[str], name: str, task: str) -> Path:
    """Where an evaluation of that policy on that task is kept in a folder of evaluations."""
    return Path(folder) / f"{_file_stem(name)}.{_file_stem(task)}.json"
