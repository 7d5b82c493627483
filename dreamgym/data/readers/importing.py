"""From a reader to a store: rename keys, resize images, append."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from dreamgym.data.shards import Meta
from dreamgym.data.store import Episode, EpisodeStore
from dreamgym.data.workers import split_of

SHARD_ROWS = 4096  # short episodes share a shard: one file a key and a thousand rows, not one a key and an episode


def import_dataset(
    reader: Iterable[tuple[Episode, Meta]],
    store: EpisodeStore | str | os.PathLike[str],
    keys: Mapping[str, str],
    image_size: int = 64,
    progress: bool = True,
) -> EpisodeStore:
    """Append a foreign dataset to a store.

    Episodes whose meta `source` the store has already are skipped, so a killed import goes on when called again. Metas
    without a `split` get one (every 20th episode "val").

    Args:
        reader: Pairs (episode, meta), from `read_calvin`, `read_minari`, `read_lerobot` or a generator of your own.
        store: A store, whose keys say each image's size; or the path of one, which is created where there is none:
            images image_size x image_size, booleans as they are, all else float32.
        keys: Name in the store -> name in the dataset. A bool or number per row becomes a vector of length 1 where the
            store wants one.
        image_size: Height and width of images in a new store.
        progress: Whether to show a bar of the steps.

    Returns:
        The store.

    Raises:
        ValueError: The dataset lacks a key, or what it has does not fit the store.
    """
    target: EpisodeStore | None = None
    known: set[str] = set()
    pending: list[tuple[Episode, Meta]] = []
    rows = 0
    with tqdm(unit="step", desc="import", disable=not progress) as bar:
        for episode, meta in reader:
            if target is None:
                if isinstance(store, EpisodeStore):
                    target = store
                else:
                    target = EpisodeStore.create(store, _keys_of(episode, keys, image_size))
                known = {meta["source"] for meta in target.metas if "source" in meta}
            length = len(next(iter(episode.values())))
            bar.update(length)
            if meta.get("source") in known:
                continue
            split = split_of(len(target) + len(pending))
            pending.append((_convert(episode, keys, target), {"split": split, **meta}))
            rows += length
            if rows >= SHARD_ROWS:
                target.append(pending)
                pending, rows = [], 0
    if target is None:
        raise ValueError("the reader gave no episode: nothing to import")
    target.append(pending)
    return target


def resize_area(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize by area averaging (DiWA S.4): each new pixel is the mean of the area that it covers, fractions included.

    Args:
        images: uint8 [..., H, W, C].
        height: New height.
        width: New width; where its ratio is another one, the picture is squeezed.

    Returns:
        uint8 [..., height, width, C].
    """
    if images.shape[-3:-1] == (height, width):
        return images
    rows, columns = _area_weights(images.shape[-3], height), _area_weights(images.shape[-2], width)
    out = np.empty((*images.shape[:-3], height, width, images.shape[-1]), np.uint8)
    for index in np.ndindex(images.shape[:-3]):  # image by image: floats of a whole episode would be gigabytes
        squeezed = np.tensordot(rows, images[index].astype(np.float32), axes=(1, 0))
        out[index] = np.rint(np.tensordot(columns, squeezed, axes=(1, 1)).swapaxes(0, 1))
    return out


def _area_weights(old: int, new: int) -> np.ndarray:
    """float32 [new, old]: how much of each old pixel lies in each new one; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(min=0) * (new / old)).astype(np.float32)


def _pick(episode: Episode, source: str) -> np.ndarray:
    if source not in episode:
        raise ValueError(f"the dataset has no key {source!r}; it has {sorted(episode)}")
    return np.asarray(episode[source])


def _is_image(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return dtype == np.uint8 and len(shape) == 3


def _keys_of(episode: Episode, keys: Mapping[str, str], image_size: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    out: dict[str, tuple[tuple[int, ...], Any]] = {}
    for name, source in keys.items():
        array = _pick(episode, source)
        shape = array.shape[1:]
        if _is_image(shape, array.dtype):
            out[name] = ((image_size, image_size, shape[-1]), np.uint8)
        else:
            out[name] = (shape, np.bool_ if array.dtype == np.bool_ else np.float32)
    return out


def _convert(episode: Episode, keys: Mapping[str, str], store: EpisodeStore) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for name, source in keys.items():
        array = _pick(episode, source)
        shape, dtype = store.keys.get(name, ((), array.dtype))  # an unknown name is refused by append
        if _is_image(shape, dtype) and _is_image(array.shape[1:], array.dtype):
            array = resize_area(array, *shape[:2])
        elif array.ndim == 1 and shape == (1,):
            array = array[:, None]
        if dtype.kind == "f" and array.dtype.kind in "biu":
            array = array.astype(dtype)
        out[name] = array
    return out
