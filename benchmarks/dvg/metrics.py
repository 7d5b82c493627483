"""What imagined clips are compared by: likeness of frames, distance of features, and which piece of furniture moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional import spearman_corrcoef

from dreamgym.data import EpisodeStore
from dreamgym.evaluation.making import likeness
from dreamgym.evaluation.making.likeness import psnr, ssim
from dreamgym.suites.facts import store_facts
from dreamgym.world_models.families.video_cascade import VideoCascade

OBJECTS = {"drawer": "drawer", "slider": "slider", "lightbulb": "bulb", "led": "led"}
"""What a task's name holds, and the suite's measure of it."""
PLACES = 4
"""Features are latents averaged over so many places a side."""
MOVED = 0.5
"""Share of its usual way from which on a piece counts as moved."""
RIDGE = 0.01
BATCH = 8


@dataclass(frozen=True)
class Clips:
    """Recorded clips.

    Attributes:
        frames: [N, F + 1, C, H, W] in [0, 1]; the first is the one that clips are made from.
        scene: [N, F + 1, d], the scene's state.
        tasks: names.
    """

    frames: Tensor
    scene: Tensor
    tasks: tuple[str, ...]

    @classmethod
    def read(cls, store: EpisodeStore, model: VideoCascade, split: str, limit: int | None = None) -> Clips:
        """Clips of a split of a clip store; of ``limit``, as many of each task, drawn by a fixed seed."""
        config, view = model.config, store.select(split=split)
        order = np.random.default_rng(0).permutation(len(view))
        tasks = [view.metas[int(i)]["task"] for i in order]
        rank = [tasks[:n].count(task) for n, task in enumerate(tasks)]
        order = order[np.argsort(rank, kind="stable")][:limit]  # one of each task, then the next of each
        rows = [view.episode(int(i), [config.camera, "scene_obs"]) for i in order]
        frames = np.stack([r[config.camera][:: config.actions_per_frame] for r in rows])
        scene = np.stack([r["scene_obs"][:: config.actions_per_frame] for r in rows])
        named = tuple(view.metas[int(i)]["task"] for i in order)
        return cls(torch.from_numpy(frames).movedim(-1, 2).float() / 255, torch.from_numpy(scene), named)


@torch.no_grad()
def encoded(model: VideoCascade, frames: Tensor) -> Tensor:
    """Latents [N, T, Z, h, w] of clips or of single frames [N, F, C, H, W]."""
    return torch.cat([model.autoencoder.encode(part) for part in frames.split(BATCH)])


def features(model: VideoCascade, clips: Tensor) -> Tensor:
    """Features [N t, Z * PLACES^2] of clips [N, F + 1, C, H, W]: their latents after the first, of 4 frames each."""
    latents = encoded(model, clips)[:, 1:].flatten(0, 1)
    return F.adaptive_avg_pool2d(latents, PLACES).flatten(1)


def frechet(model: VideoCascade, made: Tensor, real: Tensor) -> float:
    """Fréchet distance of two sets of clips [N, F + 1, C, H, W], in the features of our own autoencoder."""
    return likeness.frechet(features(model, made), features(model, real))


class ObjectProbe:
    """Reads off two frames which piece of furniture changed, and whether up or down.

    A ridge regression reads the scene's state off a frame's latent. A piece has moved where it changed by `MOVED` of
    the way that it usually goes in its tasks; of several, the one that moved most counts.

    Args:
        model: whose autoencoder encodes.
        clips: recorded ones, to learn from.
        measures: entry of the scene's state and usual change of each piece.
    """

    def __init__(self, model: VideoCascade, clips: Clips, measures: Mapping[str, tuple[int, float]]) -> None:
        self.model, self.measures = model, dict(measures)
        frames = clips.frames[:, ::4].flatten(0, 1)
        x, y = self._features(frames), clips.scene[:, ::4].flatten(0, 1)[:, [m[0] for m in measures.values()]].double()
        self.weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1]).double(), x.T @ y)

    def _features(self, frames: Tensor) -> Tensor:
        flat = encoded(self.model, frames.unsqueeze(1)).flatten(1).double()
        return torch.cat([flat, torch.ones(len(flat), 1, dtype=torch.double)], 1)

    def __call__(self, first: Tensor, last: Tensor) -> list[tuple[str | None, int]]:
        """The piece (None: nothing moved) and the sign of its change, between frames [N, C, H, W]."""
        change = (self._features(last) - self._features(first)) @ self.weights
        share = change / torch.tensor([m[1] for m in self.measures.values()]).double()
        most, names = share.abs().argmax(1), list(self.measures)
        ways = share.gather(1, most[:, None])[:, 0]
        return [
            (names[i] if abs(way) >= MOVED else None, int(np.sign(way)))
            for i, way in zip(most.tolist(), ways.tolist(), strict=True)
        ]


def asked(task: str) -> tuple[str, int]:
    """The measure of the piece of furniture that a task is about, and the sign of the change that it wants."""
    piece = next(measure for word, measure in OBJECTS.items() if word in task)
    return piece, 1 if any(word in task for word in ("open", "left", "turn_on")) else -1


def furniture(store: EpisodeStore) -> dict[str, tuple[int, float]]:
    """Entry of the scene's state and usual change of each piece, from the suite and the recorded clips of its tasks."""
    suite, train = store_facts(store).suite, store.select(split="train")
    assert suite is not None
    out = {}
    for measure in suite.measures:
        if measure.name in OBJECTS.values():
            (entry,) = measure.entries
            rows = [i for i, m in enumerate(train.metas) if asked(m["task"])[0] == measure.name]
            ends = [train.episode(i, ["scene_obs"])["scene_obs"][[0, -1], entry] for i in rows]
            out[measure.name] = (entry, float(np.abs(np.diff(ends, axis=1)).mean()))
    return out


def right(found: Sequence[tuple[str | None, int]], tasks: Sequence[str]) -> tuple[float, float]:
    """Shares of clips in which the piece that was asked for moved, and in which it moved the way it was to."""
    wanted = [asked(task) for task in tasks]
    pairs = list(zip(found, wanted, strict=True))
    return float(np.mean([f[0] == w[0] for f, w in pairs])), float(np.mean([f == w for f, w in pairs]))


def doubt_correlation(doubt: Tensor, made: Tensor, real: Tensor) -> float:
    """How well a model's uncertainty orders clips by their error: rank correlation [-1, 1], mean over frame numbers.

    Among clips at the same frame number, for errors grow along a clip and any number that does would correlate.

    Args:
        doubt: [N, F].
        made, real: [N, F, C, H, W].
    """
    errors = (made - real).square().flatten(2).mean(2)
    return float(torch.stack([spearman_corrcoef(d, e) for d, e in zip(doubt.T, errors.T, strict=True)]).mean())


def measured(made: Tensor, clips: Clips, model: VideoCascade, probe: ObjectProbe) -> dict[str, float]:
    """Figures of clips [N, F, C, H, W] that were made from the recorded ones' first frames."""
    real, first = clips.frames[:, 1:].flatten(0, 1), clips.frames[:, :1]
    flat = made.flatten(0, 1)
    objects, tasks = right(probe(first[:, 0], made[:, -1]), clips.tasks)
    return {
        "psnr": float(psnr(flat, real).mean()),
        "ssim": float(ssim(flat, real).mean()),
        "frechet": frechet(model, torch.cat([first, made], 1), clips.frames),
        "object_accuracy": objects,
        "task_accuracy": tasks,
    }
