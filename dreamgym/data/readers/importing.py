"""From a reader to a store: rename keys, resize images, mark success, hold episodes out, append."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dreamgym.bars import progress_bar
from dreamgym.data.readers.marks import SuccessRule, success_rule
from dreamgym.data.readers.resize import resize_area
from dreamgym.data.readers.source import Source
from dreamgym.data.readers.uniform import Uniform
from dreamgym.data.shards import Meta
from dreamgym.data.store import Episode, EpisodeStore
from dreamgym.fields import LARGEST_IMAGE

SHARD_ROWS = 4096  # short episodes share a shard: one file a key and a thousand rows, not one a key and an episode
SUCCESS = "success"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportConfig:
    """What becomes of a foreign data set.

    Attributes:
        keys: name in the store -> key of the data set. A bool or number per row becomes a vector of length 1 where the
            store wants one.
        image_size: height and width of images in a new store.
        success: what marks a row as success, a rule as `success_rule` reads it; None: no marks.
        task: name of the task of episodes that name none.
        val_share, test_share: of each task's episodes, how many are held out; of a data set that holds episodes out
            itself, only the split that it lacks. The second episode of each task is "val", the third "test".
        suite: the suite that the data were recorded in.
        frame_rate: rows a second, Hz, where the data set does not say.
    """

    keys: Mapping[str, str]
    image_size: int = 64
    success: str | SuccessRule | None = None
    task: str | None = None
    val_share: float = 0.1
    test_share: float = 0.1
    suite: str | None = None
    frame_rate: float | None = None

    def __post_init__(self) -> None:
        if "action" not in self.keys:
            raise ValueError(f"an import needs the key of the action, keys={{'action': ...}}; got {dict(self.keys)}")
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share and test_share are at least 0 and below 1 together, got {self.val_share}, {self.test_share}"
            )
        if not 1 <= self.image_size <= LARGEST_IMAGE or (self.frame_rate is not None and not self.frame_rate > 0):
            raise ValueError(
                f"image_size is 1 to {LARGEST_IMAGE} and frame_rate above 0, got {self.image_size}, {self.frame_rate}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form of what two imports into one store must agree on."""
        rule = None if self.success is None else success_rule(self.success).text
        return {"keys": dict(self.keys), "image_size": self.image_size, "success": rule, "task": self.task}


def import_dataset(
    reader: Source | Iterable[tuple[Episode, Meta]],
    store: EpisodeStore | str | os.PathLike[str],
    config: ImportConfig,
    progress: bool = True,
) -> EpisodeStore:
    """Append a foreign data set to a store.

    Episodes whose meta `source` the store has already are skipped, so a killed import goes on when called again. An
    episode with a NaN or an infinity is left out, with a warning.

    Args:
        reader: a `Source` (`read("lerobot:PATH")`), or pairs (episode, meta) of your own.
        store: A store, whose keys say each image's size; or the path of one, which is created where there is none:
            images image_size x image_size, booleans as they are, all else float32 vectors.
        config: See `ImportConfig`.
        progress: Whether to show a bar of the episodes.

    Returns:
        The store. Its info holds `frame_rate`, `suite` and `action` as far as they are known, and `import`.

    Raises:
        ValueError: The data set lacks a key, its episodes are not alike, what it has does not fit the store, or the
            store was made otherwise; the message names episode, key, what was expected and what came.
    """
    rule = None if config.success is None else success_rule(config.success)
    source = reader if isinstance(reader, Source) else None
    target = store if isinstance(store, EpisodeStore) else _existing(store)
    if target is not None:
        _check_same(target, config, source)
    known = {meta["source"] for meta in target.metas if "source" in meta} if target is not None else set()
    pairs = reader.open(known) if isinstance(reader, Source) else _unknown(reader, known)
    split = _Splits(config, source, [] if target is None else target.metas)
    uniform = Uniform([*config.keys.values(), *([rule.key] if rule is not None and rule.key is not None else [])])
    pending: list[tuple[Episode, Meta]] = []
    rows, total = 0, None if source is None else len(source)
    try:
        with progress_bar(
            total=total, initial=len(known), unit="episode", desc="import", shown=progress, leave=True
        ) as bar:
            for number, (whole, meta) in enumerate(pairs):
                name = str(meta.get("source", f"episode {number} of the reader"))
                episode = uniform.check(name, whole)
                if target is None:
                    assert not isinstance(store, EpisodeStore)
                    target = EpisodeStore.create(store, _keys_of(episode, config, rule), _facts(config, source))
                bar.update()
                if (made := _made(name, episode, meta, config, target, rule, source)) is None:
                    continue
                pending.append((made[0], {"split": split(made[1]), **made[1]}))
                rows += len(made[0]["action"])
                if rows >= SHARD_ROWS:
                    full, pending, rows = pending, [], 0
                    target.append(full)
    finally:  # what came before damage, or an interrupt, is kept
        if target is not None:
            target.append(pending)
    if target is None:
        raise ValueError("the reader gave no episode: nothing to import")
    if not len(target):
        raise ValueError(
            f"{target.path}: every episode was left out, each with a NaN or an infinity (the warnings say where): "
            "leave the sensor out, or mend the data set"
        )
    return target


