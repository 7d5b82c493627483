"""Fresh episodes of the real simulator from a start bank: scripted experts with noise, and what a model makes of them.

This is the on-policy check: the data that a model and its classifier were trained on never come into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dreamgym.envs.core.starts import SPLITS, StartBank
from dreamgym.evaluation.statistics.comparison import Sequences as ActionSequences
from dreamgym.rewards.base import RewardModel
from dreamgym.rewards.calibrate import f1_score
from dreamgym.suites.calvin.play import PlayConfig, Stage, draw_style
from dreamgym.suites.calvin.skills import SkillRun
from dreamgym.suites.calvin.skills_engine import Waypoint
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel


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


def expert_rollouts(
    bank: StartBank,
    tasks: Sequence[str],
    config: PlayConfig | None = None,
    *,
    per_task: int = 8,
    horizon: int = 64,
    linger: int = 6,
    noise: float = 0.15,
    miss_share: float = 0.25,
    fill: bool = False,
    split: str = "val",
    seed: int = 0,
    progress: bool = False,
) -> Rollouts:
    """Lets scripted experts try each task in the simulator from snapshots of ``bank``.

    Args:
        bank: starts with snapshots.
        tasks: some of DiWA's eight.
        config: scene, cameras and drawing of the simulator.
        per_task: episodes a task.
        horizon: actions of an episode at most.
        linger: actions after the first success, or after the expert has given up.
        noise: standard deviation of Gaussian noise on the expert's actions, in units of the action.
        miss_share: share of the episodes in which the expert reaches for a wrong place.
        fill: go on to the horizon in any case, wandering about once the task is over.
        split: of the starts.
        seed: of the choice of starts, styles and noise.
        progress: whether to show a bar.

    Raises:
        ValueError: the bank has no snapshots, or no start of a task in the split.
        ImportError: pybullet is missing.
    """
    if bank.snapshot is None:
        raise ValueError("the start bank has no simulator snapshots: build it from stores with a 'snapshot' key")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {list(SPLITS)}, got {split!r}")
    rng = np.random.default_rng(seed)
    stage = Stage(PlayConfig() if config is None else config)
    plan = []
    for i, task in enumerate(tasks):
        rows = bank.candidates(task, split).numpy()
        plan += [(i, int(r)) for r in rng.permutation(np.resize(rng.permutation(rows), max(per_task, 1)))[:per_task]]
    episodes = []
    try:
        for i, row in tqdm(plan, desc="experts in the simulator", disable=not progress, leave=False):
            missing = bool(rng.random() < miss_share)
            snapshot = bank.snapshot[row].numpy()
            episodes.append(_attempt(stage, tasks[i], snapshot, rng, horizon, None if fill else linger, noise, missing))
    finally:
        stage.env.close()
    return _padded(tuple(tasks), plan, episodes, horizon)


def _attempt(
    stage: Stage,
    task: str,
    snapshot: np.ndarray,
    rng: np.random.Generator,
    horizon: int,
    linger: int | None,
    noise: float,
    miss: bool,
) -> dict[str, Any]:
    """One episode: T + 1 frames, action [T, A], success [T + 1]; with ``linger`` None it goes on to the horizon."""
    stage.obs, _ = stage.env.reset(options={"snapshot": snapshot})
    stage.view.update(stage.obs)
    stage.hand.rng = rng
    stage.hand.sync(stage.view)
    run = SkillRun(task, stage.hand, stage.view, rng, draw_style(rng, miss=miss), horizon)
    start, judge_success = run.start, run.skill.success
    frames: list[dict[str, np.ndarray]] = [stage.obs]
    actions: list[np.ndarray] = []
    marks = [False]
    while len(actions) < horizon and linger != 0:
        if run.done and linger is None:
            run = SkillRun("wander", stage.hand, stage.view, rng, draw_style(rng, miss=False), horizon)
        if run.done:
            action = stage.hand.act(stage.view, Waypoint(stage.hand.reference.copy(), float(actions[-1][6])), run.style)
        else:
            action = run.act()
        noisy = np.clip(action + np.append(noise * rng.normal(size=6), 0.0), -1, 1).astype(np.float32)
        # The hand keeps a copy of the simulator's target pose, which only knows executed actions.
        stage.hand.target += (noisy[:3] - action[:3]) * 0.02
        stage.hand.target_euler += (noisy[3:6] - action[3:6]) * 0.05
        stage.obs, *_ = stage.env.step(noisy)
        stage.view.update(stage.obs)
        run.settle()
        actions.append(noisy)
        frames.append(stage.obs)
        marks.append(bool(judge_success(start, stage.view.scene_obs)))
        if linger is not None:
            linger -= bool(marks[-1] or run.done)
    return {"frames": frames, "action": np.stack(actions), "success": np.array(marks)}


def _padded(
    tasks: tuple[str, ...], plan: list[tuple[int, int]], episodes: list[dict[str, Any]], horizon: int
) -> Rollouts:
    def fill(array: np.ndarray, rows: int) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[-1:], rows - len(array), 0)])

    length = max(len(e["action"]) for e in episodes)
    obs = {}
    for key in episodes[0]["frames"][0]:
        stacked = np.stack([fill(np.stack([f[key] for f in e["frames"]]), length + 1) for e in episodes])
        tensor = torch.from_numpy(stacked)
        obs[key] = tensor.movedim(-1, 2).contiguous() if tensor.dtype == torch.uint8 and tensor.dim() == 5 else tensor
    return Rollouts(
        tasks,
        torch.tensor([row for _, row in plan]),
        torch.tensor([task for task, _ in plan]),
        torch.tensor([len(e["action"]) for e in episodes]),
        torch.from_numpy(np.stack([fill(e["action"], length) for e in episodes])),
        obs,
        torch.from_numpy(np.stack([fill(e["success"], length + 1) for e in episodes])),
    )


def demo_rollouts(bank: StartBank, tasks: Sequence[str], scene: str, per_task: int = 1, seed: int = 0) -> Rollouts:
    """Rollouts of exactly 50 steps without frames: the actions that a demo plays."""
    blind = PlayConfig(scene=scene, cameras=())
    return expert_rollouts(bank, tasks, blind, per_task=per_task, horizon=50, miss_share=0.1, fill=True, seed=seed)


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
    picked = (rollouts.row, rollouts.task, rollouts.length, rollouts.action)
    return ActionSequences(rollouts.tasks, *(x.numpy()[order] for x in picked))


@dataclass(frozen=True)
class Judged:
    """Success probabilities along `Rollouts`, each [N, T + 1] (the start holds 0).

    Attributes:
        real: on features filtered from the real frames, as the twin sees them.
        dream: on features imagined along the same actions, as the dream sees them.
        states: the imagined states at each step, if they were asked for.
        uncertainty: [N, T + 1] of the imagined states.
    """

    real: Tensor
    dream: Tensor
    states: list[State]
    uncertainty: Tensor


@torch.no_grad()
def judge(
    model: WorldModel,
    reward: RewardModel,
    bank: StartBank,
    rollouts: Rollouts,
    *,
    seed: int = 0,
    keep_states: bool = False,
) -> Judged:
    """Scores rollouts by a reward model, both on real frames (filtered) and in imagination."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    task = torch.tensor([reward.tasks.index(rollouts.tasks[i]) for i in rollouts.task.tolist()], device=device)
    begin = {k: v.to(device) for k, v in bank.state(rollouts.row).items()}
    memory = reward.start(model, begin, task)
    action = model.spec.prepare(rollouts.action.to(device))
    sensors = {k: rollouts.obs[k] for k in model.spec.observations}
    seen, dreamt = begin, begin
    zero = torch.zeros(len(task), device=device)
    real, dream, unsure, states = [zero], [zero], [zero], [begin]
    for t in range(action.shape[1]):
        frame = {k: v[:, t + 1].to(device) for k, v in sensors.items()}
        seen = model.observe(seen, action[:, t], frame, generator)
        dreamt = model.imagine(dreamt, action[:, t], generator)
        real.append(reward.probability(model, memory, seen, task))
        dream.append(reward.probability(model, memory, dreamt, task))
        unsure.append(model.uncertainty(dreamt))
        if keep_states:
            states.append(dreamt)
    return Judged(torch.stack(real, 1), torch.stack(dream, 1), states if keep_states else [], torch.stack(unsure, 1))


def success_agreement(reward: RewardModel, rollouts: Rollouts, judged: Judged) -> dict[str, dict[str, float]]:
    """How a calibrated reward model agrees with the simulator's rules on `Rollouts`, per task.

    Returns:
        For each task: num_episodes; f1_real and f1_dream over frames; episode_f1_real and episode_f1_dream (an
        episode counts as a success once any frame does).
    """
    out = {}
    mask = rollouts.mask
    thresholds = reward.thresholds.cpu()
    for i, name in enumerate(rollouts.tasks):
        own = rollouts.task == i
        if not own.any():
            continue
        label = rollouts.success[own] & mask[own]
        row: dict[str, float] = {"num_episodes": int(own.sum()), "num_successes": int(label.any(1).sum())}
        for kind, probability in (("real", judged.real), ("dream", judged.dream)):
            found = (probability.cpu()[own] >= thresholds[reward.tasks.index(name)]) & mask[own]
            row[f"f1_{kind}"] = f1_score(found, label)
            row[f"episode_f1_{kind}"] = f1_score(found.any(1), label.any(1))
        out[name] = row
    return out
