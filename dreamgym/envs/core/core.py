"""The simulation core: owns the step contract of a dream. Every face calls it and adds only a calling convention.

    step:  prepare -> imagine -> reward -> terminated / truncated -> autoreset

It is three layers: `EpisodesUnderWay` (where each env stands, and how episodes begin), on it `Frames` (one predicted
frame, scored and judged), on it `DreamCore` (what callers call).

On the CPU, where reading a bool costs nothing, work that nobody needs is skipped (no env ended: nothing is reset); on
any other device every branch is a ``torch.where``, so that a step never waits for the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import error, spaces
from torch import Tensor

from dreamgym.envs.core.actions import action_space
from dreamgym.envs.core.begin import OPTIONS
from dreamgym.envs.core.frames import Frames
from dreamgym.envs.core.judge import Rules, Verdict, read_limit
from dreamgym.envs.core.rows import copy_to, take_rows, write_rows
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.core.steps import Final, Info, Obs, Snapshot, Step
from dreamgym.rewards.base import RewardModel
from dreamgym.world_models.base import WorldModel, clone

AUTORESET = ("same_step", "next_step", "disabled")


class DreamCore(Frames):
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
        rules = Rules(reward_mode, horizon, read_limit(uncertainty_limit, model.spec.uncertainty_limit))
        super().__init__(
            model,
            reward,
            starts,
            rules,
            num_envs=num_envs,
            task=task,
            split=split,
            obs=obs,
            autoreset=autoreset,
            gradients=gradients,
            share_features=share_features,
            device=device,
            chunk=chunk,
            uncertainty=uncertainty,
            validate=validate,
            compile=compile,
        )

    @property
    def can_render(self) -> bool:
        """Whether there is a camera to look through."""
        return bool(self.observe.images)

    @property
    def render_needs(self) -> str:
        """What is missing where `can_render` is false, and the mend."""
        return (
            f"a model that decodes images; this {self.spec.family} model decodes {list(self.spec.decodable)}. Use "
            "render_mode=None"
        )

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
        with self._mode():
            if seed is not None or not self._ready:
                self._seed(int(torch.randint(0, 2**62, ()).item()) if seed is None else int(seed))
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
        with self._mode():
            mask = self.counters["done"]
            self._begin(mask.nonzero().flatten() if self._eager else None, mask, {})
            return self._observe(), self.counters["task"].clone()

    def _mask(self, mask: Any) -> Tensor | None:
        if mask is None:
            return None
        mask = torch.as_tensor(mask, device=self.device)
        if mask.dtype != torch.bool or tuple(mask.shape) != (self.num_envs,):
            raise ValueError(
                f"a reset mask must be bool of shape ({self.num_envs},), got {mask.dtype} {tuple(mask.shape)}"
            )
        return mask

    # ------------------------------------------------------------------ step

    def step(self, action: Any) -> Step:
        """Dreams one step (or one chunk) in every env.

        Args:
            action: [B, A], or [B, chunk, A]; float tensor or array.

        Raises:
            ValueError: see `ActionReader`.
        """
        with self._mode():
            verdict, waiting = self._judged(action)
            return self._finish(verdict, waiting)

    def step_bare(self, action: Any) -> tuple[Obs, Verdict]:
        """`step` without the info, for faces that report little of it. Autoreset "disabled" only."""
        with self._mode():
            verdict, waiting = self._judged(action)
            self._note_ends(verdict, waiting)
            return self._observe(), verdict

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
        with self._mode():
            self._go_on_from(snapshot)
            return self._observe()

    def _go_on_from(self, snapshot: Snapshot) -> None:
        parts = (snapshot.state, snapshot.memory, snapshot.counters)
        self.state, self.memory, self.counters = (copy_to(part, self.device) for part in parts)
        self._episode, self.seed = self.counters.pop("episode"), snapshot.seed
        self.beginner.forget()
        self.counters["begun"] += self._clock
        self.generator.set_state(snapshot.noise)
        self._last, self._one_task, self._threshold = None, False, None
        if snapshot.last is not None:
            self._last = Verdict.from_tensors(copy_to(snapshot.last, self.device))
        self._ready = True
        self._waiting = self.autoreset != "same_step" and (not self._eager or bool(self.counters["done"].any()))

    def detach(self) -> None:
        """Cuts the autograd graph behind the current state (with ``gradients``): truncated backpropagation."""
        self.state = {k: v.detach() for k, v in self.state.items()}
        self.memory = {k: v.detach() for k, v in self.memory.items()}

    def close(self) -> None:
        """Lets go of the model and the state; later calls raise ClosedEnvironmentError."""
        self.closed = True
        self.state, self.memory = {}, {}
