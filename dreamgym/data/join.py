"""Several episode stores as one, without copying their rows where the disk can link them."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamgym.data.shards import COUNT, Keys, locked, publish, write_rows
from dreamgym.data.store import EpisodeStore
from dreamgym.places import check_place

SAME = ("suite", "robot", "action", "frame_rate")
"""What must not differ among the sources; of robots that each store names, robot and action may."""
EMBODIMENT = "embodiment"
"""Key of a store of several robots: the number of a row's robot among ``info["robots"]``, int64."""


def join(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> EpisodeStore:
    """Makes a store of the episodes of all ``sources``, in their order, with the keys that all of them have.

    A source that is named twice is in the store twice: a simple way to show rare episodes more often.

    Args:
        sources: stores.
        out: folder of the new store.

    The store's info keeps what the infos of all agree on, and all their tasks; "joined" names the sources.

    Stores of different robots, each of which its info names with its action, become one of several: ``info["robots"]``
    has the actions by name, the key "embodiment" says of each row which of them it is, and actions are padded with
    zeros to the widest.

    Raises:
        ValueError: no source, no key that all have in one form, sources of different suites, robots or actions, or a
            store at ``out`` already.
    """
    target = check_place(out)
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is a store already or holds other files: name another folder")
    stores = [EpisodeStore.open(source) for source in sources]
    if not stores:
        raise ValueError("there is no store to join: name at least one")
    shared = {k: v for k, v in stores[0].keys.items() if all(s.keys.get(k) == v for s in stores)}
    robots = _robots([store.info for store in stores])
    if robots:
        width = max(len(action["low"]) for action in robots.values())
        shared |= {"action": ((width,), np.dtype(np.float32)), EMBODIMENT: ((), np.dtype(np.int64))}
    if not shared:
        raise ValueError(f"no key is the same in all stores; they have {[sorted(s.keys) for s in stores]}")
    infos = [store.info for store in stores]
    if robots:
        infos = [{k: v for k, v in info.items() if k not in ("robot", "action")} for info in infos]
    info = _shared_info(infos)
    if robots:
        info |= {"robots": robots, "action": _widest(robots)}
    info["joined"] = [Path(source).name for source in sources]
    with _aside(target) as aside:
        EpisodeStore.create(aside, shared, info)
        for store in stores:
            for shard in dict.fromkeys(entry.shard for entry in store._entries):
                number = list(robots).index(store.info["robot"]) if robots else None
                _add(store.path / "shards" / shard, aside / "shards", shared, number)
        os.rename(aside, target)
    return EpisodeStore.open(target)


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Where a store is made before it is renamed, so that a join that was killed leaves nothing that looks whole.

    What such a one left behind is cleared.
    """
    aside = target.with_name(f".{target.name}.joining")
    aside.mkdir(parents=True, exist_ok=True)
    try:
        with locked(aside, exclusive=True, wait=False, name=".collect.lock"):
            for left in ("shards", "info.json", COUNT):
                shutil.rmtree(aside / left) if (aside / left).is_dir() else (aside / left).unlink(missing_ok=True)
            try:
                yield aside
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except BlockingIOError:
        raise ValueError(f"another process is joining stores into {target}: wait until it is done") from None


def _shared_info(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What those infos that say something agree on. ValueError where their rows mean different things."""
    out: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        told = [info[key] for info in infos if key in info]
        if key == "tasks":
            out[key] = list(dict.fromkeys(task for tasks in told for task in tasks))
        elif all(value == told[0] for value in told):
            out[key] = told[0]
        elif key in SAME:
            raise ValueError(f"the stores are of different {key}: {told}; rows of one store must mean the same")
    return out


def _robots(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Actions by robot where the stores are of several, each of which names its own; else {}."""
    named = {info["robot"]: info["action"] for info in infos if "robot" in info and "action" in info}
    return named if len(named) > 1 and all("robot" in info and "action" in info for info in infos) else {}


def _widest(robots: dict[str, Any]) -> dict[str, Any]:
    """Bounds within which the padded actions of all robots lie."""
    width = max(len(action["low"]) for action in robots.values())
    low = [min([0.0, *(a["low"][i] for a in robots.values() if i < len(a["low"]))]) for i in range(width)]
    high = [max([0.0, *(a["high"][i] for a in robots.values() if i < len(a["high"]))]) for i in range(width)]
    return {"low": low, "high": high}


def _add(shard: Path, into: Path, keys: Keys, robot: int | None) -> None:
    """Publishes one shard anew, its files linked where that can be done; of several robots padded and numbered."""
    temporary = into / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        made = {} if robot is None else _of_robot(shard, keys["action"][0][0], robot)
        for key, rows in made.items():
            write_rows(temporary / f"{key}.npy", [rows])
        for name in (*(f"{key}.npy" for key in keys if key not in made), "index.json"):
            try:
                os.link(shard / name, temporary / name)
            except OSError:
                shutil.copy2(shard / name, temporary / name)
        publish(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _of_robot(shard: Path, width: int, robot: int) -> dict[str, np.ndarray]:
    """A shard's actions padded to ``width``, and its rows' robot."""
    actions = np.load(shard / "action.npy")
    padded = np.zeros((len(actions), width), np.float32)
    padded[:, : actions.shape[1]] = actions
    return {"action": padded, EMBODIMENT: np.full(len(actions), robot, np.int64)}
