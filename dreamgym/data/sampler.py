"""Windows of T steps from a store, as torch batches that depend on (seed, step) alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from dreamgym.data.store import EpisodeView

_log = logging.getLogger(__name__)


class SequenceSampler:
    """Random windows of consecutive rows, each within one episode (DiWA S.2.1).

    `batch(step)` is a function of (seed, step) and of the set of episodes at construction: a resumed run sees what an
    unbroken one would have seen. Files stay memory-mapped, so a batch costs one copy of its own bytes.
    """

    def __init__(
        self,
        store: EpisodeView,
        length: int = 50,
        batch_size: int = 50,
        keys: Sequence[str] | None = None,
        seed: int = 0,
        balance: str | None = None,
        openings: float = 0.0,
    ) -> None:
        """Fix the windows that may be drawn.

        Args:
            store: A store or a view of one; episodes appended later are not seen.
            length: Rows T of a window; episodes with fewer are skipped, with one warning.
            batch_size: Windows B of a batch.
            keys: Which keys; all by default.
            seed: Of the draws, at least 0.
            balance: None: every window is as likely as any other. "episode": every episode is. The name of a meta
                entry, such as "task": every value of it is, and every window within one value.
            openings: Share of windows that begin at row 0 of their episode, beside those that happen to.

        Raises:
            ValueError: No episode is long enough, or an argument is out of range.
        """
        if length < 1 or batch_size < 1 or seed < 0:
            raise ValueError(f"length, batch_size >= 1 and seed >= 0, got {length}, {batch_size}, {seed}")
        if not 0 <= openings <= 1:
            raise ValueError(f"openings is a share, 0 to 1, got {openings}")
        lengths, order = store.lengths, _in_order(store)
        self._usable = order[lengths[order] >= length]
        if not len(self._usable):
            longest = int(lengths.max()) if len(lengths) else 0
            raise ValueError(
                f"{store.path}: none of {len(lengths)} episodes has {length} rows (longest {longest}): "
                "collect longer episodes or ask for a shorter length"
            )
        if skipped := len(lengths) - len(self._usable):
            text = "%s: %d of %d episodes are shorter than %d rows and skipped"
            _log.warning(text, store.path, skipped, len(lengths), length)
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.openings = openings
        self._store = store
        self._names = store.check_keys(keys)
        self._starts = lengths[self._usable] - length + 1
        self._edges = np.cumsum(_weights(store, self._usable, self._starts, balance))

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The windows of one step.

        Returns:
            Each key as [B, T, ...]: images uint8 [B, T, C, H, W] (a channels-last view, not a copy), vectors as
            stored; and "is_first" bool [B, T], True at row 0 of an episode only.
        """
        episodes, starts = self._draw(step)
        arrays = {
            name: np.empty((self.batch_size, self.length, *shape), dtype)
            for name, (shape, dtype) in self._store.keys.items()
            if name in self._names
        }
        for b, (i, start) in enumerate(zip(episodes, starts, strict=True)):
            for name, rows in self._store.episode(int(i), self._names, int(start), int(start) + self.length).items():
                arrays[name][b] = rows
        out = {name: _to_torch(array) for name, array in arrays.items()}
        out["is_first"] = torch.zeros(self.batch_size, self.length, dtype=torch.bool)
        out["is_first"][:, 0] = torch.from_numpy(starts == 0)
        return out

    def episodes(self, step: int) -> np.ndarray:
        """Which episodes of the view the windows of `batch` are of: indices, int64 [B]."""
        return self._draw(step)[0]

    def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Episodes and first rows of the windows of one step, int64 [B] each."""
        generator = np.random.default_rng([self.seed, step])
        draws = generator.random(self.batch_size) * self._edges[-1]
        chosen = np.searchsorted(self._edges, draws, side="right").clip(max=len(self._usable) - 1)
        starts = (generator.random(self.batch_size) * self._starts[chosen]).astype(np.int64)
        if self.openings:
            starts[generator.random(self.batch_size) < self.openings] = 0
        return self._usable[chosen], starts

    def prefetch(self, start_step: int = 0, num_workers: int = 1, depth: int = 4) -> Iterator[dict[str, torch.Tensor]]:
        """batch(start_step), batch(start_step + 1), ... without end, prepared ahead by threads, always in that order.

        Args:
            start_step: Step of the first batch.
            num_workers: Threads that read.
            depth: Batches kept ready.
        """
        with ThreadPoolExecutor(num_workers, thread_name_prefix="sampler") as pool:
            ahead: deque[Future[dict[str, torch.Tensor]]] = deque()
            step = start_step
            try:
                while True:
                    while len(ahead) < max(depth, 1):
                        ahead.append(pool.submit(self.batch, step))
                        step += 1
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()


def _in_order(store: EpisodeView) -> np.ndarray:
    """Indices by the metas' episode_index, where all have one: workers finish in any order, batches must not tell."""
    numbers = [meta.get("episode_index") for meta in store.metas]
    if any(number is None for number in numbers):
        return np.arange(len(store))
    return np.argsort(np.array(numbers, dtype=np.int64), kind="stable")


def _weights(store: EpisodeView, usable: np.ndarray, starts: np.ndarray, balance: str | None) -> np.ndarray:
    """How likely each usable episode is, float64 [N], not normalised."""
    if balance is None:
        return starts.astype(np.float64)
    if balance == "episode":
        return np.ones(len(usable))
    metas = store.metas
    if missing := [int(i) for i in usable if balance not in metas[i]]:
        has = sorted(metas[missing[0]])
        raise ValueError(f"balance={balance!r}: the meta of episode {missing[0]} has no such entry, it has {has}")
    values = np.array([repr(metas[i][balance]) for i in usable])
    _, group = np.unique(values, return_inverse=True)
    return starts / np.bincount(group, weights=starts)[group]


def _to_torch(array: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    is_image = array.dtype == np.uint8 and array.ndim == 5
    return tensor.movedim(-1, 2) if is_image else tensor
