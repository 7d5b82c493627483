"""Episodes of a policy in a dream or in its twin, from given start states."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dreamgym.bars import progress_bar
from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.core.steps import Step
from dreamgym.envs.twin import TwinCore
from dreamgym.evaluation.policies.bound import BoundCore
from dreamgym.evaluation.policies.decisions import actions_a_decision, check_decision
from dreamgym.evaluation.policies.episodes import Episodes
from dreamgym.types import ActionSpec, InstructionSpec, Policy

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class RolloutOptions:
    """How `run_episodes` runs.

    Attributes:
        seed: of the policy's and of the model's draws.
        linger: control steps to go on after a success, whose frames count for ``probability`` and ``found`` alone: a
            reward model that sees a success a moment late has still seen it.
        progress: title of a progress bar; None: no bar.
    """

    seed: int = 0
    linger: int = 0
    progress: str | None = None


@dataclass(frozen=True)
class _Wave:
    """Episodes that run side by side, one an env, from their common beginning until the last has ended.

    Each draws the noise of its place and its time, so that what a policy comes to from a start depends neither on when
    other episodes end nor on how many follow.

    Attributes:
        number: of the wave.
        episode: [B] int64, which of the N episodes each env runs.
        running: [B] bool, envs whose episode is under way; envs for which none was left never run. Written to.
    """

    number: int
    episode: np.ndarray
    running: np.ndarray

    def seed(self, seed: int) -> int:
        """Of model and policy, from the evaluation's."""
        return int(np.random.default_rng([seed, self.number]).integers(2**62))


def _waves(num: int, num_envs: int) -> Iterator[_Wave]:
    for number, first in enumerate(range(0, num, num_envs)):
        episode = first + np.arange(num_envs)
        yield _Wave(number, episode.clip(max=num - 1), episode < num)


@torch.no_grad()
def run_episodes(
    core: DreamCore,
    policy: Policy,
    row: np.ndarray,
    task: np.ndarray,
    options: RolloutOptions | None = None,
    *,
    bound: BoundCore | None = None,
    watch: Watcher | None = None,
) -> Episodes:
    """Runs N episodes, in waves of as many as the core has envs.

    An episode ends at its first success or at the core's horizon (or where the model fails), inside a policy's chunk
    too. Noise is keyed by episode: two policies with decisions of the same length, from the same starts, on a core of
    the same number of envs, meet the same noise, and the first n of N episodes are those of n (from n = B on).

    Args:
        core: a dream or a twin, made with autoreset "disabled", reward_mode "probability", the policy's chunk and at
            most N envs.
        policy: acts on what the core observes.
        row: [N] rows of the start bank.
        task: [N] indices into ``core.tasks``.
        options: see `RolloutOptions`.
        bound: the core of a policy that imagines before it acts.
        watch: is told of every frame.

    Raises:
        ValueError: a core made otherwise, fewer episodes than envs, a policy whose chunk does not fit the model, or
            that returns NaN or infinity.
    """
    chunk = actions_a_decision(policy, core.spec)
    _check_core(core, len(row), chunk)
    options = options or RolloutOptions()
    run = _Run(core, policy, row, task, options, chunk, bound, watch, _Tally(len(row)))
    title = options.progress
    with progress_bar(total=len(row), desc=title or "", unit="episode", shown=title is not None) as bar:
        for wave in _waves(len(row), core.num_envs):
            for ended in run.steps(wave):
                bar.update(ended)
    run.tally.warn_of_clipping()
    return run.tally.episodes(row, task)


