"""What an evaluation came to, with its intervals, and as a file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dreamgym.envs.make import usual_horizon
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.statistics.agreement import Score
from dreamgym.evaluation.statistics.calibration import Reliability
from dreamgym.evaluation.statistics.inference import Estimate, difference, paired_difference, prediction_powered, wilson
from dreamgym.version import __version__

if TYPE_CHECKING:
    from dreamgym.training.checkpoint import Checkpoint

FORMAT = 1


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated.

    Attributes:
        episodes: paired episodes: so many in the twin, and as many in the dream from the same starts.
        imagined: episodes in the dream in all; more than ``episodes`` sharpen the estimate of real success.
        seed: of the starts and of every draw.
        split: "val", held-out starts; "train"; or None, both.
        horizon: control steps of an episode; None: those of the suite's dream by its id (Metaworld 150, PushT 300,
            robosuite 400), else 64.
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
    horizon: int | None = None
    dream: bool = True
    twin: bool = True
    simulators: int = 4
    num_workers: int = 0
    reward_model: str | None = None
    clips: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.simulators < 1 or self.clips < 0:
            raise ValueError(f"episodes and simulators must be at least 1 and clips at least 0, got {self}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}")
        if self.imagined is not None and self.imagined < self.episodes:
            raise ValueError(
                f"imagined={self.imagined} episodes in the dream, but {self.episodes} in the twin: each episode in the "
                "twin needs an imagined one from the same start"
            )
        if not (self.dream or self.twin):
            raise ValueError("neither dream nor twin: there is nothing to evaluate in")

    def settled(self, checkpoint: Checkpoint) -> EvaluationConfig:
        """The same with the horizon that the checkpoint's suite has, where none was given."""
        if self.horizon is not None:
            return self
        return replace(self, horizon=usual_horizon(checkpoint))

    def asks_no_more_than(self, other: EvaluationConfig) -> bool:
        """Whether an evaluation by ``other`` is one by this too: on how many simulators it ran is its own affair."""
        own = replace(other, simulators=self.simulators, num_workers=self.num_workers)
        return self == (own if self.clips else replace(own, clips=0))


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
        checksum: of the world model's config, which holds those of its weights; "" where it came from no folder.
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
    checksum: str = ""

    @property
    def task(self) -> str:
        """The task, or the tasks joined by commas."""
        side = self.twin if self.twin is not None else self.dream
        assert side is not None
        return ",".join(self.tasks[i] for i in np.unique(side.task))

    @property
    def step(self) -> float | None:
        """Env steps of training behind it, in whichever world, or its iteration; None if its folder says nothing."""
        steps = [self.training[k] for k in ("dream_steps", "sim_steps") if self.training.get(k) is not None]
        told = max(steps) if steps else self.training.get("iteration")
        return None if told is None else float(told)

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
        """Success in both worlds, for `dreamgym.evaluation.statistics.agreement`.

        Args:
            step: training step; None: `step`.

        Raises:
            ValueError: it was not evaluated in both.
        """
        if self.dream is None or self.twin is None:
            raise ValueError(f"{self.policy} was not evaluated in both worlds; evaluate it with dream and twin")
        rates = self.twin.rate, self.dream.rate
        own = self.step if step is None else step
        return Score(self.policy, *rates, len(self.twin), len(self.dream), own, self.task)

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
        out |= {
            "world_model": self.world_model,
            "checksum": self.checksum,
            "task": self.task,
            "tasks": list(self.tasks),
        }
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
        rest = data["drift"], data["training"], data["clips"]
        return cls(*names, config, dream, twin_, frames, *rest, data.get("checksum", ""))

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


def gain(before: Episodes, after: Episodes) -> tuple[float, float, float]:
    """Success of one policy above that of another in the same world, and the ends of its 95% interval.

    Compared in pairs where the episodes began from the same starts in the same order, else as if independent.
    """
    if paired(before, after):
        return paired_difference(before.success, after.success)
    counts = [(int(side.success.sum()), len(side)) for side in (before, after)]
    return difference(counts[0], counts[1])


def paired(one: Episodes, other: Episodes) -> bool:
    """Whether episode by episode both began from the same start, with the same task."""
    return np.array_equal(one.row, other.row) and np.array_equal(one.task, other.task)


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


def file_stem(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_") or "policy"


def evaluation_file(folder: str | os.PathLike[str], name: str, task: str) -> Path:
    """Where an evaluation of that policy on that task is kept in a folder of evaluations."""
    return Path(folder) / f"{file_stem(name)}.{file_stem(task)}.json"
