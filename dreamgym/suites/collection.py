"""Collecting episodes of a suite into a store that knows what it holds: one suite, scene, robot, kind and settings."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dreamgym.data.collect import CollectConfig, Collected, CollectKwargs, collect, differences
from dreamgym.data.store import EpisodeStore
from dreamgym.suites.base import CollectionFactory, Suite
from dreamgym.suites.facts import suite_of
from dreamgym.suites.registry import suite as suite_by_name

# What metas of stores from before "kind" was recorded call it.
KINDS = {"play": "play", "demonstration": "demonstrations", "attempt": "attempts"}


def collect_suite(
    suite: str | Suite,
    store: str | os.PathLike[str],
    kind: str | None = None,
    *,
    num_episodes: int | None = None,
    num_steps: int | None = None,
    **options: Any,
) -> Collected:
    """Collects episodes of a suite, or goes on with a store of the same settings.

    The store's info says what `store_facts` reads (suite, action, frame rate, robot, tasks) and how it was collected
    (kind, scene, settings, split, seed).

    Args:
        suite: the suite, or its name.
        store: folder of the store.
        kind: what to collect, one of `Suite.collectors`; None: its first.
        num_episodes, num_steps: episodes or rows to hold in the end. With neither a kind that comes in a whole set
            (CALVIN's demonstrations) makes that; else one of them is needed.
        options: fields of `dreamgym.data.collect.CollectConfig` (num_workers, seed, split, progress, engine, address)
            and options of the kind (see `Suite.collector`).

    Raises:
        ValueError: an unknown kind or option, no target, or a store of something else; the message names what differs.
        ImportError: the simulator is not installed; the message is the pip line.
        RuntimeError: see `dreamgym.data.collect`.
    """
    found = suite_by_name(suite) if isinstance(suite, str) else suite
    own: CollectKwargs = {f.name: options.pop(f.name) for f in fields(CollectConfig) if f.name in options}  # type: ignore[assignment]
    split = CollectConfig(**own).split
    factory = found.collector(kind, **options)
    kind = kind or next(iter(found.collectors))
    if num_episodes is None and num_steps is None:
        num_episodes = getattr(factory, "num_episodes", None)
        if num_episodes is None:
            raise ValueError(f"{kind} of {found.name} has no end of its own: give num_episodes or num_steps")
    _check_picklable(factory, found)
    found.check_installed()
    info = collection_info(found, kind, factory, split)
    if (Path(store) / "info.json").exists():
        info = _checked(EpisodeStore.open(store), info)
    try:
        return collect(factory, store, num_steps, num_episodes=num_episodes, info=info, **own)
    except ImportError as missing:
        raise found.lacks(missing) from missing


def collection_info(suite: Suite, kind: str, factory: CollectionFactory, split: str | None = None) -> dict[str, Any]:
    """What a store of these episodes says of itself, JSON-ready."""
    about = factory.info()
    action = suite.robots.get(about.get("robot", ""), suite.action)
    facts = {
        "suite": suite.name,
        "kind": kind,
        "action": asdict(action),
        "frame_rate": suite.frame_rate,
        "split": split,
    }
    out: dict[str, Any] = json.loads(json.dumps({**facts, **about}))
    return out


def _check_picklable(factory: CollectionFactory, suite: Suite) -> None:
    try:
        pickle.dumps(factory)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"the suite {suite.name!r} cannot be sent to the processes that collect ({error}): define its functions "
            "with def at the top of a module or script, not as lambdas or inside other functions"
        ) from error


def _checked(store: EpisodeStore, info: dict[str, Any]) -> dict[str, Any]:
    """The info to go on with. ValueError where the store holds something else."""
    if "joined" in store.info:
        raise ValueError(f"{store.path} was joined of {store.info['joined']}: collect into those and join again")
    if "kind" in store.info:
        return info  # `collect` compares
    if not len(store):
        return {}
    before = recorded_before(store)
    if different := differences(before, info):
        raise ValueError(f"{store.path} was collected with {different[0]}: go on with that or use another path")
    return {}  # as it was begun


def recorded_before(store: EpisodeStore) -> dict[str, Any]:
    """What the info of a store would say that was collected before stores said it.

    Raises:
        ValueError: it was not collected.
    """
    meta, info = store.metas[0], store.info
    suite = suite_of(store)
    if suite is None or meta.get("kind") not in KINDS or "episode_index" not in meta:
        raise ValueError(f"{store.path} holds data that were not collected by dreamgym: use another path")
    before = {"suite": suite.name, "kind": KINDS[meta["kind"]], "split": None}
    if "operators" in info:
        robot = {"robot": info["robot"]} if suite.robots and "robot" in info else {}
        kept = {k: info[k] for k in ("operators", "max_steps", "linger", "snapshots") if k in info}
        return {**before, **robot, "tasks": info["tasks"] or list(suite.tasks), "settings": kept}
    config = meta.get("config", {})
    settings = {"play": config} if before["kind"] == "demonstrations" else config
    return {**before, "scene": meta.get("scene"), "settings": settings}
