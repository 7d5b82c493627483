"""Fresh episodes of the real simulator from a start bank: scripted operators, and what a model makes of them.

This is the on-policy check: the data that a model and its classifier were trained on never come into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dreamgym.bars import progress_bar
from dreamgym.envs.core.starts import StartBank
from dreamgym.evaluation.statistics.comparison import Sequences as ActionSequences
from dreamgym.fields import check_numbers
from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.calibrate import f1_score
from dreamgym.suites.base import Attempt, Trials
from dreamgym.types import SPLITS
from dreamgym.world_models.base import WorldModel
from dreamgym.world_models.filtering import frames_of, imagined


@dataclass(frozen=True)
class Rollouts:
    """Real episodes from starts of a bank, padded to one length T.

    Attributes:
        tasks: names.
        row: [N] int64, rows of the bank.
        task: [N] int64, indices into ``tasks``.
        length: [N] int64, executed actions.
        action: [N, T, A] float32.
        obs: sensors in torch layout [N, T + 1, ...]; entry t stands before action t.
        success: [N, T + 1] bool, by the simulator's rules.
    """

    tasks: tuple[str, ...]
    row: Tensor
    task: Tensor
    length: Tensor
    action: Tensor
    obs: dict[str, Tensor]
    success: Tensor

    @property
    def mask(self) -> Tensor:
        """[N, T + 1] bool: entries that really happened, the start left out."""
        t = torch.arange(self.success.shape[1])
        return (t >= 1) & (t <= self.length.unsqueeze(1))


@dataclass(frozen=True)
class RolloutConfig:
    """How scripted operators act.

    Attributes:
        per_task: episodes a task.
        horizon: actions of an episode at most.
        linger: actions after the first success, or after the operator has given up; None: go on to the horizon.
        noise: standard deviation of Gaussian noise on the operator's actions, in units of the action.
        miss_share: share of the episodes in which the operator reaches for a wrong place.
        split: of the starts.
        seed: of the choice of starts, styles and noise.
    """

    per_task: int = 8
    horizon: int = 64
    linger: int | None = 6
    noise: float = 0.15
    miss_share: float = 0.25
    split: str = "val"
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {list(SPLITS)}, got {self.split!r}")
        if min(self.per_task, self.horizon) < 1:
            raise ValueError(f"per_task and horizon of at least 1 expected, got {self}")


def operator_rollouts(
    bank: StartBank,
    tasks: Sequence[str],
    trials: Trials,
    config: RolloutConfig | None = None,
    progress: bool = False,
) -> Rollouts:
    """Lets scripted operators try each task in the simulator from snapshots of ``bank``.

    Args:
        bank: starts with snapshots.
        tasks: some of the suite's.
        trials: the suite's (`dreamgym.suites.trials.open_trials`); left open.
        config: see `RolloutConfig`.
        progress: whether to show a bar.

    Raises:
        ValueError: the bank has no snapshots, or no start of a task in the split.
    """
    config = RolloutConfig() if config is None else config
    if bank.snapshot is None:
        raise ValueError("the start bank has no simulator snapshots: build it from stores with a 'snapshot' key")
    rng = np.random.default_rng(config.seed)
    plan = []
    for i, task in enumerate(tasks):
        rows = bank.candidates(task, config.split).numpy()
        drawn = rng.permutation(np.resize(rng.permutation(rows), config.per_task))
        plan += [(i, int(r)) for r in drawn[: config.per_task]]
    attempts = []
    for i, row in progress_bar(plan, desc="operators in the simulator", shown=progress):
        miss = bool(rng.random() < config.miss_share)
        made = trials.attempt(
            tasks[i], bank.snapshot[row].numpy(), rng,
            horizon=config.horizon, linger=config.linger, noise=config.noise, miss=miss,
        )  # fmt: skip
        attempts.append(made)
    return _padded(tuple(tasks), plan, attempts)


def _padded(tasks: tuple[str, ...], plan: list[tuple[int, int]], attempts: list[Attempt]) -> Rollouts:
    def fill(array: np.ndarray, rows: int) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[-1:], rows - len(array), 0)])

    length = max(len(a.action) for a in attempts)
    obs = {}
    for key in attempts[0].frames[0]:
        stacked = np.stack([fill(np.stack([f[key] for f in a.frames]), length + 1) for a in attempts])
        tensor = torch.from_numpy(stacked)
        obs[key] = tensor.movedim(-1, 2).contiguous() if tensor.dtype == torch.uint8 and tensor.dim() == 5 else tensor
    return Rollouts(
        tasks,
        torch.tensor([row for _, row in plan]),
        torch.tensor([task for task, _ in plan]),
        torch.tensor([len(a.action) for a in attempts]),
        torch.from_numpy(np.stack([fill(a.action, length) for a in attempts])),
        obs,
        torch.from_numpy(np.stack([fill(a.success, length + 1) for a in attempts])),
    )


def demo_rollouts(bank: StartBank, tasks: Sequence[str], trials: Trials, per_task: int = 1, seed: int = 0) -> Rollouts:
    """Rollouts of exactly 50 steps: the actions that a demo shows."""
    config = RolloutConfig(per_task, horizon=50, linger=None, miss_share=0.1, seed=seed)
    return operator_rollouts(bank, tasks, trials, config)


def choose_sequences(rollouts: Rollouts, count: int) -> ActionSequences:
    """Action sequences for a demo: every task once before any task twice, successes before failures."""
    succeeded = (rollouts.success & rollouts.mask).any(1).numpy()
    task = rollouts.task.numpy()
    order: list[int] = []
    queues = {i: sorted(np.flatnonzero(task == i), key=lambda n: not succeeded[n]) for i in range(len(rollouts.tasks))}
    while len(order) < min(count, len(task)):
        for queue in queues.values():
            if queue and len(order) < count:
                order.append(int(queue.pop(0)))
    row, length, action = (x.numpy()[order] for x in (rollouts.row, rollouts.length, rollouts.action))
    return ActionSequences(rollouts.tasks, row, task[order], length, action)


@dataclass(frozen=True)
class Scores:
    """Success probabilities at each frame 0..F of `Rollouts`, each [N, F + 1] (the start holds 0).

    Attributes:
        real: on features filtered from the real frames, as the twin sees them.
        dream: on features imagined along the same actions, as the dream sees them.
        uncertainty: of the imagined states.
        actions_per_frame: control steps a frame.
    """

    real: Tensor
    dream: Tensor
    uncertainty: Tensor
    actions_per_frame: int


@torch.no_grad()
def score_rollouts(
    model: WorldModel, reward: RewardModel, bank: StartBank, rollouts: Rollouts, seed: int = 0
) -> Scores:
    """Scores rollouts by a reward model, both on real frames (filtered) and in imagination.

    Args:
        model: a family that is driven by actions.
        reward: scores frames.
        bank: where the rollouts began.
        rollouts: real episodes.
        seed: of the model's draws.
    """
    device, a = next(model.parameters()).device, model.spec.actions_per_frame
    generator = torch.Generator(device).manual_seed(seed)
    task = torch.tensor([reward.tasks.index(rollouts.tasks[i]) for i in rollouts.task.tolist()], device=device)
    begin = {k: v.to(device) for k, v in bank.state(rollouts.row).items()}
    memory = reward.start(model, begin, task)
    last = torch.cat([rollouts.action, rollouts.action[:, -1:]], 1)  # a row an observation; the last one leads nowhere
    rows = {k: rollouts.obs[k].to(device) for k in model.spec.observations} | {"action": last.to(device)}
    frames = frames_of(model, rows)
    action = frames["action"]
    dream = imagined(model, begin, action.flatten(1, 2), generator)  # the operator's whole way: one prediction
    seen = begin
    zero = torch.zeros(len(task), device=device)
    on_real, in_dream, unsure = [zero], [zero], [zero]
    for t in range(action.shape[1]):
        obs = {k: frames[k][:, t + 1] for k in model.spec.observations}
        seen, dreamt = model.observe(seen, action[:, t], obs, generator), next(dream)
        on_real.append(reward.probability(model, memory, seen, task))
        in_dream.append(reward.probability(model, memory, dreamt, task))
        unsure.append(model.uncertainty(dreamt))
    return Scores(torch.stack(on_real, 1), torch.stack(in_dream, 1), torch.stack(unsure, 1), a)


def success_agreement(reward: RewardModel, rollouts: Rollouts, scores: Scores) -> dict[str, dict[str, float]]:
    """How a calibrated reward model agrees with the simulator's rules on `Rollouts`, per task.

    Returns:
        For each task: num_episodes; f1_real and f1_dream over frames; episode_f1_real and episode_f1_dream (an
        episode counts as a success once any frame does).
    """
    out = {}
    size, a = scores.real.shape[1], scores.actions_per_frame
    mask, success = rollouts.mask[:, ::a][:, :size], rollouts.success[:, ::a][:, :size]
    thresholds = reward.thresholds.cpu()
    for i, name in enumerate(rollouts.tasks):
        own = rollouts.task == i
        if not own.any():
            continue
        label = success[own] & mask[own]
        row: dict[str, float] = {"num_episodes": int(own.sum()), "num_successes": int(label.any(1).sum())}
        for kind, probability in (("real", scores.real), ("dream", scores.dream)):
            found = (probability.cpu()[own] >= thresholds[reward.tasks.index(name)]) & mask[own]
            row[f"f1_{kind}"] = f1_score(found, label)
            row[f"episode_f1_{kind}"] = f1_score(found.any(1), label.any(1))
        out[name] = row
    return out
