"""Open-loop errors of an MLP world model on held-out episodes, beside repeating the last frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.data import EpisodeView, SequenceSampler
from dreamgym.training.openloop import auroc
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.families.mlp import MLPWorldModel

SENSOR = "state"
HORIZONS = (1, 5, 20)
LONG = (*HORIZONS, 50)


@dataclass(frozen=True)
class Part:
    """A part of a suite's state whose error has a unit.

    Attributes:
        entries: which entries of the state; of an angle its cosine and sine.
        unit: what `scale` times the error is in.
        scale: units to one of the state's own.
        angle: whether the entries are an angle's cosine and sine (the error then is in radians before scaling).
    """

    entries: slice
    unit: str
    scale: float = 1.0
    angle: bool = False

    def error(self, x: Tensor, truth: Tensor) -> Tensor:
        """[B] of states x and truth [B, O]: distance, or angle between."""
        a, b = x[:, self.entries], truth[:, self.entries]
        if not self.angle:
            return (a - b).norm(dim=1) * self.scale
        between = torch.atan2(a[:, 1], a[:, 0]) - torch.atan2(b[:, 1], b[:, 0])
        return torch.remainder(between + math.pi, 2 * math.pi).sub(math.pi).abs() * self.scale


PARTS: dict[str, dict[str, Part]] = {
    "metaworld": {
        "hand": Part(slice(0, 3), "cm", 100),
        "first object": Part(slice(4, 7), "cm", 100),
    },
    "pusht": {
        "disc": Part(slice(0, 2), "px"),
        "block": Part(slice(2, 4), "px"),
        "block's angle": Part(slice(4, 6), "degrees", 180 / math.pi, angle=True),
    },
    "robosuite": {
        "gripper": Part(slice(0, 3), "cm", 100),
        "object": Part(slice(-12, -9), "cm", 100),
    },
}
"""By suite. What the entries are: `MetaworldEnv`, `PushTEnv`, `RobosuiteEnv`."""


@torch.no_grad()
def evaluate(model: WorldModel, view: EpisodeView, windows: int = 128) -> dict[str, float]:
    """Errors over all entries that move.

    Returns:
        "error/<h>" and "repeat/<h>": absolute error after h imagined steps in standard deviations of each entry, mean
        over entries that move; "skill/<h>" = 1 - error / repeat; "uncertainty_p99", of all steps on the way;
        "uncertainty_auroc", of finding the worst tenth of errors at those "uncertainty_steps" steps by the uncertainty,
        and "uncertainty_auroc_one_step", at the first alone. Empty where no held-out episode is long enough.
    """
    assert isinstance(model, MLPWorldModel)
    horizons = reachable(model, view, HORIZONS)
    moves = model.scaling.delta_std > 2e-3 * model.scaling.std  # the rest stand still, or nearly
    out: dict[str, float] = {}
    unsure: list[Tensor] = []
    wrong: list[Tensor] = []
    for step, imagined, truth, last, uncertainty in _open_loop(model, view, windows, max(horizons, default=0)):
        scale = model.scaling.std[moves]
        errors = [((x - truth)[:, moves].abs() / scale).mean(1) for x in (imagined, last)]
        unsure.append(uncertainty)
        wrong.append(errors[0])
        if step in horizons:
            found = [float(e.mean()) for e in errors]
            out |= {f"error/{step}": found[0], f"repeat/{step}": found[1]}
            out[f"skill/{step}"] = 1 - found[0] / max(found[1], 1e-9)
    if unsure:
        out["uncertainty_p99"] = float(torch.stack(unsure).flatten().quantile(0.99))
        out["uncertainty_auroc_one_step"] = _points_out(unsure[:1], wrong[:1])
        out["uncertainty_auroc"] = _points_out(unsure, wrong)
        out["uncertainty_steps"] = len(wrong)
    return out


def _points_out(unsure: list[Tensor], wrong: list[Tensor]) -> float:
    """AUROC of finding the worst tenth of errors by the uncertainty, each a list over steps of [B]."""
    score, error = (torch.cat(of).cpu().numpy() for of in (unsure, wrong))
    return auroc(score, error >= np.quantile(error, 0.9))


@torch.no_grad()
def evaluate_parts(model: WorldModel, view: EpisodeView, suite: str, windows: int = 256) -> dict[str, dict[str, float]]:
    """Errors of the parts of a suite's state, in their units.

    Returns:
        By part: "unit"'s error after h steps as "error/<h>", and that of the last frame repeated as "repeat/<h>"; the
        same from an episode's first frame, as a reset shows it, as "error/opening/<h>" and "repeat/opening/<h>". Empty
        where no held-out episode is long enough, or the suite has no parts.
    """
    assert isinstance(model, MLPWorldModel)
    parts, horizons = PARTS.get(suite, {}), reachable(model, view, LONG)
    out: dict[str, dict[str, float]] = {name: {} for name in parts} if horizons else {}
    for where in ("", "opening/"):
        run = _open_loop(model, view, windows, max(horizons, default=0), bool(where))
        for step, imagined, truth, last, _ in run:
            if step in horizons:
                for name, part in parts.items():
                    out[name][f"error/{where}{step}"] = float(part.error(imagined, truth).mean())
                    out[name][f"repeat/{where}{step}"] = float(part.error(last, truth).mean())
    return out


def reachable(model: WorldModel, view: EpisodeView, horizons: tuple[int, ...]) -> list[int]:
    """Those horizons for which an episode of the view is long enough."""
    return [h for h in horizons if len(view) and (view.lengths >= model.spec.history + h).any()]


def _open_loop(
    model: MLPWorldModel, view: EpisodeView, windows: int, steps: int, opening: bool = False
) -> Iterator[tuple[int, Tensor, Tensor, Tensor, Tensor]]:
    """Imagines ``steps`` steps along recorded actions: (step, imagined, truth, last real [B, O], uncertainty [B]).

    With ``opening`` each goes on from an episode's first frame, whose history is padded as at a reset.
    """
    if not steps:
        return
    context = model.spec.history
    length, keys = context + steps, [SENSOR, "action"]
    sampler = SequenceSampler(view, length, windows, keys, seed=1, balance="episode", openings=float(opening))
    batch = {k: v.to(model.scaling.mean.device) for k, v in sampler.batch(0).items()}
    obs, action = batch[SENSOR], model.spec.prepare(batch["action"])
    if opening:
        hold = torch.tensor(model.spec.action.hold).to(action).repeat(len(action), context - 1, 1)
        for i in model.spec.action.binary:
            hold[..., i] = action[:, :1, i]
        obs = torch.cat([obs[:, :1].expand(-1, context - 1, -1), obs], 1)
        action = torch.cat([hold, action], 1)
    state = model.start({SENSOR: obs[:, :context], "action": action[:, : context - 1]})
    for step in range(1, steps + 1):
        state = model.imagine(state, action[:, context + step - 2])
        imagined = model.decode(state, [SENSOR])[SENSOR]
        yield step, imagined, obs[:, context + step - 1], obs[:, context - 1], model.uncertainty(state)
