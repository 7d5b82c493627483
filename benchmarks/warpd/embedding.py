"""Latents in the plane: principal components (A.6) and t-SNE (4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

EXAGGERATION, EXAGGERATED = 12.0, 100  # of the attraction, in the first steps


def principal_components(z: Tensor, count: int = 2) -> Tensor:
    """The first principal components [N, count] of z [N, D]."""
    centred = z.double() - z.double().mean(0)
    return (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:count].T).float()


def tsne(z: Tensor, perplexity: float = 20.0, steps: int = 500) -> Tensor:
    """t-SNE (van der Maaten and Hinton 2008) of z [N, D] in the plane, [N, 2]: exact, for a thousand points or so.

    It begins at the principal components, so it draws nothing at random.

    Args:
        z: points.
        perplexity: how many neighbours a point has, in effect; fewer where there are few points.
        steps: of gradient descent, with momentum, as long as stable ones (they grow with the number of points).
    """
    share = _neighbours(torch.cdist(z.double(), z.double()).square(), min(perplexity, (len(z) - 1) / 3))
    share = ((share + share.T) / (2 * len(z))).clamp(min=1e-12)
    flat = principal_components(z).double()
    flat = 1e-2 * flat / flat.std(0).clamp(min=1e-12)
    moving = torch.zeros_like(flat)
    for step in range(steps):
        early = step < EXAGGERATED
        wanted = share * (EXAGGERATION if early else 1.0)
        near = 1 / (1 + torch.cdist(flat, flat).square())
        near.fill_diagonal_(0)
        pull = (wanted - near / near.sum()) * near
        gradient = 4 * (pull.sum(1, keepdim=True) * flat - pull @ flat)
        moving = (0.5 if early else 0.8) * moving - len(z) / (4 * EXAGGERATION if early else 4) * gradient
        flat = flat + moving
    return flat.float()


def _neighbours(distance: Tensor, perplexity: float) -> Tensor:
    """Each point's share [N, N] of the others as its neighbours, with the width that gives the perplexity."""
    goal = torch.tensor(perplexity, dtype=torch.float64).log()
    others = distance.clone().fill_diagonal_(torch.inf)
    scale = others.amin(1, keepdim=True)
    low = torch.zeros_like(scale)
    high = torch.full_like(scale, torch.inf)
    sharp = 1 / distance.mean(1, keepdim=True).clamp(min=1e-12)
    for _ in range(60):
        share = torch.softmax(-(others - scale) * sharp, 1)
        entropy = -(share * share.clamp(min=1e-300).log()).sum(1, keepdim=True)
        wide = entropy > goal
        low, high = torch.where(wide, sharp, low), torch.where(wide, high, sharp)
        sharp = torch.where(high.isinf(), sharp * 2, (low + high) / 2)
    return share


def draw_latents(z: Tensor, labels: dict[str, Sequence[str]], path: Path) -> None:
    """A picture of latents [N, D]: principal components above, t-SNE below, a column for each way to label them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = {"principal components": principal_components(z), "t-SNE": tsne(z)}
    figure, axes = plt.subplots(2, len(labels), figsize=(5 * len(labels), 9), squeeze=False)
    for line, (how, flat) in zip(axes, rows.items(), strict=True):
        for axis, (by, names) in zip(line, labels.items(), strict=True):
            for name in sorted(set(names)):
                chosen = [i for i, n in enumerate(names) if n == name]
                axis.scatter(*flat[chosen].numpy().T, s=12, label=name)
            axis.set_title(f"{how}, by {by}", loc="left")
            axis.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
