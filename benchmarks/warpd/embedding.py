"""Latents in the plane: principal components (A.6) and t-SNE (4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

PERPLEXITY = 20


def in_the_plane(z: np.ndarray) -> dict[str, np.ndarray]:
    """Latents [N, D] by their first four principal components, two by two, and by t-SNE, each [N, 2]."""
    perplexity = min(PERPLEXITY, (len(z) - 1) / 3)
    components = PCA(4).fit_transform(z)
    return {
        "components 1, 2": components[:, :2],
        "components 3, 4": components[:, 2:],
        "t-SNE": TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(z),
    }


def draw_latents(z: np.ndarray, labels: dict[str, Sequence[str]], path: Path) -> None:
    """A picture of latents [N, D]: a column for each embedding, a row for each way to label them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    planes = in_the_plane(z)
    size = 4.6 * len(planes) + 1.8, 4.6 * len(labels)
    figure, axes = plt.subplots(len(labels), len(planes), figsize=size, squeeze=False, layout="constrained")
    for line, (by, names) in zip(axes, labels.items(), strict=True):
        for axis, (how, flat) in zip(line, planes.items(), strict=True):
            for name in sorted(set(names)):
                axis.scatter(*flat[[n == name for n in names]].T, s=12, alpha=0.7, label=name)
            axis.set_title(f"{how}, by {by}", loc="left")
            axis.set_xticks([])
            axis.set_yticks([])
        line[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_side_by_side(z: dict[str, np.ndarray], path: Path) -> None:
    """A picture of latents [N, D] by title: the first two principal components of each, on one scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(z), figsize=(4.2 * len(z), 4.2), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (title, points) in zip(axes[0], z.items(), strict=True):
        axis.scatter(*PCA(2).fit_transform(points).T, s=10, alpha=0.7, color="#e4572e")
        axis.set_title(title, loc="left")
        axis.set_aspect("equal")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
