"""Thresholds and scores of a success classifier on held-out frames: precision, recall, F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dreamgym.rewards.samples import DEMO_POSTERIOR, DEMO_PRIOR, Samples
from dreamgym.rewards.success import SuccessClassifier

GRID = torch.cat([torch.linspace(0.1, 0.9, 41), torch.linspace(0.91, 0.995, 18)])


def f1_score(predicted: Tensor, label: Tensor) -> float:
    """F1 of bool tensors of one shape; 1 where there is nothing to find and nothing was found."""
    hits = int((predicted & label).sum())
    wrong = int((predicted ^ label).sum())
    return 1.0 if hits + wrong == 0 else 2 * hits / (2 * hits + wrong)


def curve(probability: Tensor, label: Tensor, grid: Tensor = GRID) -> dict[str, list[float]]:
    """Precision, recall and F1 at each threshold of ``grid``, lists as long as it."""
    predicted = probability.unsqueeze(0) >= grid.unsqueeze(1)
    hits = (predicted & label).sum(1).double()
    precision = hits / predicted.sum(1).clamp(min=1)
    recall = hits / label.sum().clamp(min=1)
    f1 = 2 * hits / (predicted.sum(1) + label.sum()).clamp(min=1)
    return {
        "threshold": [round(t, 4) for t in grid.tolist()],
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
    }


def best_threshold(parts: Sequence[tuple[Tensor, ...]], grid: Tensor = GRID) -> float:
    """The threshold with the highest F1, averaged over ``parts``; the middle one of a plateau.

    The sweep is smoothed over five thresholds first: on a few episodes its peaks are noise.

    Args:
        parts: (probability, label) of frames [n]; or (probability, label, group), where the F1 of episodes counts as
            much as that of frames. An env ends at the first frame above the threshold, so a single false one counts.
        grid: thresholds to choose from.
    """
    pairs: list[tuple[Tensor, ...]] = []
    for probability, label, *group in parts:
        pairs.append((probability, label))
        pairs += [_by_episode(probability, label, group[0])] if group else []
    curves = [torch.tensor(curve(p, y, grid)["f1"]) for p, y in pairs if y.any()]
    if not curves:
        return 0.5
    total = torch.stack(curves).mean(0)
    total = F.avg_pool1d(F.pad(total[None, None], (2, 2), mode="replicate"), 5, 1)[0, 0]
    best = (total >= total.max() - 1e-6).nonzero().flatten()
    return float(grid[best[len(best) // 2]])


@torch.no_grad()
def scores(classifier: SuccessClassifier, samples: Samples, task: int, batch_size: int = 8192) -> Tensor:
    """Probability [n] of every frame of one task."""
    pool, rows = samples.pool(), samples.of(task)[0]
    device = next(classifier.parameters()).device
    parts = []
    for part in rows.split(batch_size):
        features, start = (pool[part[:, i]].float().to(device) for i in (0, 1))
        which = torch.full((len(part),), task, device=device)
        memory = {} if classifier.start_layer is None else {"start": classifier.start_layer.one(start, task)}
        parts.append(classifier.score(features, memory, which).cpu())
    return torch.cat(parts)


def folds(label: Tensor, group: Tensor, seed: int = 0) -> Tensor:
    """Deals episodes into two folds at random, those with a success and those without apart.

    So both folds have episodes of either kind wherever there are two of each. Order in the data does not count: in
    ours experts and failed attempts alternate.

    Args:
        label: bool [n], frames of success.
        group: int64 [n], each frame's episode.
        seed: of the deal.

    Returns:
        0 or 1 for each frame, [n].
    """
    episodes, index = torch.unique(group, return_inverse=True)
    succeeded = torch.zeros(len(episodes)).index_add(0, index, label.float()) > 0
    generator = torch.Generator().manual_seed(seed)
    fold = torch.zeros(len(episodes), dtype=torch.int64)
    dealt = 0
    for kind in (succeeded, ~succeeded):
        own = kind.nonzero().flatten()
        own = own[torch.randperm(len(own), generator=generator)]
        fold[own] = (dealt + torch.arange(len(own))) % 2  # an odd one of one kind is made up for by the other
        dealt += len(own)
    return fold[index]


def cross_fitted(probability: Tensor, label: Tensor, group: Tensor, parts: Sequence[Tensor], seed: int = 0) -> Tensor:
    """Frames called a success, each by the threshold that was chosen on the other fold's episodes.

    A fold in which nothing succeeds chooses the threshold 0.5.

    Args:
        probability, label, group: of n frames.
        parts: bool [n] each, frames that are averaged over apart (see `best_threshold`).
        seed: of `folds`.

    Returns:
        bool [n].
    """
    fold = folds(label, group, seed)
    predicted = torch.zeros_like(label)
    for own in (0, 1):
        others = [p & (fold != own) for p in parts]
        threshold = best_threshold([(probability[p], label[p], group[p]) for p in others])
        predicted[fold == own] = probability[fold == own] >= threshold
    return predicted


def calibrate(classifier: SuccessClassifier, samples: Samples, seed: int = 0) -> dict[str, Any]:
    """Sets ``classifier.thresholds`` from held-out ``samples`` and reports on them.

    A threshold maximises the mean F1 of frames and of episodes, filtered and imagined. The F1 that is reported is
    cross-fitted: each half of the episodes is scored with the threshold chosen on the other half (`folds`).

    Args:
        classifier: whose thresholds are set.
        samples: held out.
        seed: of the halves.

    Returns:
        For each task: threshold, f1 (filtered frames of demonstrations), f1_off_edge (the same without the last frame
        before and the first frame after the crossing), f1_imagined, precision, recall (at the final threshold,
        filtered), episode_f1 (an episode counts as a success once any of its frames does), num_episodes,
        num_successes (episodes with one), curve (the sweep on filtered frames).
    """
    out = {}
    for i, name in enumerate(classifier.tasks):
        _, label, source, group = samples.of(i)
        probability = scores(classifier, samples, i)
        parts = [source == s for s in (DEMO_POSTERIOR, DEMO_PRIOR)]
        predicted = cross_fitted(probability, label, group, parts, seed)
        threshold = best_threshold([(probability[p], label[p], group[p]) for p in parts])
        classifier.thresholds[i] = threshold
        real = parts[0]
        final = probability[real] >= threshold
        inner = ~edges(label[real], group[real])
        sweep = curve(probability[real], label[real])
        out[name] = {
            "threshold": threshold,
            "f1": f1_score(predicted[parts[0]], label[parts[0]]),
            "f1_off_edge": f1_score(predicted[real][inner], label[real][inner]),
            "f1_imagined": f1_score(predicted[parts[1]], label[parts[1]]),
            "precision": _ratio(final & label[real], final),
            "recall": _ratio(final & label[real], label[real]),
            "episode_f1": _episode_f1(predicted[real], label[real], group[real]),
            "num_episodes": int(group[real].unique().numel()),
            "num_successes": int(group[real][label[real]].unique().numel()),
            "curve": {k: v[::4] for k, v in sweep.items()},
        }
    return out


def edges(label: Tensor, group: Tensor) -> Tensor:
    """Frames beside which the label changes within an episode, bool [n]: one on either side of a crossing."""
    change = (label[1:] != label[:-1]) & (group[1:] == group[:-1])
    none = change.new_zeros(1)
    return torch.cat([change, none]) | torch.cat([none, change])


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part.sum() / whole.sum().clamp(min=1))


def _by_episode(probability: Tensor, label: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The highest probability of each episode, and whether any of its frames is a success."""
    which, index = torch.unique(group, return_inverse=True)
    highest = torch.zeros(len(which), dtype=probability.dtype).scatter_reduce(0, index, probability, "amax")
    return highest, torch.zeros(len(which)).index_add(0, index, label.float()) > 0


def _episode_f1(predicted: Tensor, label: Tensor, group: Tensor) -> float:
    said, true = _by_episode(predicted.float(), label, group)
    return f1_score(said > 0, true)
