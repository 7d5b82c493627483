"""An experiment on disk, as its report reads it: the folder of one run, or a folder of several::

    RUN/run.json              optional: {"title", "task", "seed", "note", ...}; where it is missing, tune.json counts
    RUN/log.jsonl             the log of fine-tuning: a JSON object a line with "dream_steps" or "sim_steps" (env steps
                              so far) and "success_rate" (or "success")
    RUN/policies/NAME/        saved policies; config.json says in "metrics" at which "iteration" and "dream_steps"
    RUN/best/                 the policy that was chosen, by imagined return; config.json likewise
    RUN/evaluations/*.json    what ``dreamgym evaluate RUN`` wrote, and the clips that belong to them

Every part may be missing: the report then leaves out what rests on it. Any folder below that has one of log.jsonl with
env steps, or evaluations/, is a run; several stand beside each other, and their tasks and seeds are tabled.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dreamgym.evaluation.policies.fingerprint import CONFIG
from dreamgym.evaluation.policies.result import Evaluation
from dreamgym.fields import parse_json

_log = logging.getLogger(__name__)

DEPTH = 4
"""How deep below the experiment's folder runs are looked for."""


@dataclass(frozen=True)
class Run:
    """One run of fine-tuning, or a folder of evaluations alone.

    Attributes:
        name: its path below the experiment.
        folder: where it is.
        facts: run.json over tune.json.
        log: lines of log.jsonl that count env steps: each with "steps" and "success" (None where it is not told).
        chosen: iteration of the policy in best/; None if nothing says.
        evaluations: of its policies.
        files: the file of each evaluation.
    """

    name: str
    folder: Path
    facts: dict[str, Any]
    log: list[dict[str, Any]]
    chosen: int | None
    evaluations: list[Evaluation] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def task(self) -> str:
        """What it is about."""
        return str(self.facts.get("task") or next((e.task for e in self.evaluations), "") or self.name)

    @property
    def variant(self) -> str:
        """The first part of its path where that is not its task: what several runs were done alike in; else ""."""
        first, *rest = self.name.split("/")
        return first if rest and first != self.task else ""

    @property
    def label(self) -> str:
        """What tells it from other runs of its task: its path without the task."""
        parts = [p.replace(self.task, "").strip("_") for p in self.name.split("/")]
        return "/".join(p for p in parts if p) or self.name

    @property
    def steps(self) -> tuple[int, int]:
        """Env steps of the whole run: in the dream, and in the simulator."""
        totals = (max((int(line.get(k) or 0) for line in self.log), default=0) for k in ("dream_steps", "sim_steps"))
        dream, sim = totals
        return dream, sim

    def dated(self) -> list[tuple[float, Evaluation]]:
        """(training step, evaluation) of its evaluations that have one, in that order; one a step."""
        found = {s: e for e in self.evaluations if (s := e.step) is not None}
        return sorted(found.items())

    @property
    def base(self) -> Evaluation | None:
        """Of the policy before fine-tuning: the one evaluated at the earliest step, where there are two or more."""
        dated = self.dated()
        return dated[0][1] if len(dated) > 1 else None

    @property
    def tuned(self) -> Evaluation | None:
        """Of the chosen policy, which may be `base` itself; of the last one where none is marked or evaluated."""
        dated = self.dated()
        if len(dated) < 2:
            return None
        own = [e for _, e in dated if self.chosen is not None and e.training.get("iteration") == self.chosen]
        return own[0] if own else dated[-1][1]


@dataclass(frozen=True)
class Experiment:
    """Everything that `read_experiment` found.

    Attributes:
        folder: the experiment's.
        title: of the page.
        note: a sentence on it, or "".
        runs: by name.
        unreadable: files that could not be read, each with the reason.
    """

    folder: Path
    title: str
    note: str
    runs: list[Run]
    unreadable: list[str]

    @property
    def evaluations(self) -> list[Evaluation]:
        """Of all runs."""
        return [e for run in self.runs for e in run.evaluations]


def read_experiment(folder: Path) -> Experiment:
    """Reads an experiment; files that cannot be read are left out and named.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: there is nothing of an experiment in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: give that of a run, or of several")
    bad: list[str] = []
    places = [folder, *(p for p in sorted(folder.rglob("*")) if p.is_dir() and _is_near(folder, p))]
    runs = [run for place in places if (run := _read_run(folder, place, bad)) is not None]
    if not runs:
        raise ValueError(
            f"{folder} holds no run: neither log.jsonl with env steps nor evaluations/*.json. Fine-tune a policy "
            f"into it, or evaluate some: dreamgym evaluate POLICY --checkpoint NAME --out {folder / 'evaluations'}"
        )
    facts = _facts(folder, bad)
    title = str(facts.get("title") or folder.resolve().name.replace("_", " "))
    return Experiment(folder, title, str(facts.get("note") or ""), runs, sorted(set(bad)))


def _is_near(root: Path, place: Path) -> bool:
    parts = place.relative_to(root).parts
    inside = {"policies", "best", "progress", "tensorboard", "evaluations"}
    return len(parts) <= DEPTH and not any(p in inside or p.startswith(".") for p in parts)


def _read_run(root: Path, place: Path, bad: list[str]) -> Run | None:
    log, files = _read_log(place / "log.jsonl", bad), sorted((place / "evaluations").glob("*.json"))
    if not log and not files:
        return None
    evaluations, read = [], []
    for file in files:
        try:
            evaluations.append(Evaluation.load(file))
            read.append(file)
        except ValueError as error:
            _log.warning("%s", error)
            bad.append(str(file.relative_to(root)))
    name = str(place.relative_to(root)) if place != root else root.resolve().name
    return Run(name, place, _facts(place, bad), log, _chosen(place), evaluations, read)


def _read_json(file: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is no such file."""
    if not file.is_file():
        return None
    found = parse_json(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _facts(place: Path, bad: list[str]) -> dict[str, Any]:
    """What run.json says, then tune.json, then the saved policies of their task."""
    facts: dict[str, Any] = {}
    saved = sorted(place.glob(f"policies/*/{CONFIG}"))[:1]
    for file in (*saved, place / "tune.json", place / "run.json"):
        try:
            told = _read_json(file) or {}
        except ValueError:
            bad.append(f"{file.parent.name}/{file.name}")
            continue
        facts |= {"task": told.get("task")} if file in saved else told
    return facts


def _chosen(place: Path) -> int | None:
    try:
        told = _read_json(place / "best" / CONFIG) or {}
    except ValueError:
        return None
    metrics = told.get("metrics")
    iteration = metrics.get("iteration") if isinstance(metrics, Mapping) else None
    return iteration if isinstance(iteration, int) else None


def _read_log(file: Path, bad: list[str]) -> list[dict[str, Any]]:
    """Lines that count env steps, with "steps" and "success" added; a last line that is cut short is left out."""
    out = []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    for i, text in enumerate(lines):
        try:
            line = parse_json(text)
        except ValueError:
            if i < len(lines) - 1:
                bad.append(f"{file.parent.name}/{file.name}, line {i + 1}")
            continue
        numbers = {k: v for k, v in line.items() if isinstance(v, int | float)} if isinstance(line, dict) else {}
        counts = [numbers[k] for k in ("dream_steps", "sim_steps") if k in numbers]
        if counts:
            success = next((numbers[k] for k in ("success_rate", "success") if k in numbers), None)
            out.append({**line, "steps": float(max(counts)), "success": success})
    return out
