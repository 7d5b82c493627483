"""Batches of single frames with what can be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dreamgym.data.store import EpisodeView
from dreamgym.suites.base import Suite


class FrameSampler:
    """Frames drawn alike from all rows; batch i is a function of (seed, i).

    Args:
        episodes: the store's.
        cameras: image sensors, all of one size.
        batch_size: frames, each with all cameras.
        seed: of the draws.
        said: what holds of each row (`Sentences`); None: images alone.
    """

    def __init__(
        self,
        episodes: EpisodeView,
        cameras: Sequence[str],
        batch_size: int,
        seed: int = 0,
        said: Sentences | None = None,
    ) -> None:
        self.episodes, self.cameras, self.batch_size, self.seed, self.said = (
            episodes, list(cameras), batch_size, seed, said,
        )  # fmt: skip
        self._ends = np.cumsum(episodes.lengths)
        if not len(self._ends):
            raise ValueError(f"{episodes.path} has no episode of this split: collect some first")

    def batch(self, step: int) -> dict[str, Tensor]:
        """One batch: "images" uint8 [B, cameras, 3, H, W]; with sentences also what `Sentences.texts` gives."""
        rng = np.random.default_rng([self.seed, step])
        rows = np.sort(rng.integers(self._ends[-1], size=self.batch_size))
        out = {"images": self.images(rows)}
        if self.said is not None:
            out |= self.said.texts(rows, rng)
        return out

    def images(self, rows: np.ndarray) -> Tensor:
        """Frames by number, counted over all episodes: uint8 [B, cameras, 3, H, W]."""
        episodes = np.searchsorted(self._ends, rows, side="right")
        frames = []
        for row, i in zip(rows, episodes, strict=True):
            at = int(row - (self._ends[i] - self.episodes.lengths[i]))
            found = self.episodes.episode(int(i), self.cameras, at, at + 1)
            frames.append(np.stack([found[name][0] for name in self.cameras]))
        return torch.from_numpy(np.stack(frames)).movedim(-1, 2)


class Sentences:
    """What holds of each row of a store: sentences of the suite, and the task that an operator is at.

    Args:
        suite: the store's; its `describe` speaks of rows.
        episodes: the store's.
        most: sentences of a text at most.
    """

    def __init__(self, suite: Suite, episodes: EpisodeView, most: int = 4) -> None:
        if suite.describe is None:
            raise ValueError(f"suite {suite.name!r} has no sentences about its frames: give it Suite.describe")
        self.most = most
        numbers: dict[str, int] = {}
        rows = [self._episode(suite, episodes, i, numbers) for i in range(len(episodes))]
        self._holds = np.concatenate(rows)  # [rows, things spoken of], numbers of sentences, -1 for none
        self.sentences = list(numbers)
        told = [*self.sentences, *(suite.instruction(task) for task in suite.tasks)]
        self.words = sorted({word for text in told for word in text.lower().split()})

    def _episode(self, suite: Suite, episodes: EpisodeView, i: int, numbers: dict[str, int]) -> np.ndarray:
        assert suite.describe is not None
        said = [*suite.describe(episodes.episode(i, list(suite.layouts))), _tasks(suite, episodes, i)]
        out = np.full((int(episodes.lengths[i]), len(said)), -1, np.int32)
        for column, texts in enumerate(said):
            distinct, places = np.unique(texts, return_inverse=True)
            known = [numbers.setdefault(str(text), len(numbers)) if text else -1 for text in distinct]
            out[:, column] = np.array(known)[places]
        return out

    def tokenize(self, ids: Mapping[str, int], length: int, pad: int, end: int) -> None:
        """Fixes how texts become numbers: ids of words, the length of a text, and the ids that pad and end it."""
        tokens = [[ids[word] for word in text.lower().split()] for text in self.sentences]
        self._tokens, self.length, self.pad, self.end = tokens, length, pad, end

    def texts(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """A text for each of the rows: one to ``most`` of its sentences.

        Returns:
            "tokens" int64 [B, length] and "holds" bool [B, B]: whether text j holds of row i, which other rows' texts
            often do.
        """
        told = self._holds[rows]
        holds, tokens = np.zeros((len(rows), len(rows)), bool), np.full((len(rows), self.length), self.pad)
        for j, own in enumerate(told):
            chosen = rng.permutation(own[own >= 0])[: rng.integers(1, self.most + 1)]
            ids = [number for sentence in chosen for number in self._tokens[sentence]][: self.length - 1]
            tokens[j, : len(ids) + 1] = [*ids, self.end]
            holds[:, j] = (told[:, None, :] == chosen[None, :, None]).any(2).all(1)
        return {"tokens": torch.from_numpy(tokens), "holds": torch.from_numpy(holds)}


def _tasks(suite: Suite, episodes: EpisodeView, i: int) -> np.ndarray:
    """The annotation of each row of an episode, [T] str; empty where there is none.

    Play has "skills" in its meta, (name, first row, row after the last, ...) each; a demonstration has "task".
    """
    meta = episodes.metas[i]
    out = np.full(int(episodes.lengths[i]), suite.instruction(meta["task"]) if meta.get("task") else "", dtype=object)
    for name, start, stop, *_ in meta.get("skills", ()):
        out[start:stop] = suite.instruction(name)
    return out.astype(str)


def crops(
    images: Tensor, size: int, scale: tuple[float, float], generator: torch.Generator, brightness: float = 0.2
) -> Tensor:
    """Random square crops, resized, with brightness and contrast changed a little.

    Never mirrored: left and right are what robots act on.

    Args:
        images: [N, 3, H, W], float in [0, 1].
        size: height and width of the result.
        scale: range of a crop's area as a share of the image's.
        generator: source of randomness.
        brightness: largest relative change of brightness and of contrast.

    Returns:
        [N, 3, size, size].
    """
    count, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    side = uniform(*scale).sqrt()
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0] = theta[:, 1, 1] = side
    theta[:, 0, 2], theta[:, 1, 2] = (uniform(-1, 1) * (1 - side) for _ in range(2))
    grid = torch.nn.functional.affine_grid(theta, [count, 3, size, size], align_corners=False)
    cropped = torch.nn.functional.grid_sample(images, grid, align_corners=False, padding_mode="border")
    gain, shift = (uniform(-brightness, brightness).view(-1, 1, 1, 1) for _ in range(2))
    return ((cropped - 0.5) * (1 + gain) + 0.5 + shift / 2).clamp(0, 1)
