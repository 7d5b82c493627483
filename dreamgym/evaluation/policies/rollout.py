"""Episodes of a policy in a dream or in its twin, from given start states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.steps import Step
from dreamgym.envs.twin import TwinCore
from dreamgym.evaluation.policies.bound import BoundCore
from dreamgym.evaluation.policies.decisions import actions_a_decision, check_decision
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.types import Policy


@dataclass(frozen=True)
class Frame:
    """One frame of all envs, for a watcher of `run_episodes`.

    Attributes:
        env: [K] int64, the envs whose episode is under way.
        episode: [K] int64, which of the N episodes each runs.
        elapsed: [K] int64, control steps of it so far; 0 just after it began.
        action: what led to the frame: [K, A], [K, a, A] where a frame spans a actions, or the clip's instructions [K];
            None at the beginning.
        label: [K] bool, done at this frame: by the simulator's oracle, in a dream by the reward's threshold.
        probability: [K] the reward model's.
        uncertainty: [K].
    """

    env: np.ndarray
    episode: np.ndarray
    elapsed: np.ndarray
    action: np.ndarray | None
    label: np.ndarray
    probability: np.ndarray
    uncertainty: np.ndarray


Watcher = Callable[[Frame], None]


class _Slots:
    """Which episode each env runs. An env whose episode has ended waits for the next decision, then begins another."""

    def __init__(self, row: np.ndarray, task: np.ndarray, num_envs: int) -> None:
        self.row, self.task = row, task
        self.episode = np.zeros(num_envs, np.int64)
        self.running = np.zeros(num_envs, bool)
        self.next = 0

    def begin(self) -> np.ndarray:
        """Gives waiting envs the next episodes; [B] bool: those that got one."""
        fresh = np.zeros_like(self.running)
        for env in np.flatnonzero(~self.running)[: len(self.row) - self.next]:
            self.episode[env], fresh[env] = self.next, True
            self.next += 1
        self.running |= fresh
        return fresh

    def options(self) -> dict[str, Any]:
        """Reset options: the start and the task of each env's episode."""
        return {
            "start": torch.from_numpy(self.row[self.episode]),
            "task": torch.from_numpy(self.task[self.episode]),
        }


@torch.no_grad()
def run_episodes(
    core: DreamCore,
    policy: Policy,
    row: np.ndarray,
    task: np.ndarray,
    *,
    seed: int = 0,
    linger: int = 0,
    bound: BoundCore | None = None,
    watch: Watcher | None = None,
    progress: str | None = None,
) -> Episodes:
    """Runs N episodes, as many at a time as the core has envs.

    An episode ends at its first success or at the core's horizon (or where the model fails), inside a policy's chunk
    too; that env begins its next episode at the next decision.

    Args:
        core: a dream or a twin, made with autoreset "disabled", reward_mode "probability", the policy's chunk and at
            most N envs.
        policy: acts on what the core observes.
        row: [N] rows of the start bank.
        task: [N] indices into ``core.tasks``.
        seed: of the policy's and of the model's draws.
        linger: control steps to go on after a success, whose frames count for ``probability`` and ``found`` alone: a
            reward model that sees a success a moment late has still seen it.
        bound: the core of a policy that imagines before it acts.
        watch: is told of every frame.
        progress: title of a progress bar; None: no bar.

    Raises:
        ValueError: a core made otherwise, fewer episodes than envs, a policy whose chunk does not fit the model, or
            that returns NaN or infinity.
    """
    chunk = actions_a_decision(policy, core.spec)
    _check_core(core, len(row), chunk)
    generator = torch.Generator(core.device).manual_seed(seed)
    slots, tally = _Slots(row, task, core.num_envs), _Tally(len(row))
    obs, carry = None, policy.start(core.num_envs, generator)
    with tqdm(total=len(row), desc=progress, disable=progress is None, leave=False) as bar:
        while True:
            fresh = slots.begin()
            if not slots.running.any():
                return tally.episodes(row, task)
            if fresh.any():
                where = {"seed": seed} if obs is None else {"mask": torch.from_numpy(fresh)}
                obs, _ = core.reset(**where, options=slots.options())
                carry = _begin(policy, carry, fresh, core, slots)
                _tell_start(watch, fresh, slots)
            if bound is not None:
                bound.follow(core)
            decided = policy.act(obs, carry, torch.from_numpy(fresh).to(core.device), generator)
            if not isinstance(decided, tuple) or len(decided) != 2:
                raise ValueError(
                    f"{type(policy).__name__}.act must return (action, carry), got {type(decided).__name__}: a policy "
                    "that remembers nothing returns its action and None"
                )
            action, carry = decided
            action = check_decision(action, slots.running, chunk, core.spec.action)
            for part, step in zip(core.split(core.spec.prepare(action)), core.frames(action), strict=False):
                obs = step.obs
                bar.update(_note(core, step, part, slots, tally, linger, watch))
                if not slots.running.any():
                    break


