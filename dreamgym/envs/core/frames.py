"""How dreams go on: an action in, predicted frames scored and judged one by one, what became of each env out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dreamgym.envs.core.actions import ActionReader, check_chunk
from dreamgym.envs.core.episodes import EpisodesUnderWay
from dreamgym.envs.core.judge import Verdict, failures, judge, nothing_happened, surely_finite
from dreamgym.types import State
from dreamgym.world_models.base import where


class Frames(EpisodesUnderWay):
    """Episodes that go on by one frame, or by a chunk of them.

    Args:
        chunk, uncertainty, validate, compile: as for `DreamCore`.
        args, kwargs: as for `EpisodesUnderWay`.
    """

    def __init__(
        self, *args: Any, chunk: int | None, uncertainty: bool, validate: bool, compile: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        per_frame = self.spec.actions_per_frame
        if chunk is None and per_frame > 1:
            chunk = per_frame
        self.chunk = None if chunk is None else check_chunk(chunk, per_frame)
        self.report_uncertainty = uncertainty or self.rules.uncertainty_limit is not None
        self._actions = ActionReader(self.spec.action, self.num_envs, self.chunk, self.device, validate)
        self._imagine = torch.compile(self.model.imagine) if compile else self.model.imagine
        self._quick = self._quick and not compile

    def _judged(self, action: Any) -> tuple[Verdict, Tensor | None]:
        """The outcome of the action, and the envs that had ended before it (None: none)."""
        self._check_ready("step")
        action = self._actions(action)
        if self._shared:
            self._check_untouched()
        waiting = self.counters["done"] if self._waiting else None
        # Under next_step the envs that wait are reset afterwards, whatever happens to them here.
        frozen = waiting if self.autoreset == "disabled" else None
        if self.chunk is None:
            return self._frame(action, frozen, self._last), waiting
        return self._run_chunk(action, frozen), waiting

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
        advance = self._advance_quickly if self._quick else self._advance_plainly
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

    def _advance(
        self, action: Tensor, frozen: Tensor | None
    ) -> tuple[State, Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
        """Next state, the model's reward, success probability, success (None: by the threshold) and reward memory."""
        task, before = self.counters["task"], self.state
        state = self._imagine(before, action, self.generator)
        reward, probability, memory = self.reward.step(self.model, self.memory, before, action, state, task)
        return state, reward, probability, None, memory

    def _advance_and_doubt(self, action: Tensor, frozen: Tensor | None) -> tuple[Any, ...]:
        """`_advance`, and the uncertainty (None: not asked for)."""
        moved = self._advance(action, frozen)
        return *moved, self.model.uncertainty(moved[0]) if self.report_uncertainty else None

    def _advance_plainly(self, action: Tensor, frozen: Tensor | None) -> tuple[Any, ...]:
        """The same, with a copy of the uncertainty, which some models keep in the state, for the caller."""
        *moved, uncertainty = self._advance_and_doubt(action, frozen)
        return *moved, None if uncertainty is None else uncertainty.clone()

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
