"""A quick look at a model during training: open-loop prediction on held-out windows against repeating the last frame.

The full fidelity report (more windows, the mean-frame baseline, the probe) belongs to `dreamgym.evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dreamgym.world_models.base import WorldModel


@torch.no_grad()
def open_loop_eval(
    model: WorldModel, batch: dict[str, Tensor], horizons: Sequence[int] = (1, 5, 20, 50)
) -> dict[str, float]:
    """Errors after h imagined steps from ``spec.history`` context frames.

    Args:
        model: any family.
        batch: windows [B, T, ...] with T at least history + max(horizons); sensors, "action".
        horizons: steps at which to compare.

    Returns:
        Scalars: "psnr/<camera>/<h>" and "psnr_repeat/<camera>/<h>" in dB (mean of per-frame values);
        "mae/<vector>/<h>" and "mae_repeat/<vector>/<h>", mean absolute error over entries in mixed units; the scene's
        named parts where there is a "scene_obs": "drawer/<h>", "slider/<h>" in metres, "lights/<h>" share right.
    """
    context = model.spec.history
    history = {k: batch[k][:, :context] for k in model.spec.observations}
    history["action"] = batch["action"][:, : context - 1]
    device = batch["action"].device
    generator = torch.Generator(device).manual_seed(0)
    state = model.start(history, generator)
    keys = [k for k in model.spec.decodable if k in batch]
    out: dict[str, float] = {}
    for step in range(1, max(horizons) + 1):
        action = model.spec.prepare(batch["action"][:, context + step - 2])
        state = model.imagine(state, action, generator)
        if step not in horizons:
            continue
        decoded = model.decode(state, keys)
        for name in keys:
            truth, last = batch[name][:, context + step - 1], batch[name][:, context - 1]
            if truth.dim() == 4:
                out[f"psnr/{name}/{step}"] = _psnr(decoded[name], truth / 255)
                out[f"psnr_repeat/{name}/{step}"] = _psnr(last / 255, truth / 255)
            else:
                out.update(_vector_errors(name, step, decoded[name], last, truth))
    return out


def _psnr(a: Tensor, b: Tensor) -> float:
    error = (a - b).square().mean((1, 2, 3)).clamp(min=1e-6)
    return float((-10 * error.log10()).mean())


def _vector_errors(name: str, step: int, predicted: Tensor, last: Tensor, truth: Tensor) -> dict[str, float]:
    out = {
        f"mae/{name}/{step}": float((predicted - truth).abs().mean()),
        f"mae_repeat/{name}/{step}": float((last - truth).abs().mean()),
    }
    if name == "scene_obs" and truth.shape[-1] == 24:
        for i, part in enumerate(("slider", "drawer")):
            out[f"{part}/{step}"] = float((predicted - truth)[:, i].abs().mean())
            out[f"{part}_repeat/{step}"] = float((last - truth)[:, i].abs().mean())
        for source, suffix in ((predicted, ""), (last, "_repeat")):
            right = (source[:, 4:6] > 0.5) == (truth[:, 4:6] > 0.5)
            out[f"lights{suffix}/{step}"] = float(right.float().mean())
    return out


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how likely a positive outscores a negative, ties counting half; nan for one class."""
    positive = np.asarray(positive, bool)
    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits == 0 or misses == 0:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))