def _made(
    name: str,
    episode: Episode,
    meta: Meta,
    config: ImportConfig,
    store: EpisodeStore,
    rule: SuccessRule | None,
    source: Source | None,
) -> tuple[Episode, Meta] | None:
    """An episode as the store takes it, its meta without a split; None where it is left out.

    Raises:
        ValueError: it does not fit the store, or its success cannot be marked; the message names it.
    """
    said, made = dict(meta), _convert(episode, config, store)
    if (bad := _not_finite(made)) is not None:
        _log.warning("%s is left out: %s", name, bad)
        return None
    if rule is not None:
        try:
            made[SUCCESS] = rule.marks(episode, made, frozenset() if source is None else source.next_row)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        said[SUCCESS] = bool(made[SUCCESS].any())
    if config.task is not None and "skills" not in said:
        said.setdefault("task", config.task)
    try:
        return store.checked(made), said
    except ValueError as error:
        raise ValueError(f"{name} does not fit the store: {error}") from error


class _Splits:
    """Which split an episode is of, task by task, so that each task is held out in its share."""

    def __init__(self, config: ImportConfig, source: Source | None, metas: list[Meta]) -> None:
        held_out = frozenset() if source is None else source.held_out
        self._shares = [
            (name, 0.0 if name in held_out else share, begin)
            for name, share, begin in (("val", config.val_share, 1), ("test", config.test_share, 2))
        ]
        self._seen = Counter(meta.get("task") for meta in metas if meta.get("split") not in held_out)

    def __call__(self, meta: Meta) -> str:
        if "split" in meta:
            return str(meta["split"])
        number = self._seen[meta.get("task")]
        self._seen[meta.get("task")] += 1
        for name, share, begin in self._shares:
            if share and _count(number, begin, share) > _count(number - 1, begin, share):
                return name
        return "train"


def _count(number: int, begin: int, share: float) -> int:
    """Episodes of a split among 0 .. ``number`` of a task: the one at ``begin``, then ``share`` of those after it."""
    return 0 if number < begin else 1 + int((number - begin) * share + 1e-9)


def _existing(path: str | os.PathLike[str]) -> EpisodeStore | None:
    return EpisodeStore.open(path) if os.path.exists(os.path.join(path, "info.json")) else None


def _check_same(store: EpisodeStore, config: ImportConfig, source: Source | None) -> None:
    """ValueError where the store was filled in another way."""
    mend = "import into a store of its own, and `dreamgym join` the two"
    if len(store) and "import" not in store.info:
        raise ValueError(f"{store.path} was not made by an import, and has {len(store)} episodes: {mend}")
    facts = _facts(config, source)
    for name in ("import", "frame_rate", "suite", "action"):
        ours, theirs = facts.get(name), store.info.get(name)
        if "import" in store.info and ours != theirs and (source is not None or name == "import"):
            raise ValueError(f"{store.path} was imported with {name} {theirs}, this import has {ours}: {mend}")


def _facts(config: ImportConfig, source: Source | None) -> dict[str, Any]:
    """What the store remembers; see `dreamgym.suites.facts`, which fills in what is absent."""
    facts = {
        "suite": config.suite or (source.suite if source is not None else None),
        "frame_rate": config.frame_rate or (source.frame_rate if source is not None else None),
        "action": dict(source.action) if source is not None and source.action is not None else None,
    }
    return {"import": config.to_dict(), **{k: v for k, v in facts.items() if v is not None}}


def _unknown(reader: Iterable[tuple[Episode, Meta]], known: set[str]) -> Iterator[tuple[Episode, Meta]]:
    return ((episode, meta) for episode, meta in reader if meta.get("source") not in known)


def _is_image(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return dtype == np.uint8 and len(shape) == 3


def _keys_of(
    episode: Episode, config: ImportConfig, rule: SuccessRule | None
) -> dict[str, tuple[tuple[int, ...], Any]]:
    out: dict[str, tuple[tuple[int, ...], Any]] = {}
    for name, source in config.keys.items():
        array = episode[source]
        shape = array.shape[1:]
        if _is_image(shape, array.dtype):
            out[name] = ((config.image_size, config.image_size, shape[-1]), np.uint8)
        elif array.dtype == np.bool_:
            out[name] = (shape, np.bool_)
        else:
            out[name] = (shape or (1,), np.float32)
    if rule is not None:
        out[SUCCESS] = ((), np.bool_)
    return out


def _convert(episode: Episode, config: ImportConfig, store: EpisodeStore) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for name, source in config.keys.items():
        array = episode[source]
        shape, dtype = store.keys.get(name, ((), array.dtype))  # an unknown name is refused by append
        if _is_image(shape, dtype) and _is_image(array.shape[1:], array.dtype):
            array = resize_area(array, *shape[:2])
        elif array.ndim == 1 and shape == (1,):
            array = array[:, None]
        if dtype.kind == "f" and array.dtype.kind in "biu":
            array = array.astype(dtype)
        out[name] = array
    return out


def _not_finite(episode: Episode) -> str | None:
    """Which key and row hold a NaN or an infinity; None: none does."""
    for name, array in episode.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{name!r} has a NaN or an infinity at row {int(np.argwhere(~np.isfinite(array))[0][0])}"
    return None
