"""All that can be refused before a checkpoint is finished: data and their roles, tasks, sensors, folders, extras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.store import EpisodeView, Meta
from dreamgym.suites import Suite
from dreamgym.suites.facts import StoreFacts, store_facts, store_tasks, suite_of
from dreamgym.training.bank import SNAPSHOT, candidates
from dreamgym.training.checkpoint import check_target
from dreamgym.types import InstructionSpec
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.contract import check_foreign

ROLES = ("play", "demonstration", "attempt")


@dataclass(frozen=True)
class Plan:
    """What a checkpoint is finished from.

    Attributes:
        play: play without a task, or None.
        demonstrations: marked episodes at tasks, failures included, or None.
        attempts: clumsy attempts, marked likewise, or None.
        beginnings: stores whose episodes begin dreams and serve for nothing else.
        tasks: names, in order.
        facts: of the data that the world model is measured on.
        simulator: {"id", "kwargs"} of the twin, or None.
    """

    play: EpisodeView | None
    demonstrations: EpisodeView | None
    attempts: EpisodeView | None
    beginnings: tuple[EpisodeView, ...]
    tasks: tuple[str, ...]
    facts: StoreFacts
    simulator: dict[str, Any] | None

    @property
    def suite(self) -> Suite | None:
        """The suite of the data."""
        return self.facts.suite

    @property
    def measured(self) -> EpisodeView:
        """What fidelity is measured on, and the probe fitted to: play where there is any, else demonstrations."""
        found = self.play if self.play is not None else self.demonstrations
        assert found is not None
        return found

    @property
    def by_role(self) -> dict[str, EpisodeView]:
        """The stores that there are, by role."""
        stores = (self.play, self.demonstrations, self.attempts)
        return {role: store for role, store in zip(ROLES, stores, strict=True) if store is not None}


def make_plan(
    model: WorldModel,
    stores: Sequence[EpisodeView],
    out: Path,
    tasks: Sequence[str] = (),
    beginnings: Sequence[EpisodeView] = (),
    twin: bool = True,
) -> Plan:
    """Sorts stores by role and checks all that can be checked.

    Args:
        model: the world model.
        stores: each of the roles at most once; an episode's is its meta's "kind", else "demonstration" where it has a
            task and its store marks success, else "play".
        out: the checkpoint's folder.
        tasks: some of those that the stores have; () for all.
        beginnings: see `Plan`.
        twin: whether scripted operators will act in the simulator, which must be installed then.

    Raises:
        ValueError: stores of different suites, two stores of a role, none to measure on, no success or failure of a
            task in a split, no start of a task, a sensor that is missing, an ``out`` that is something else, or a model
            of the caller's own that does not keep the contract.
        ImportError: the simulator is missing; the message is the pip line.
    """
    check_target(out)
    if isinstance(model.spec.action, InstructionSpec):
        raise ValueError(
            "rewards and starts are read off recorded actions, and this model is driven by instructions: give its "
            "rewards and start states to dreamgym.training.checkpoint.save yourself"
        )
    roles = stores_by_role(stores)
    measured = roles.get("play") or roles.get("demonstration")
    if measured is None:
        raise ValueError(f"finishing needs a store of play or of demonstrations, got {sorted(roles) or 'no episodes'}")
    facts = store_facts(measured)
    _check_suites((*stores, *beginnings))
    for store in (*stores, *beginnings):
        _check_sensors(model, store)
    for split in ("train", "val"):
        if not len(measured.select(split=split)) and not (split == "train" and _unmarked(measured)):
            raise ValueError(
                f"{measured.path} has no episode of the split {split!r}: collect or import more, of which "
                "some are held out (--val-share of an import), or write 'split' into the meta of some"
            )
    chosen = _tasks(roles, facts.suite, tuple(tasks))
    for split in ("train", "val"):
        _check_marks([roles[r] for r in ROLES[1:] if r in roles], chosen, split)
    _check_starts([*roles.values(), *beginnings], chosen)
    check_foreign(model)
    simulator = None if facts.suite is None else facts.suite.recorded_in(measured.info, measured.metas[0])
    plan = Plan(
        roles.get("play"), roles.get("demonstration"), roles.get("attempt"), tuple(beginnings), chosen, facts, simulator
    )
    if twin and can_act(plan) and facts.suite is not None:
        facts.suite.check_installed()
    return plan


def can_act(plan: Plan) -> bool:
    """Whether scripted operators can act in the twin: the suite has some, and every start will have a snapshot."""
    stores = [*plan.by_role.values(), *plan.beginnings]
    has_trials = plan.suite is not None and plan.suite.has_trials and plan.simulator is not None
    return has_trials and all(SNAPSHOT in store.keys for store in stores)


def stores_by_role(stores: Sequence[EpisodeView]) -> dict[str, EpisodeView]:
    """The stores by what their episodes are: "play", "demonstration" or "attempt" (`role_of`).

    Raises:
        ValueError: two stores hold episodes of one role, or an episode is of another kind.
    """
    out: dict[str, EpisodeView] = {}
    for store in stores:
        marked = "success" in store.keys
        for role in dict.fromkeys(role_of(meta, marked) for meta in store.metas):
            if role in out:
                raise ValueError(
                    f"two stores of the role {role!r}, {out[role].path} and {store.path}: join them (dreamgym join)"
                )
            out[role] = _of_role(store, role)
    return out


def _of_role(store: EpisodeView, role: str) -> EpisodeView:
    marked = "success" in store.keys
    return store.select(lambda meta: role_of(meta, marked) == role)


def role_of(meta: Meta, marked: bool) -> str:
    """The role of an episode; ``marked``: its store has success marks.

    Episodes that people played (`dreamgym play --record`) or policies were evaluated in (`evaluate --record`) are
    demonstrations as imported ones are: where they have a task and success marks.
    """
    kind = meta.get("kind")
    if kind in (None, "played", "evaluation"):
        return "demonstration" if marked and meta.get("task") is not None else "play"
    if kind not in ROLES:
        raise ValueError(f"an episode's kind must be one of {list(ROLES)}, its meta says {kind!r}")
    return str(kind)


def _unmarked(store: EpisodeView) -> bool:
    return any("split" not in meta for meta in store.metas)


def _check_suites(stores: Sequence[EpisodeView]) -> None:
    named = {str(store.path): found.name for store in stores if (found := suite_of(store)) is not None}
    if len(set(named.values())) > 1:
        raise ValueError(f"the stores are of different suites, {named}: give stores of the one that the model learned")


def _check_sensors(model: WorldModel, store: EpisodeView) -> None:
    wanted = dict(model.spec.observations)
    shapes = {k: (s[2], s[0], s[1]) if len(s) == 3 else s for k, (s, _) in store.keys.items()}
    wrong = {k: shapes.get(k) for k, o in wanted.items() if shapes.get(k) != tuple(o.shape)}
    if wrong:
        expected = {k: tuple(wanted[k].shape) for k in wrong}
        raise ValueError(f"this model reads {expected}, and {store.path} has {wrong}: give stores that it can read")
    size = shapes.get("action")
    if size != (model.spec.control.dim,) and size not in [(a.dim,) for a in model.spec.embodiments.values()]:
        raise ValueError(f"this model's actions have {model.spec.control.dim} entries, those of {store.path} {size}")


def _tasks(roles: dict[str, EpisodeView], suite: Suite | None, wanted: tuple[str, ...]) -> tuple[str, ...]:
    marked = [roles[r] for r in ("demonstration", "attempt") if r in roles]
    if not marked and (suite is None or suite.rules is None):
        raise ValueError("rewards need a store of demonstrations: episodes with a task in their meta and success marks")
    present = tuple(dict.fromkeys(t for store in marked or roles.values() for t in store_tasks(store)))
    if unknown := [t for t in wanted if t not in present]:
        raise ValueError(f"no episode is of {unknown}; the stores have {list(present)}")
    if not present:
        raise ValueError("no episode of the stores names a task in its meta")
    return wanted or present


def _check_marks(marked: Sequence[EpisodeView], tasks: Sequence[str], split: str) -> None:
    """Success and failure of every task among the frames of a split, without which nothing can be learned of it."""
    if not marked:
        return
    seen: dict[str, set[bool]] = {task: set() for task in tasks}
    for store in marked:
        if "success" not in store.keys:
            raise ValueError(f"{store.path} marks no success (key 'success'): import it with success marks")
        for i, meta in enumerate(store.metas):
            if meta.get("task") in seen and meta.get("split", "train") == split:
                marks = np.asarray(store.episode(i, ["success"])["success"], dtype=bool)
                seen[meta["task"]] |= {bool(marks.any()), bool(marks.all())} if len(marks) else set()
    for task, kinds in seen.items():
        for wanted, words in ((True, "success"), (False, "failure")):
            if wanted not in kinds:
                raise ValueError(f"no {words} of {task!r} in the episodes of the split {split!r}: collect more of it")


def _check_starts(stores: Sequence[EpisodeView], tasks: Sequence[str]) -> None:
    found = {c.task for store in stores for c in candidates(store.select(split="train"), tasks)}
    if missing := [task for i, task in enumerate(tasks) if i not in found]:
        raise ValueError(f"no training start for {missing}: collect more play, or demonstrations of it")
