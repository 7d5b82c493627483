"""Playing a policy in a dream or in its twin, from given start states: what each episode came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dreamgym.envs.core.core import DreamCore
from dreamgym.envs.twin import TwinCore
from dreamgym.types import Policy


@dataclass(frozen=True)
class Episodes:
    """N episodes of one policy in one world; every field is an array [N].

    Attributes:
        row: int64, the row of the start bank that the episode began from.
        task: int64, index into the evaluation's tasks.
        success: bool; in a dream by the reward model's threshold, in a twin by the simulator's oracle.
        length: int64, control steps to the success, or to the end.
        returns: float64, success probabilities (DiWA's reward) summed over those steps.
        probability: float64, the highest of them, the frames that followed a success included.
        found: bool, whether the reward model called the task done at any of these frames; in a dream, ``success``.
        uncertainty: float64, the model's, averaged over the steps.
    """

    row: np.ndarray
    task: np.ndarray
    success: np.ndarray
    length: np.ndarray
    returns: np.ndarray
    probability: np.ndarray
    found: np.ndarray
    uncertainty: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def rate(self) -> float:
        """Share of successes."""
        return float(self.success.mean())

    def select(self, index: Any) -> Episodes:
        """Those at ``index`` (a slice, a mask or numbers)."""
        return Episodes(*(getattr(self, f.name)[index] for f in fields(self)))

    def to_dict(self) -> dict[str, list[Any]]:
        """JSON-ready form, a list a field; `from_dict` reads it back."""
        out: dict[str, list[Any]] = {}
        for field in fields(self):
            values = getattr(self, field.name)
            if values.dtype == bool:
                values = values.astype(np.int64)
            out[field.name] = [float(f"{v:.5g}") if isinstance(v, float) else v for v in values.tolist()]
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Episodes:
        """Reads what `to_dict` wrote."""
        kinds = {"row": np.int64, "task": np.int64, "length": np.int64, "success": bool, "found": bool}
        return cls(*(np.asarray(data[f.name], kinds.get(f.name, np.float64)) for f in fields(cls)))


@dataclass(frozen=True)
class Moment:
    """One step of all envs, for a watcher of `play`.

    Attributes:
        env: [K] int64, the envs whose episode is under way.
        episode: [K] int64, which of the N episodes each plays.
        elapsed: [K] int64, control steps of it so far; 0 just after it began.
        action: [K, ...] what was done; None at the beginning.
        label: [K] bool, the judge's verdict on this frame.
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


Watcher = Callable[[Moment], None]


class _Slots:
    """Which episode each env plays: the next one begins where one has ended, so that no simulator stands idle."""

    def __init__(self, num_envs: int, num_episodes: int) -> None:
        self.episode = np.arange(num_envs)
        self.playing = np.ones(num_envs, bool)
        self.next, self.last = num_envs, num_episodes

    def end(self, ended: np.ndarray) -> np.ndarray:
        """Envs [B] bool that begin another episode."""
        fresh = np.zeros_like(ended)
        for env in np.flatnonzero(ended):
            if self.next < self.last:
                self.episode[env], fresh[env] = self.next, True
                self.next += 1
            else:
                self.playing[env] = False
        return fresh


@torch.no_grad()
def play(
    core: DreamCore,
    policy: Policy,
    row: np.ndarray,
    task: np.ndarray,
    *,
    seed: int = 0,
    linger: int = 0,
    watch: Watcher | None = None,
    progress: str | None = None,
) -> Episodes:
    """Plays N episodes, as many at a time as the core has envs.

    An episode ends at its first success or at the core's horizon (or where the model fails).

    Args:
        core: a dream or a twin, made with autoreset "disabled", reward_mode "probability" and at most N envs.
        policy: acts on what the core observes.
        row: [N] rows of the start bank.
        task: [N] indices into ``core.tasks``.
        seed: of the policy's and of the model's draws.
        linger: steps to go on after a success, whose frames count for ``probability`` and ``found`` alone: a reward
            model that sees a success a moment late has still seen it.
        watch: is told of every frame.
        progress: title of a progress bar; None: no bar.

    Raises:
        ValueError: a core made otherwise, fewer episodes than envs, or a policy that returns NaN or infinity.
    """
    num, envs = len(row), core.num_envs
    if core.autoreset != "disabled" or core.rules.reward != "probability" or num < envs:
        raise ValueError(
            f"expected a core with autoreset 'disabled', reward_mode 'probability' and at most {num} envs, got "
            f"{core.autoreset!r}, {core.rules.reward!r}, {envs}"
        )
    generator = torch.Generator(core.device).manual_seed(seed)
    slots, tally = _Slots(envs, num), _Tally(num)
    obs, _ = core.reset(seed=seed, options=_options(row, task, slots))
    carry, fresh = policy.start(envs, generator), np.ones(envs, bool)
    carry = _begin(policy, carry, fresh, core, task, slots)
    _tell_start(watch, fresh, slots)
    with tqdm(total=num, desc=progress, disable=progress is None, leave=False) as bar:
        while slots.playing.any():
            action, carry = policy.act(obs, carry, torch.from_numpy(fresh).to(core.device), generator)
            _check_finite(action, slots.playing)
            step = core.step(action)
            obs = step.obs
            on, moment = slots.playing.copy(), _moment(core, step, action, slots)
            achieved = step.info["is_success"].cpu().numpy()[on]
            tally.add(moment, achieved, core, task)
            if watch is not None:
                watch(moment)
            over = step.truncated.cpu().numpy()
            over[on] |= achieved & (moment.elapsed >= tally.length[moment.episode] + linger)
            fresh = slots.end(over & on)
            if fresh.any():
                obs, _ = core.reset(mask=torch.from_numpy(fresh), options=_options(row, task, slots))
                carry = _begin(policy, carry, fresh, core, task, slots)
                _tell_start(watch, fresh, slots)
            if (over & on).any():
                bar.update(int((over & on).sum()))
    return tally.episodes(row, task)


def _check_finite(action: Any, playing: np.ndarray) -> None:
    bad = ~torch.isfinite(torch.as_tensor(action)).flatten(1).all(1).cpu().numpy() & playing
    if bad.any():
        raise ValueError(
            f"expected finite actions, but the policy returned NaN or infinity in {int(bad.sum())} of {len(bad)} envs: "
            "look for a division by zero, or weights that training has blown up"
        )


def _options(row: np.ndarray, task: np.ndarray, slots: _Slots) -> dict[str, Any]:
    return {"start": torch.from_numpy(row[slots.episode]), "task": torch.from_numpy(task[slots.episode])}


def _begin(policy: Policy, carry: Any, fresh: np.ndarray, core: DreamCore, task: np.ndarray, slots: _Slots) -> Any:
    """The carry of a policy that asks what each env is to do, told so; any other's as it is."""
    begin = getattr(policy, "begin", None)
    if begin is None:
        return carry
    names = [core.tasks[i] for i in task[slots.episode]]
    return begin(carry, torch.from_numpy(fresh).to(core.device), names)


def _tell_start(watch: Watcher | None, fresh: np.ndarray, slots: _Slots) -> None:
    if watch is not None:
        env = np.flatnonzero(fresh)
        zero = np.zeros(len(env))
        watch(Moment(env, slots.episode[env], zero.astype(np.int64), None, zero.astype(bool), zero, zero))


def _moment(core: DreamCore, step: Any, action: Any, slots: _Slots) -> Moment:
    """What a step showed of the envs whose episode is under way."""
    env = np.flatnonzero(slots.playing)
    info = {k: v.cpu().numpy() for k, v in step.info.items()}
    probability = info["success_probability"][env].astype(np.float64)
    uncertainty = info["uncertainty"][env].astype(np.float64) if "uncertainty" in info else np.zeros(len(env))
    # A twin pays what the oracle says of this very frame; a dream's verdict is the threshold's.
    label = step.reward.cpu().numpy()[env] > 0.5 if isinstance(core, TwinCore) else info["is_success"][env]
    done = core.spec.prepare(torch.as_tensor(action)).cpu().numpy()[env]
    return Moment(env, slots.episode[env], core.elapsed.cpu().numpy()[env], done, label, probability, uncertainty)


class _Tally:
    """Sums over the frames of N episodes."""

    def __init__(self, num: int) -> None:
        self.length = np.zeros(num, np.int64)
        self.returns, self.probability, self.unsure = np.zeros(num), np.zeros(num), np.zeros(num)
        self.success, self.found = np.zeros(num, bool), np.zeros(num, bool)

    def add(self, moment: Moment, achieved: np.ndarray, core: DreamCore, task: np.ndarray) -> None:
        """Adds one frame of each episode under way; ``achieved`` [K]: a success at this frame or before."""
        index = moment.episode
        before = ~self.success[index]  # frames after the success do not count
        counted = index[before]
        self.length[counted] = moment.elapsed[before]
        self.returns[counted] += moment.probability[before]
        self.unsure[counted] += np.nan_to_num(moment.uncertainty[before], posinf=0.0)
        self.probability[index] = np.maximum(self.probability[index], moment.probability)
        which = torch.from_numpy(task[index]).to(core.device)
        given = torch.from_numpy(moment.probability.astype(np.float32)).to(core.device)
        self.found[index] |= core.reward.succeeded(given, which).cpu().numpy()
        self.success[index] |= achieved

    def episodes(self, row: np.ndarray, task: np.ndarray) -> Episodes:
        """What it came to."""
        mean = self.unsure / np.maximum(self.length, 1)
        return Episodes(row, task, self.success, self.length, self.returns, self.probability, self.found, mean)
