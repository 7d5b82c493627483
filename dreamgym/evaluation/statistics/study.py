"""A set of evaluated policies taken together: how far their dream can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.evaluation.policies.summary import found_summary
from dreamgym.evaluation.statistics.agreement import (
    FEWEST,
    RankAgreement,
    Score,
    exploitation_gap,
    num_distinct,
    rank_agreement,
)
from dreamgym.evaluation.statistics.calibration import Reliability
from dreamgym.evaluation.statistics.prediction_powered import coverage


@dataclass(frozen=True)
class Study:
    """What `study` found.

    Attributes:
        scores: success of each policy in both worlds.
        ranks: correlation, MMRV and their noise floor; None for fewer than two policies.
        by_task: the same of each task that has three policies or more, where there are several tasks.
        reliability: of the reward model on the frames of all twin episodes; None where none were kept.
        classifier: precision, recall and F1 of its verdicts on whole twin episodes, all together.
        drift: measures by horizon, averaged over the policies.
        gap: the exploitation gap by training step.
        inference: how prediction-powered intervals fare on these policies, by resampling: "coverage_95", "width",
            "classical_coverage_95", "classical_width", each a mean over policies, "num_real", "num_imagined".
    """

    scores: list[Score]
    ranks: RankAgreement | None
    by_task: dict[str, RankAgreement]
    reliability: Reliability | None
    classifier: dict[str, float]
    drift: dict[str, dict[str, float]]
    gap: list[dict[str, float]]
    inference: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: the measures over the set at its top, flat; `ranks_to_dict` says which MMRV is which."""
        out = ranks_to_dict(self.scores, self.ranks, self.by_task)
        out |= {"coverage_95": self.inference.get("coverage_95"), "inference": self.inference}
        out["classifier"] = {**self.classifier}
        if self.reliability is not None:
            out["classifier"] |= {"frame_f1": self.reliability.f1, "ece": self.reliability.ece}
            out["reliability"] = self.reliability.to_dict()
        out |= {"drift": self.drift, "exploitation_gap": self.gap}
        return {**out, "policies": [s.to_dict() for s in self.scores]}


def study(
    evaluations: Sequence[Evaluation],
    *,
    num_real: int = 25,
    num_imagined: int = 500,
    rounds: int = 200,
    steps: Sequence[float | None] | None = None,
    seed: int = 0,
) -> Study:
    """Takes evaluations of several policies together; those without both worlds are left out.

    Args:
        evaluations: as `evaluate` made them, with the same starts.
        num_real, num_imagined, rounds: of the check of prediction-powered intervals (`coverage`): each policy's own
            paired episodes are the pool that is resampled.
        steps: training step of each evaluation; None: what it says itself.
        seed: of all resampling.

    Raises:
        ValueError: none was evaluated in both worlds.
    """
    given = [None] * len(evaluations) if steps is None else steps
    whole = [(e, s) for e, s in zip(evaluations, given, strict=True) if e.dream is not None and e.twin is not None]
    if not whole:
        raise ValueError("no policy was evaluated in both dream and twin, so nothing can be compared")
    scores = [e.score(s) for e, s in whole]
    ranks, by_task = rank_all(scores, seed)
    frames = [e.reliability for e, _ in whole if e.reliability is not None]
    twins = [e.twin for e, _ in whole if e.twin is not None]
    return Study(
        scores,
        ranks,
        by_task,
        Reliability.total(frames) if frames else None,
        found_summary(_joined(twins)),
        _mean_drift([e.drift for e, _ in whole if e.drift]),
        exploitation_gap(scores),
        _inference([e for e, _ in whole], num_real, num_imagined, rounds, seed),
    )


def rank_all(scores: Sequence[Score], seed: int = 0) -> tuple[RankAgreement | None, dict[str, RankAgreement]]:
    """`Study.ranks` and `Study.by_task` of a set of policies."""
    pooled = rank_agreement(scores, seed=seed) if len(scores) > 1 else None
    tasks = sorted({s.task for s in scores})
    own = {task: [s for s in scores if s.task == task] for task in tasks} if len(tasks) > 1 else {}
    # Of fewer than three policies neither order nor correlation means anything.
    return pooled, {task: rank_agreement(found, seed=seed, rounds=500) for task, found in own.items() if len(found) > 2}