@dataclass(frozen=True)
class _Run:
    """What `run_episodes` was asked for, and the sums so far."""

    core: DreamCore
    policy: Policy
    row: np.ndarray
    task: np.ndarray
    options: RolloutOptions
    chunk: int | None
    bound: BoundCore | None
    watch: Watcher | None
    tally: _Tally

    def steps(self, wave: _Wave) -> Iterator[int]:
        """Runs a wave, and tells after each frame how many episodes ended at it."""
        core, seed = self.core, wave.seed(self.options.seed)
        generator = torch.Generator(core.device).manual_seed(seed)
        fresh = torch.ones(core.num_envs, dtype=torch.bool, device=core.device)
        obs, carry = self._begin(wave, seed, fresh, generator)
        while wave.running.any():
            if self.bound is not None:
                self.bound.follow(core)
            action, carry = _decide(self.policy, obs, carry, fresh, generator)
            fresh = torch.zeros_like(fresh)
            action = check_decision(action, wave.running, self.chunk, core.spec.action)
            self.tally.note_bounds(action[torch.from_numpy(wave.running)], core.spec.action)
            for part, step in zip(core.split(core.spec.prepare(action)), core.frames(action), strict=False):
                obs = step.obs
                yield self._note(step, part, wave)
                if not wave.running.any():
                    break
                core.world.leave(torch.from_numpy(~wave.running))

    def _begin(self, wave: _Wave, seed: int, fresh: torch.Tensor, generator: torch.Generator) -> tuple[Any, Any]:
        """The first observation of a wave, and what the policy carries."""
        core, task = self.core, self.task[wave.episode]
        begun = {"start": torch.from_numpy(self.row[wave.episode]), "task": torch.from_numpy(task)}
        obs, _ = core.reset(seed=seed, options=begun)
        core.world.leave(torch.from_numpy(~wave.running))
        if self.bound is not None:
            self.bound.begin(wave.number)
        carry = self.policy.start(core.num_envs, generator)
        begin = getattr(self.policy, "begin", None)
        if begin is not None:
            carry = begin(carry, fresh, [core.tasks[i] for i in task])
        _tell_start(self.watch, wave)
        return obs, carry

    def _note(self, step: Step, action: torch.Tensor, wave: _Wave) -> int:
        """Takes in one frame of all envs; how many episodes ended at it."""
        frame = _frame(self.core, step, action, wave)
        achieved = step.info["is_success"].cpu().numpy()[frame.env]
        self.tally.add(frame, achieved, self.core, self.task)
        if self.watch is not None:
            self.watch(frame)
        over = step.truncated.cpu().numpy()[frame.env]
        over = over | (achieved & (frame.elapsed >= self.tally.length[frame.episode] + self.options.linger))
        wave.running[frame.env[over]] = False
        return int(over.sum())


def _decide(
    policy: Policy, obs: Any, carry: Any, fresh: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, Any]:
    decided = policy.act(obs, carry, fresh, generator)
    if not isinstance(decided, tuple) or len(decided) != 2:
        raise ValueError(
            f"{type(policy).__name__}.act must return (action, carry), got {type(decided).__name__}: a policy that "
            "remembers nothing returns its action and None"
        )
    return decided


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


def _tell_start(watch: Watcher | None, wave: _Wave) -> None:
    if watch is not None:
        env = np.flatnonzero(wave.running)
        zero = np.zeros(len(env))
        watch(Frame(env, wave.episode[env], zero.astype(np.int64), None, zero.astype(bool), zero, zero))


def _frame(core: DreamCore, step: Step, action: torch.Tensor, wave: _Wave) -> Frame:
    """What a step showed of the envs whose episode is under way."""
    env = np.flatnonzero(wave.running)
    info = {k: v.cpu().numpy() for k, v in step.info.items()}
    probability = info["success_probability"][env].astype(np.float64)
    uncertainty = info["uncertainty"][env].astype(np.float64) if "uncertainty" in info else np.zeros(len(env))
    # A twin pays what the oracle says of this very frame; a dream's verdict is the threshold's.
    label = step.reward.cpu().numpy()[env] > 0.5 if isinstance(core, TwinCore) else info["is_success"][env]
    elapsed = core.elapsed.cpu().numpy()[env]
    return Frame(env, wave.episode[env], elapsed, action.cpu().numpy()[env], label, probability, uncertainty)


class _Tally:
    """Sums over the frames of N episodes."""

    def __init__(self, num: int) -> None:
        self.length, self.frames = np.zeros((2, num), np.int64)
        self.returns, self.probability, self.unsure = np.zeros((3, num))
        self.success, self.found = np.zeros((2, num), bool)
        self.actions = self.outside = 0

    def note_bounds(self, action: torch.Tensor, spec: ActionSpec | InstructionSpec) -> None:
        """Counts entries of actions [..., A], and those that lie outside the bounds by a twentieth of their range."""
        if isinstance(spec, InstructionSpec):
            return
        plain = [i for i in range(spec.dim) if i not in spec.binary]
        low, high = (torch.tensor(bound, device=action.device)[plain] for bound in (spec.low, spec.high))
        slack, entries = (high - low) / 20, action[..., plain]
        self.actions += entries.numel()
        self.outside += int(((entries < low - slack) | (entries > high + slack)).sum())

    def warn_of_clipping(self) -> None:
        """Warns where more than one entry in twenty was outside: then another policy was scored than was meant."""
        if 20 * self.outside > self.actions:
            _log.warning(
                "%.0f%% of the policy's action entries lay outside the bounds and were clipped: does it act between "
                "-1 and 1 where the robot's actions are others? Scale them (spec.action.low and high)",
                100 * self.outside / self.actions,
            )

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
