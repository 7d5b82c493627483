"""Several episode stores as one, without copying their rows where the disk can link them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dreamgym.data.shards import publish
from dreamgym.data.store import EpisodeStore

SAME = ("suite", "robot", "action", "frame_rate")
"""What must not differ among the sources."""


def join(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> EpisodeStore:
    """Makes a store of the episodes of all ``sources``, in their order, with the keys that all of them have.

    A source that is named twice is in the store twice: a simple way to show rare episodes more often.

    Args:
        sources: stores.
        out: folder of the new store.

    The store's info keeps what the infos of all agree on, and all their tasks; "joined" names the sources.

    Raises:
        ValueError: no source, no key that all have in one form, sources of different suites, robots or actions, or a
            store at ``out`` already.
    """
    stores = [EpisodeStore.open(source) for source in sources]
    if not stores:
        raise ValueError("there is no store to join: name at least one")
    shared = {k: v for k, v in stores[0].keys.items() if all(s.keys.get(k) == v for s in stores)}
    if not shared:
        raise ValueError(f"no key is the same in all stores; they have {[sorted(s.keys) for s in stores]}")
    info = _shared_info([store.info for store in stores])
    info["joined"] = [Path(source).name for source in sources]
    target = Path(out)
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"{target} is a store already or holds other files: name another folder")
    # Made aside and renamed: a join that was killed leaves nothing that looks whole.
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        EpisodeStore.create(aside, shared, info)
        for store in stores:
            for shard in dict.fromkeys(entry.shard for entry in store._entries):
                _add(store.path / "shards" / shard, aside / "shards", list(shared))
        os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return EpisodeStore.open(target)


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


def _add(shard: Path, into: Path, keys: Sequence[str]) -> None:
    """Publishes one shard anew, its files linked where that can be done."""
    temporary = into / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        for name in (*(f"{key}.npy" for key in keys), "index.json"):
            try:
                os.link(shard / name, temporary / name)
            except OSError:
                shutil.copy2(shard / name, temporary / name)
        publish(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
