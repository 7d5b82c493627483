"""Imagines action sequences from where a core stands, all of them in one batch, and values them."""

from __future__ import annotations

import torch
from torch import Tensor

from dreamgym.envs.core.core import DreamCore
from dreamgym_agents.planning.objectives import Frame, Objective


@torch.no_grad()
def imagine(
    core: DreamCore,
    plans: Tensor,
    objective: Objective,
    generator: torch.Generator | None = None,
    penalty: float = 0.0,
    cut: float | None = None,
) -> Tensor:
    """Values of action sequences.

    The core is not moved. All sequences of all envs are one batch of the world model, so a family that predicts
    several frames jointly samples once.

    Args:
        core: of B envs; its states, the reward's memory and the tasks are where the sequences begin.
        plans: [B, N, H * a, A] prepared actions, a control actions a frame.
        objective: what is wanted.
        generator: of the model's noise.
        penalty: see `PlannerConfig`.
        cut: uncertainty above which a sequence is no longer believed; None: never.

    Returns:
        [B, N] float32. A sequence whose features cease to be finite is worth minus infinity.
    """
    num_envs, num = plans.shape[:2]
    model, reward, a = core.model, core.reward, core.spec.actions_per_frame
    env = torch.arange(num_envs, device=plans.device).repeat_interleave(num)
    state, memory = ({k: v[env] for k, v in part.items()} for part in (core.state, core.memory))
    task, actions = core.counters["task"][env], plans.flatten(0, 1)
    values, doubts = [], []
    per_frame = [part[:, 0] if a == 1 else part for part in actions.split(a, 1)]
    for action, following in zip(per_frame, model.unroll(state, actions, generator), strict=True):
        values.append(objective(Frame(model, reward, following, memory, task, env)))
        if not objective.at_end:
            _, _, memory = reward.step(model, memory, state, action, following, task)
        if penalty or cut is not None:
            doubts.append(model.uncertainty(following))
        state = following
    total = combine(torch.stack(values, 1), torch.stack(doubts, 1) if doubts else None, objective.at_end, penalty, cut)
    finite = torch.isfinite(model.features(state).flatten(1)).all(1) & torch.isfinite(total)
    return total.masked_fill(~finite, -torch.inf).view(num_envs, num)


def combine(values: Tensor, doubts: Tensor | None, at_end: bool, penalty: float, cut: float | None) -> Tensor:
    """One value a sequence.

    Args:
        values: [R, H] of frames.
        doubts: [R, H] uncertainty of frames, or None where it does not count.
        at_end: see `Objective`.
        penalty, cut: see `PlannerConfig`.
    """
    if doubts is not None and cut is not None:
        believed = (doubts <= cut).cummin(1).values
        values = torch.where(believed, values, values.min())
    total = values[:, -1] if at_end else values.cummax(1).values.mean(1)
    return total if doubts is None else total - penalty * doubts.mean(1)