def _check_core(core: DreamCore, num: int, chunk: int | None) -> None:
    if core.autoreset != "disabled" or core.rules.reward != "probability" or num < core.num_envs:
        raise ValueError(
            f"expected a core with autoreset 'disabled', reward_mode 'probability' and at most {num} envs, got "
            f"{core.autoreset!r}, {core.rules.reward!r}, {core.num_envs}"
        )
    if core.chunk != chunk:
        raise ValueError(
            f"the policy decides on chunk={chunk}, the core takes chunk={core.chunk}: make it with the same"
        )


def _note(
    core: DreamCore,
    step: Step,
    action: torch.Tensor,
    slots: _Slots,
    tally: _Tally,
    linger: int,
    watch: Watcher | None,
) -> int:
    """Takes in one frame of all envs; how many episodes ended at it."""
    frame = _frame(core, step, action, slots)
    achieved = step.info["is_success"].cpu().numpy()[frame.env]
    tally.add(frame, achieved, core, slots.task)
    if watch is not None:
        watch(frame)
    over = step.truncated.cpu().numpy()[frame.env]
    over = over | (achieved & (frame.elapsed >= tally.length[frame.episode] + linger))
    slots.running[frame.env[over]] = False
    return int(over.sum())


def _begin(policy: Policy, carry: Any, fresh: np.ndarray, core: DreamCore, slots: _Slots) -> Any:
    """The carry of a policy that asks what each env is to do, told so; any other's as it is."""
    begin = getattr(policy, "begin", None)
    if begin is None:
        return carry
    names = [core.tasks[i] for i in slots.task[slots.episode]]
    return begin(carry, torch.from_numpy(fresh).to(core.device), names)


def _tell_start(watch: Watcher | None, fresh: np.ndarray, slots: _Slots) -> None:
    if watch is not None:
        env = np.flatnonzero(fresh)
        zero = np.zeros(len(env))
        watch(Frame(env, slots.episode[env], zero.astype(np.int64), None, zero.astype(bool), zero, zero))


def _frame(core: DreamCore, step: Step, action: torch.Tensor, slots: _Slots) -> Frame:
    """What a step showed of the envs whose episode is under way."""
    env = np.flatnonzero(slots.running)
    info = {k: v.cpu().numpy() for k, v in step.info.items()}
    probability = info["success_probability"][env].astype(np.float64)
    uncertainty = info["uncertainty"][env].astype(np.float64) if "uncertainty" in info else np.zeros(len(env))
    # A twin pays what the oracle says of this very frame; a dream's verdict is the threshold's.
    label = step.reward.cpu().numpy()[env] > 0.5 if isinstance(core, TwinCore) else info["is_success"][env]
    elapsed = core.elapsed.cpu().numpy()[env]
    return Frame(env, slots.episode[env], elapsed, action.cpu().numpy()[env], label, probability, uncertainty)


class _Tally:
    """Sums over the frames of N episodes."""

    def __init__(self, num: int) -> None:
        self.length, self.frames = np.zeros((2, num), np.int64)
        self.returns, self.probability, self.unsure = np.zeros((3, num))
        self.success, self.found = np.zeros((2, num), bool)

    def add(self, frame: Frame, achieved: np.ndarray, core: DreamCore, task: np.ndarray) -> None:
        """Adds one frame of each episode under way; ``achieved`` [K]: a success at this frame or before."""
        index = frame.episode
        before = ~self.success[index]  # frames after the success do not count
        counted = index[before]
        self.length[counted] = frame.elapsed[before]
        self.frames[counted] += 1
        self.returns[counted] += frame.probability[before]
        self.unsure[counted] += np.nan_to_num(frame.uncertainty[before], posinf=0.0)
        self.probability[index] = np.maximum(self.probability[index], frame.probability)
        which = torch.from_numpy(task[index]).to(core.device)
        given = torch.from_numpy(frame.probability.astype(np.float32)).to(core.device)
        self.found[index] |= core.reward.succeeded(given, which).cpu().numpy()
        self.success[index] |= achieved

    def episodes(self, row: np.ndarray, task: np.ndarray) -> Episodes:
        """What it came to."""
        mean = self.unsure / np.maximum(self.frames, 1)
        return Episodes(row, task, self.success, self.length, self.returns, self.probability, self.found, mean)
