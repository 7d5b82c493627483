"""The simulation core: owns the step contract of a dream. Every face calls it and adds only a calling convention.

    step:  prepare -> imagine -> reward -> terminated / truncated -> autoreset

On the CPU, where reading a bool costs nothing, work that nobody needs is skipped (no env ended: nothing is reset); on
any other device every branch is a ``torch.where``, so that a step never waits for the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import error, spaces
from torch import Tensor

from dreamgym.envs.actions import ActionReader, action_space, check_chunk
from dreamgym.envs.ahead import Memories
from dreamgym.envs.begin import OPTIONS, Beginner
from dreamgym.envs.judge import Rules, Verdict, failures, judge, nothing_happened, surely_finite
from dreamgym.envs.observation import ObservationReader, zero_history
from dreamgym.envs.rows import copy_to, take_rows, write_rows
from dreamgym.envs.starts import StartBank
from dreamgym.envs.steps import Final, Info, Obs, Snapshot, Step
from dreamgym.rewards.base import RewardModel
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel, clone, where

AUTORESET = ("same_step", "next_step", "disabled")


class DreamCore:
    """A batch of dreams under one world model.

    Args:
        model: any `WorldModel`; moved to ``device``, put in eval mode.
        reward: scores tasks on it.
        starts: where episodes begin; without a bank every reset needs options "history" or "state".
        num_envs: B.
        horizon: control steps after which an episode is truncated.
        task: a task name, a list of names (each episode draws one) or "all" (draws from every task of the reward).
        reward_mode: "success" pays 1 once, at the first step whose probability reaches the calibrated threshold, and
            terminates; "probability" pays the reward model's own reward and never terminates (DiWA III.C).
        obs: "features", "state", "pixels" or "dict".
        autoreset: "same_step", "next_step" or "disabled", per env, as Gymnasium defines them. A finished env under
            "disabled" waits: it keeps its state, pays 0 and repeats its flags until it is reset.
        uncertainty: report the model's uncertainty each step (costs what the model charges for it).
        uncertainty_limit: truncate above it: a number, "auto" (the limit in the checkpoint) or None (never).
        chunk: actions a step takes as [B, chunk, A], judged frame by frame, stopping at the first end; None: one
            frame's worth, [B, A] where a frame is one action.
        validate: raise on NaN or out-of-range actions (see `ActionReader`).
        split: "train", "val" or None (both): which starts of the bank.
        gradients: keep the autograd graph through steps, for policies trained by backpropagation; `detach` cuts it.
        share_features: hand out features that are the state itself (an RSSM's) without a copy. The core never writes to
            them; a caller who does is told so at the next step.
        compile: run the dynamics through `torch.compile`: for accelerators, where a small step is all launches. The
            first steps take seconds to minutes more; on a CPU nothing is gained.
        device: where to dream; None: where the model is.

    Raises:
        ValueError: options that do not fit the model, the reward or the bank, with what would.
    """

    def __init__(
        self,
        model: WorldModel,
        reward: RewardModel,
        starts: StartBank | None = None,
        *,
        num_envs: int = 1,
        horizon: int = 64,
        task: str | Sequence[str] = "all",
        reward_mode: str = "success",
        obs: str = "features",
        autoreset: str = "same_step",
        uncertainty: bool = True,
        uncertainty_limit: float | str | None = None,
        chunk: int | None = None,
        validate: bool = False,
        split: str | None = "train",
        gradients: bool = False,
        share_features: bool = False,
        compile: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        if autoreset not in AUTORESET:
            raise ValueError(f"autoreset must be one of {AUTORESET}, got {autoreset!r}")
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if device is None:
            device = next((p.device for p in model.parameters()), torch.device("cpu"))
        # An empty tensor knows the full name of its device: an accelerator without a number is its current one.
        self.device = torch.empty(0, device=device).device
        self.model, self.reward = model.to(self.device).eval(), reward.to(self.device).eval()
        self.spec, self.tasks, self.num_envs = model.spec, tuple(reward.tasks), num_envs
        self.rules = Rules(reward_mode, horizon, _limit(uncertainty_limit, self.spec.uncertainty_limit))
        self.autoreset, self.gradients = autoreset, gradients
        if chunk is None and self.spec.actions_per_frame > 1:
            chunk = self.spec.actions_per_frame
        self.chunk = None if chunk is None else check_chunk(chunk, self.spec.actions_per_frame)
        self.report_uncertainty = uncertainty or self.rules.uncertainty_limit is not None
        self._imagine = torch.compile(self.model.imagine) if compile else self.model.imagine
        self._eager = self.device.type == "cpu"
        self._actions = ActionReader(self.spec.action, num_envs, self.chunk, self.device, validate)
        with torch.no_grad():
            blank = self.model.start(zero_history(self.spec, 1, self.device), torch.Generator(self.device))
        self.observe = ObservationReader(self.model, obs, self.tasks, blank, copy=not share_features)
        self._shared = self.observe.aliases
        # Ordinary tensors are needed only where the caller gets the state itself; see `_advance_quickly`.
        self._quick = self._eager and not (gradients or share_features or compile)
        self._versions: list[int] = []
        self.beginner = Beginner(self.model, self.tasks, task, starts, split, num_envs, blank)
        bank, pool = self.beginner.bank, self.beginner.candidates()
        self._memories = None if bank is None or gradients else Memories(self.model, self.reward, bank, pool)
        self.generator = torch.Generator(self.device)
        # Frames since the core was made; an episode that began at t has lasted clock - t control steps.
        self._clock = 0
        self._ready = self.closed = self._one_task = False
        self._threshold: Tensor | None = None

    @property
    def can_render(self) -> bool:
        """Whether there is a camera to look through."""
        return bool(self.observe.images)

    @property
    def ready(self) -> bool:
        """Whether a first reset has happened."""
        return self._ready

    @property
    def reads_freely(self) -> bool:
        """Whether looking at a value costs nothing: on the CPU, and where simulators are waited for anyway."""
        return self._eager

    @property
    def some_done(self) -> bool:
        """Whether some env may have ended and wait for its reset; on other devices than the CPU always true."""
        return self._waiting

    @property
    def elapsed(self) -> Tensor:
        """[B] int64, control steps since each episode began."""
        return self._clock - self.counters["begun"]

    @property
    def done(self) -> Tensor:
        """[B] bool, envs that ended and wait for their reset (autoreset "next_step" and "disabled")."""
        return self.counters["done"]

    @property
    def observation_space(self) -> spaces.Space:
        """Of one env."""
        return self.observe.space

    @property
    def action_space(self) -> spaces.Box:
        """Of one env: Box (A,), or Box (chunk, A)."""
        return action_space(self.spec.action, self.chunk)

    # ------------------------------------------------------------------ reset

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None, mask: Any = None
    ) -> tuple[Obs, Info]:
        """Begins new episodes, in all envs or where ``mask`` [B] is true.

        Args:
            seed: seeds the start draws and the noise; whole resets only. None goes on from the last seed.
            options: "start": bank rows; "task": names or indices into ``tasks``; "history": real observations, as
                `pad_history` takes them; "state": model states; "reset_mask": same as ``mask``. Each has one entry for
                each of the B envs, also in a partial reset ("start" and "task" may have one for all).
            mask: [B] bool.

        Returns:
            obs and info ("task", and "start": the bank row, -1 where there is none) of all B envs.
        """
        self._check_open()
        options = dict(options or {})
        unknown = [k for k in options if k not in OPTIONS]
        if unknown:
            raise ValueError(f"unknown reset options {unknown}; known: {list(OPTIONS)}")
        mask = self._mask(options.pop("reset_mask", mask))
        if mask is not None and seed is not None:
            raise ValueError(
                "a partial reset cannot be seeded, the noise of all envs is drawn together: seed a whole reset"
            )
        if mask is not None and not self._ready:
            raise error.ResetNeeded(
                "the first reset must be whole: call reset() without a mask before resetting in part"
            )
        if seed is not None or not self._ready:
            self._seed(int(torch.randint(0, 2**62, ()).item()) if seed is None else int(seed))
        with torch.set_grad_enabled(self.gradients):
            rows = mask.nonzero().flatten() if self._eager and mask is not None else None
            self._begin(rows, mask, options)
            obs = self._observe()
        return obs, {"task": self.counters["task"].clone(), "start": self.counters["start"].clone()}

    def restart(self) -> tuple[Obs, Tensor]:
        """Begins new episodes in the envs that ended and wait: what ``reset(mask=core.done)`` does, for faces.

        Returns:
            obs and tasks of all B envs.
        """
        self._check_ready("restart")
        with torch.set_grad_enabled(self.gradients):
            mask = self.counters["done"]
            self._begin(mask.nonzero().flatten() if self._eager else None, mask, {})
            return self._observe(), self.counters["task"].clone()

    def _check_open(self) -> None:
        if self.closed:
            raise error.ClosedEnvironmentError("this env was closed; make a new one")

    def _check_ready(self, what: str) -> None:
        self._check_open()
        if not self._ready:
            raise error.ResetNeeded(f"{what} before reset: call reset() first")

    def _mask(self, mask: Any) -> Tensor | None:
        if mask is None:
            return None
        mask = torch.as_tensor(mask, device=self.device)
        if mask.dtype != torch.bool or tuple(mask.shape) != (self.num_envs,):
            raise ValueError(
                f"a reset mask must be bool of shape ({self.num_envs},), got {mask.dtype} {tuple(mask.shape)}"
            )
        return mask

    def _seed(self, seed: int) -> None:
        self.seed = seed
        self.generator.manual_seed(seed)
        self._episode = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)

    def _begin(self, rows: Tensor | None, mask: Tensor | None, options: Mapping[str, Any]) -> None:
        """Starts episodes in ``rows`` (CPU), where ``mask`` is true (elsewhere), or everywhere (both None)."""
        state, task, start = self._draw(rows, options)
        drawn = "task" not in options and "start" not in options
        if mask is None and self._memories is not None:
            self._memories.look()
        memory = self._memories(start) if self._memories is not None and not options else None
        if memory is None:
            memory = self.reward.start(self.model, state, task)
        if mask is None:
            self.state, self.memory = state, memory
            self._begin_all(task, start, drawn)
            return
        self.state = self._put(self.state, state, rows, mask)
        self.memory = self._put(self.memory, memory, rows, mask)
        self._one_task = self._one_task and drawn
        if not self._one_task:
            self._threshold = None
        self._episode = self._episode + mask  # first: the mask may be the counter "done" itself
        self.counters = self._count_anew(task, start, rows, mask)
        if self.autoreset != "same_step":
            self._waiting = not self._eager or bool(self.counters["done"].any())

    def _begin_all(self, task: Tensor, start: Tensor, drawn: bool) -> None:
        """Counts from here in every env; ``drawn``: its task was."""
        done, achieved = torch.zeros((2, len(task)), dtype=torch.bool, device=self.device)
        begun = torch.full_like(task, self._clock)
        self.counters = {"task": task, "start": start, "begun": begun, "done": done, "achieved": achieved}
        self._one_task = drawn and len(self.beginner.pool) == 1
        self._threshold = self._find_threshold()
        self._next_horizon = self._clock + self.rules.horizon
        self._last: Verdict | None = None
        self._episode = self._episode + 1
        self._ready, self._waiting = True, False

    def _count_anew(self, task: Tensor, start: Tensor, rows: Tensor | None, mask: Tensor) -> dict[str, Tensor]:
        """The counters once episodes have begun in ``rows`` or where ``mask`` is true."""
        old = self.counters
        # Where every env has the one task already, the very same tensor stays, so that a reward that groups envs by
        # task need not look at it again.
        new = {"start": start} if self._one_task else {"start": start, "task": task}
        fixed: dict[str, Any] = {"begun": self._clock}
        if self.autoreset != "same_step":
            fixed["done"] = False
        if self.rules.reward != "success":
            fixed["achieved"] = False
        if rows is None:
            changed = {k: torch.where(mask, v, old[k]) for k, v in new.items()}
            return {**old, **changed, **{k: old[k].masked_fill(mask, v) for k, v in fixed.items()}}
        for key, value in new.items():
            old[key].index_copy_(0, rows, value)
        for key, value in fixed.items():
            old[key].index_fill_(0, rows, value)
        return old

    def _find_threshold(self) -> Tensor | None:
        """The threshold where all envs have one task (a view); None elsewhere, or where the reward has own rules."""
        if not self._eager or not self._one_task or type(self.reward).succeeded is not RewardModel.succeeded:
            return None
        return self.reward.thresholds[self.tasks.index(self.beginner.pool[0])]

    def _draw(self, rows: Tensor | None, options: Mapping[str, Any]) -> tuple[State, Tensor, Tensor]:
        """States, tasks and bank rows of the envs that begin."""
        return self.beginner.begin(self.seed, self._episode, rows, options)

    def _observe(self, rows: Tensor | None = None) -> Obs:
        """The present observation of all envs, or of ``rows``."""
        task = self.counters["task"]
        if self._shared:
            self._versions = self._count_writes()
        if rows is None:
            return self.observe(self.state, task)
        return self.observe.fresh(take_rows(self.state, rows), task, rows)

    def _put(self, old: State, new: State, rows: Tensor | None, mask: Tensor) -> State:
        """``old`` with ``new`` at ``rows`` (new holds those rows only), or where ``mask`` is true (rows None)."""
        if rows is None:
            return where(mask, new, old)
        if len(rows) == self.num_envs:
            return new
        # The core owns its tensors, so rows are written in place: copying a large state for a few rows is what costs.
        if self.gradients or self._shared or not all(v.is_contiguous() for v in old.values()):
            return {k: v.index_copy(0, rows, new[k]) for k, v in old.items()}
        if self._quick:
            with torch.inference_mode():
                return {k: v.index_copy_(0, rows, new[k]) for k, v in old.items()}
        return {k: v.index_copy_(0, rows, new[k]) for k, v in old.items()}

    # ------------------------------------------------------------------ step

    def step(self, action: Any) -> Step:
        """Dreams one step (or one chunk) in every env.

        Args:
            action: [B, A], or [B, chunk, A]; float tensor or array.

        Raises:
            ValueError: see `ActionReader`.
        """
        with torch.set_grad_enabled(self.gradients):
            verdict, waiting = self._judged(action)
            return self._finish(verdict, waiting)

    def step_bare(self, action: Any) -> tuple[Obs, Verdict]:
        """`step` without the info, for faces that report little of it. Autoreset "disabled" only."""
        with torch.set_grad_enabled(self.gradients):
            verdict, waiting = self._judged(action)
            self._note_ends(verdict, waiting)
            return self._observe(), verdict

    def _judged(self, action: Any) -> tuple[Verdict, Tensor | None]:
        """The outcome of the action, and the envs that had ended before it (None: none)."""
        self._check_ready("step")
        action = self._actions(action)
        if self._shared:
            self._check_untouched()
        waiting = self.counters["done"] if self._waiting else None
        # Under next_step the envs that wait are reset below, whatever happens to them here.
        frozen = waiting if self.autoreset == "disabled" else None
        if self.chunk is None:
            return self._frame(action, frozen, self._last), waiting
        return self._run_chunk(action, frozen), waiting

    def _check_untouched(self) -> None:
        """Raises where a caller wrote into features that are the state; tensors count their writes."""
        if self._versions and self._versions != self._count_writes():
            self._versions = []
            raise RuntimeError(
                "an observation was written to in place, and it is the dream's state: clone observations before you "
                "change them, or make the env with share_features=False; reset before you go on"
            )

    def _count_writes(self) -> list[int]:
        return [v._version for v in self.state.values() if not v.is_inference()]

    def _run_chunk(self, action: Tensor, frozen: Tensor | None) -> Verdict:
        """Frame by frame; an env that ends stays where it ended, and the rest of its chunk is not executed."""
        total, verdict = torch.zeros(self.num_envs, device=self.device), self._last
        per_frame = self.spec.actions_per_frame
        for frame in action.split(per_frame, 1):
            verdict = self._frame(frame[:, 0] if per_frame == 1 else frame, frozen, verdict)
            total = total + verdict.reward
            frozen = None if verdict.quiet else verdict.terminated | verdict.truncated
            if self._eager and frozen is not None:
                if bool(frozen.all()):
                    break
                frozen = frozen if bool(frozen.any()) else None
        assert verdict is not None
        return verdict._replace(reward=total)

    def _frame(self, action: Tensor, frozen: Tensor | None, last: Verdict | None) -> Verdict:
        """One predicted frame in every env that is not ``frozen``; those keep their state and the verdict ``last``."""
        before, counters = self.state, self.counters
        advance = self._advance_quickly if self._quick else self._advance_and_doubt
        state, reward, probability, success, memory, uncertainty = advance(action, frozen)
        self._clock += self.spec.actions_per_frame
        if success is None and frozen is None and self._is_quiet(state, reward, probability, uncertainty):
            self.state, self.memory = state, memory
            return nothing_happened(self.rules, reward, probability, counters["achieved"], uncertainty)
        if success is None and self._threshold is not None:
            success = probability >= self._threshold
        elif success is None:
            success = self.reward.succeeded(probability, counters["task"])
        scores = [probability] if reward is probability else [reward, probability]
        scores += [] if uncertainty is None else [uncertainty]
        failed = None
        if not (self._eager and surely_finite(state, scores)):
            failed = failures(self.model.features(state), state, scores)
        horizon = counters["begun"] <= self._clock - self.rules.horizon
        achieved = None if self.rules.reward == "success" else counters["achieved"]
        verdict = judge(self.rules, reward, probability, success, achieved, uncertainty, failed, horizon)
        keep = frozen if failed is None else failed if frozen is None else frozen | failed
        if keep is not None:
            state, memory = where(keep, before, state), where(keep, self.memory, memory)
        if frozen is not None and last is not None:
            verdict = verdict.where_not(frozen, last)
        self.state, self.memory = state, memory
        if achieved is not None:
            counters["achieved"] = verdict.is_success.clone()
        return verdict

    def _advance_and_doubt(self, action: Tensor, frozen: Tensor | None) -> tuple[Any, ...]:
        """`_advance`, and the uncertainty (None: not asked for)."""
        moved = self._advance(action, frozen)
        return *moved, self.model.uncertainty(moved[0]) if self.report_uncertainty else None

    def _advance_quickly(self, action: Tensor, frozen: Tensor | None) -> tuple[Any, ...]:
        """The same in inference mode, in which a small operation costs a tenth less.

        State and memory stay the core's own and may be inference tensors; scores go to the caller, who may learn from
        them, and are copied into ordinary ones.
        """
        with torch.inference_mode():
            state, reward, probability, success, memory, uncertainty = self._advance_and_doubt(action, frozen)
        scores = probability.clone()
        reward = scores if reward is probability else reward.clone()
        return state, reward, scores, success, memory, None if uncertainty is None else uncertainty.clone()

    def _advance(
        self, action: Tensor, frozen: Tensor | None
    ) -> tuple[State, Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
        """Next state, the model's reward, success probability, success (None: by the threshold) and reward memory."""
        task, before = self.counters["task"], self.state
        state = self._imagine(before, action, self.generator)
        reward, probability, memory = self.reward.step(self.model, self.memory, before, action, state, task)
        return state, reward, probability, None, memory

    def _is_quiet(self, state: State, reward: Tensor, probability: Tensor, uncertainty: Tensor | None) -> bool:
        """Whether surely no env ends at this frame; most frames are such, and judging them env by env costs.

        On the CPU only, since it reads values. NaN fails every comparison, so it never passes for quiet.
        """
        if self._threshold is None or (self._clock >= self._next_horizon and self._horizon_is_near()):
            return False
        if not probability.max().item() < self._threshold.item():
            return False
        if uncertainty is not None and not uncertainty.max().item() < self.rules.highest_uncertainty:
            return False
        return surely_finite(state, [] if reward is probability else [reward])

    def _horizon_is_near(self) -> bool:
        """Whether some env may be at its horizon; episodes that began since the last look put that off."""
        self._next_horizon = int(self.counters["begun"].min()) + self.rules.horizon
        return self._clock >= self._next_horizon

    def _finish(self, verdict: Verdict, waiting: Tensor | None) -> Step:
        """The autoreset, and the tensors that the caller gets, none of which the core keeps."""
        reward, terminated, truncated = verdict.reward, verdict.terminated, verdict.truncated
        info, final = verdict.info(), None
        done, ended = self._note_ends(verdict, waiting)
        if self.autoreset == "next_step" and waiting is not None:
            rows = waiting.nonzero().flatten() if self._eager else None
            obs, info = self._restart(waiting, rows, None, info)
            reward = reward.masked_fill(waiting, 0.0)
            return Step(obs, reward, terminated & ~waiting, truncated & ~waiting, info, None)
        info["task"] = self.counters["task"].clone()
        obs = self._observe()
        if ended and self.autoreset == "same_step":
            rows = done.nonzero().flatten() if self._eager else None
            final = Final(done, rows, take_rows(obs, rows), {k: take_rows(v, rows) for k, v in info.items()})
            obs, info = self._restart(done, rows, obs, info)
        return Step(obs, reward, terminated, truncated, info, final)

    def _note_ends(self, verdict: Verdict, waiting: Tensor | None) -> tuple[Tensor, bool]:
        """Which envs ended, [B], and whether any may have; keeps what those that wait need."""
        done = verdict.terminated if verdict.quiet else verdict.terminated | verdict.truncated
        ended = not verdict.quiet and (not self._eager or bool(done.any()))
        if self.autoreset != "same_step" and not (verdict.quiet and waiting is None):
            self.counters["done"], self._waiting = done.clone() if verdict.quiet else done, ended
        if self.autoreset == "disabled":
            self._last = verdict.copy() if ended else None
        return done, ended

    def _restart(self, mask: Tensor, rows: Tensor | None, obs: Obs | None, info: Info) -> tuple[Obs, Info]:
        """New episodes where ``mask`` is true (``rows``: the same); observations and info of the new ones there."""
        self._begin(rows, mask, {})
        if obs is None or rows is None or self.gradients or self._shared:
            obs = self._observe()
        else:
            obs = write_rows(obs, rows, self._observe(rows))
        task = info["task"] if self._one_task and rows is not None and "task" in info else self.counters["task"].clone()
        return obs, {k: task if k == "task" else v.masked_fill(mask, 0) for k, v in {**info, "task": task}.items()}

    # ------------------------------------------------------------------ looking, branching

    def render(self) -> Tensor:
        """What the cameras of each env show, side by side: uint8 [B, H, W, 3].

        Raises:
            ValueError: the model decodes no images.
        """
        self._check_ready("render")
        with torch.no_grad():
            return self.observe.picture(self.state)

    def snapshot(self) -> Snapshot:
        """A copy of everything that decides how this dream goes on, noise included."""
        self._check_ready("snapshot")
        counters = clone({**self.counters, "episode": self._episode, "begun": self.counters["begun"] - self._clock})
        last = None if self._last is None else self._last.copy().tensors()
        return Snapshot(clone(self.state), clone(self.memory), counters, last, self.seed, self.generator.get_state())

    def restore(self, snapshot: Snapshot) -> Obs:
        """Goes back (or over) to a snapshot of as many envs; returns its observation."""
        self._check_open()
        size = len(snapshot.counters["task"])
        if size != self.num_envs:
            raise ValueError(f"the snapshot holds {size} envs, this dream {self.num_envs}; use snapshot.select(index)")
        parts = (snapshot.state, snapshot.memory, snapshot.counters)
        self.state, self.memory, self.counters = (copy_to(part, self.device) for part in parts)
        self._episode, self.seed = self.counters.pop("episode"), snapshot.seed
        self.beginner.forget()
        self.counters["begun"] += self._clock
        self.generator.set_state(snapshot.noise)
        self._last, self._one_task, self._threshold = None, False, None
        if snapshot.last is not None:
            last = copy_to(snapshot.last, self.device)
            self._last = Verdict.from_tensors(last)
        self._ready = True
        self._waiting = self.autoreset != "same_step" and (not self._eager or bool(self.counters["done"].any()))
        with torch.set_grad_enabled(self.gradients):
            return self._observe()

    def detach(self) -> None:
        """Cuts the autograd graph behind the current state (with ``gradients``): truncated backpropagation."""
        self.state = {k: v.detach() for k, v in self.state.items()}
        self.memory = {k: v.detach() for k, v in self.memory.items()}

    def close(self) -> None:
        """Lets go of the model and the state; later calls raise ClosedEnvironmentError."""
        self.closed = True
        self.state, self.memory = {}, {}


def _limit(limit: float | str | None, calibrated: float | None) -> float | None:
    if limit == "auto":
        if calibrated is None:
            raise ValueError(
                "uncertainty_limit='auto' needs a calibrated checkpoint, and this one records no limit; pass a number"
            )
        return calibrated
    if isinstance(limit, str):
        raise ValueError(f"uncertainty_limit must be a number, 'auto' or None, got {limit!r}")
    return None if limit is None else float(limit)
