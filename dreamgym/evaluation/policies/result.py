"""What an evaluation came to, with its intervals, and as a file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.evaluation.policies.config import EvaluationConfig
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.summary import found_summary, side_summary
from dreamgym.evaluation.statistics.agreement import Score
from dreamgym.evaluation.statistics.calibration import Reliability
from dreamgym.evaluation.statistics.inference import effective_episodes
from dreamgym.evaluation.statistics.prediction_powered import Estimate, prediction_powered
from dreamgym.fields import parse_json
from dreamgym.places import write_whole

FORMAT = 2  # 1 had neither hashes nor clustered intervals


@dataclass(frozen=True)
class Evaluation:
    """What a policy came to; `save` and `load` keep it as JSON.

    Attributes:
        policy, world_model: names.
        tasks: every task of the reward model; episodes index it.
        config: how it was evaluated; its split and horizon are those that were used.
        dream, twin: the episodes, paired from the first on; the dream may have more. None: not run.
        reliability: the reward model's probabilities on the twin's frames against the oracle.
        drift: measures by horizon of the dream along the actions executed in the twin (`comparison.Agreement`).
        training: what the policy's folder says of its training: "iteration", "dream_steps", "sim_steps".
        clips: {"kind", "file"} for each clip, files relative to the evaluation's.
        provenance: "commit", "machine", "library_version" and "hashes" of world model, reward and start bank (see
            `dreamgym.provenance` and `setup.checkpoint_hashes`).
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
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of what it was measured with, by role."""
        return dict(self.provenance.get("hashes") or {})

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
        return prediction_powered(
            self.twin.success, forecast[:n], forecast[n:], confidence,
            start=self.twin.row, imagined_start=self.dream.row[n:],
        )  # fmt: skip

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
        sure = (effective_episodes(s.success, s.row) for s in (self.twin, self.dream))
        return Score(self.policy, *rates, len(self.twin), len(self.dream), own, self.task, *sure)

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
        out: dict[str, Any] = {"format": FORMAT, **self.provenance, "policy": self.policy}
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
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            told = data.get("format") if isinstance(data, dict) else f"none, but a {type(data).__name__}"
            raise ValueError(f"not an evaluation of format {FORMAT} (format: {told})")
        dream, twin_ = (data["episodes"][k] and Episodes.from_dict(data["episodes"][k]) for k in ("dream", "twin"))
        tasks = tuple(data["tasks"])
        if any(side is not None and not side.fit(len(tasks)) for side in (dream, twin_)) or dream is twin_ is None:
            raise ValueError("its episodes have fields of different lengths, tasks that it does not name, or are none")
        frames = data["reliability"] and Reliability.from_dict(data["reliability"])
        origin: dict[str, Any] = {k: data[k] for k in ("commit", "machine", "library_version", "hashes") if k in data}
        return cls(
            data["policy"], data["world_model"], tasks, EvaluationConfig(**data["config"]), dream, twin_, frames,
            data["drift"], data["training"], data["clips"], origin,
        )  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it as JSON; never half."""
        return write_whole(path, json.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evaluation:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is damaged or something else.
        """
        try:
            return cls.from_dict(parse_json(Path(path).read_text(encoding="utf-8")))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"{path} cannot be read as an evaluation ({error})") from error


def file_stem(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_") or "policy"


def evaluation_file(folder: str | os.PathLike[str], name: str, task: str) -> Path:
    """Where an evaluation of that policy on that task is kept in a folder of evaluations."""
    return Path(folder) / f"{file_stem(name)}.{file_stem(task)}.json"