def ranks_to_dict(
    scores: Sequence[Score], ranks: RankAgreement | None, by_task: Mapping[str, RankAgreement]
) -> dict[str, Any]:
    """What `rank_all` found, JSON-ready and flat, with two ways to take MMRV over several tasks.

    ``mmrv`` is pooled: policies of all tasks in one list, so a policy of one task is also compared with those of the
    others, and a dream that flatters one task more than another pays for it. ``mmrv_within_tasks`` compares policies of
    the same task alone and is averaged over the tasks of ``by_task``, as SimplerEnv averages over tasks: it is what
    choosing a checkpoint by the dream could lose. Of one task the two are the same. Each has its noise floor.
    """
    out: dict[str, Any] = {"num_policies": len(scores)}
    own = list(by_task.values())
    if ranks is not None:
        out |= ranks.to_dict()
        own = [ranks] if len({s.task for s in scores}) == 1 else own
    if own:
        out["mmrv_within_tasks"] = round(float(np.mean([r.mmrv for r in own])), 6)
        out["mmrv_within_tasks_floor"] = round(float(np.mean([r.floor.mmrv for r in own])), 6)
    return {**out, "by_task": {task: found.to_dict() for task, found in by_task.items()}}


def ranks_in_words(scores: Sequence[Score], seed: int = 0) -> str:
    """A line on how far the dream orders and scores policies as reality does; of too few it says only that."""
    gap = float(np.mean([s.imagined - s.real for s in scores]))
    if num_distinct(scores) < FEWEST:
        return (
            f"real against imagined, {len(scores)} policies with {num_distinct(scores)} different results: too few to "
            f"say how the dream ranks them ({FEWEST} are); imagined minus real success {100 * gap:+.0f} points"
        )
    told = ranks_to_dict(scores, *rank_all(scores, seed))

    def shown(key: str, digits: int) -> str:
        return "-" if told.get(key) is None else f"{told[key]:.{digits}f}"

    low, high = ("-" if x is None else f"{x:.2f}" for x in told["pearson_interval_95"])
    out = f"real against imagined, {len(scores)} policies: Pearson r {shown('pearson', 2)} ({low} to {high}), Spearman "
    out += f"{shown('spearman', 2)}, MMRV {shown('mmrv', 3)} (of a perfect dream {shown('mmrv_floor', 3)})"
    if len({s.task for s in scores}) > 1:
        out += f", within tasks {shown('mmrv_within_tasks', 3)} ({shown('mmrv_within_tasks_floor', 3)})"
    return f"{out}; imagined minus real success {100 * gap:+.0f} points"


def _joined(parts: Sequence[Episodes]) -> Episodes:
    return Episodes(*(np.concatenate([getattr(p, name) for p in parts]) for name in Episodes.__dataclass_fields__))


def _mean_drift(drifts: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean of each measure at each horizon over the policies that reach it."""
    horizons = sorted({int(h) for d in drifts for h in d})
    out = {}
    for horizon in horizons:
        rows = [d[str(horizon)] for d in drifts if str(horizon) in d]
        # A policy's own longest episode is a horizon too; only those that most policies share are worth a row.
        if len(rows) * 2 > len(drifts):
            names = set.intersection(*(set(r) for r in rows))
            out[str(horizon)] = {n: float(f"{np.mean([r[n] for r in rows]):.5g}") for n in rows[0] if n in names}
    return out


def _inference(
    evaluations: Sequence[Evaluation], num_real: int, num_imagined: int, rounds: int, seed: int
) -> dict[str, float]:
    found = []
    for i, e in enumerate(evaluations):
        assert e.twin is not None
        pool = e.twin.success, e.forecast()[: len(e.twin)]
        found.append(coverage(*pool, num_real=num_real, num_imagined=num_imagined, rounds=rounds, seed=seed + i))
    means = {k: float(np.mean([getattr(c, k) for c in found])) for k in ("coverage", "width")}
    means |= {k: float(np.mean([getattr(c, k) for c in found])) for k in ("classical_coverage", "classical_width")}
    out = {k.replace("coverage", "coverage_95"): round(v, 5) for k, v in means.items()}
    return {**out, "num_real": num_real, "num_imagined": num_imagined, "rounds": rounds}
