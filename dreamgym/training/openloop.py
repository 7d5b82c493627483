"""A quick look at a model during training: open-loop prediction on held-out windows against repeating the last frame.

The full fidelity report (more windows, the mean-frame baseline, the probe) belongs to `dreamgym.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dreamgym.suites.base import Measure
from dreamgym.types import WorldModelSpec
from dreamgym.world_models.base import WorldModel, to_frames
from dreamgym.world_models.filtering import imagined
from dreamgym.world_models.history import begin

HORIZONS = (1, 5, 20, 50)
"""Frames at which open-loop errors are looked at."""


def rows_of(spec: WorldModelSpec, horizon: int) -> int:
    """Rows of a window whose first ``spec.history`` frames are seen and ``horizon`` more imagined."""
    return (spec.history + horizon - 1) * spec.actions_per_frame + 1


@torch.no_grad()
def open_loop_eval(
    model: WorldModel,
    batch: Mapping[str, Tensor],
    horizons: Sequence[int] = HORIZONS,
    measures: Sequence[Measure] = (),
    told: Sequence[str] | None = None,
) -> dict[str, float]:
    """Errors after h imagined frames from ``spec.history`` context frames.

    Args:
        model: any family.
        batch: windows [B, T, ...] of at least `rows_of` rows; sensors, "action".
        horizons: frames at which to compare.
        measures: of the suite; those whose sensor is decoded and recorded are reported.
        told: B sentences, for models that are told something.

    Returns:
        Scalars: "psnr/<camera>/<h>" and "psnr_repeat/<camera>/<h>" in dB (mean of per-frame values);
        "mae/<vector>/<h>" and "mae_repeat/<vector>/<h>", mean absolute error over entries in mixed units; for each
        measure "<name>/<h>" and "<name>_repeat/<h>", in its unit (of a flag the share that is right).
    """
    context, a = model.spec.history, model.spec.actions_per_frame
    frames = to_frames(batch, a)
    history = {k: frames[k][:, :context] for k in model.spec.observations}
    history["action"] = batch["action"][:, : (context - 1) * a]
    generator = torch.Generator(batch["action"].device).manual_seed(0)
    state = begin(model, history, generator, told)
    keys = [k for k in model.spec.decodable if k in batch]
    known = [m for m in measures if m.key in keys]
    ahead = batch["action"][:, (context - 1) * a : (context - 1 + max(horizons)) * a]
    last = {k: frames[k][:, context - 1] for k in keys}
    out: dict[str, float] = {}
    for step, after in enumerate(imagined(model, state, ahead, generator, told), 1):
        if step not in horizons:
            continue
        truth = {k: frames[k][:, context + step - 1] for k in keys}
        decoded = model.decode(after, keys)
        for name in keys:
            out |= _errors(name, step, decoded[name], last[name], truth[name])
        for measure in known:
            out[f"{measure.name}/{step}"] = float(measure.error(decoded, truth).mean())
            out[f"{measure.name}_repeat/{step}"] = float(measure.error(last, truth).mean())
    return out


def _errors(name: str, step: int, predicted: Tensor, last: Tensor, truth: Tensor) -> dict[str, float]:
    if truth.dim() == 4:
        return {
            f"psnr/{name}/{step}": _psnr(predicted, truth / 255),
            f"psnr_repeat/{name}/{step}": _psnr(last / 255, truth / 255),
        }
    return {
        f"mae/{name}/{step}": float((predicted - truth).abs().mean()),
        f"mae_repeat/{name}/{step}": float((last - truth).abs().mean()),
    }


def _psnr(a: Tensor, b: Tensor) -> float:
    error = (a - b).square().mean((1, 2, 3)).clamp(min=1e-6)
    return float((-10 * error.log10()).mean())


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how likely a positive outscores a negative, ties counting half; nan for one class."""
    positive = np.asarray(positive, bool)
    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits == 0 or misses == 0:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))
