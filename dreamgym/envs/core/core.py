"""The simulation core: owns the step contract of a dream and of its twin. Every face calls it and adds only a calling
convention.

    step:  prepare -> unroll -> reward -> judge -> autoreset

This file is the whole of it, top to bottom, and longer than others so that no step has to be followed across files.
What it is composed of: `ActionReader` (prepare), a `World` (unroll: the model's dynamics, or a twin's simulators), a
`RewardModel`, `judge` (the rules of an episode), a `Beginner` (how episodes begin) and an `ObservationReader` (what is
shown). On a device where looking at a value makes the program wait, every branch is a ``torch.where`` over the whole
batch. Where it does not, `fast.py` skips what nobody needs; it changes no result.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from gymnasium import error, spaces
from torch import Tensor

from dreamgym.envs.core import branching
from dreamgym.envs.core.actions import ActionReader, action_space, check_chunk
from dreamgym.envs.core.begin import Beginner, as_tensor, read_options
from dreamgym.envs.core.fast import Fast
from dreamgym.envs.core.judge import Rules, Verdict, failures, judge
from dreamgym.envs.core.observation import ObservationReader
from dreamgym.envs.core.options import CoreOptions
from dreamgym.envs.core.rows import copy_to, take_rows, write_rows
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.core.steps import Final, Info, Obs, Snapshot, Step
from dreamgym.envs.core.working import Working
from dreamgym.envs.core.world import DreamWorld, World
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.suites.drawing import Drawing
from dreamgym.types import InstructionSpec, State
from dreamgym.world_models.base import WorldModel, where
from dreamgym.world_models.history import blank_state


class DreamCore:
    """A batch of episodes in one world, under one world model.

    Args:
        model: any `WorldModel`, in eval mode from here on.
        reward: scores tasks on it.
        starts: where episodes begin; without a bank every reset needs options "history" or "state".
        options: see `CoreOptions`.
        world: where transitions come from; None: the model's own dynamics.
        device: where to dream; None: where the model is. Elsewhere than that, the core works on copies of model and
            reward.
        drawing: makes pictures of states, where the model decodes no images or a twin has no camera; None: nothing
            does. Closed with the core.
        changes: fields of `CoreOptions` to change.

    Attributes:
        num_frames: F, frames of a step.
        state, memory: what model and reward model go on from, [B, ...]; written in place where episodes begin, so clone
            what is to be kept.
        frozen: [B] bool, envs that ended and keep still during this step; None: none.
        counters: tensors [B]: "task", "start" (bank row), "begun" (the clock then), "done" (ended, waits for its reset)
            and "achieved" (succeeded earlier in the episode; kept where success does not end it). With
            ``episode_stats`` also "return" and "length" of the episode so far.
        episode: [B] int64, how many episodes each env has begun since the last seeded reset.
        seed: of the last seeded reset.
        one_task: whether every env surely has the one task that episodes draw. ``counters["task"]`` then stays the very
            same tensor, so that a reward which groups envs by task need not look at it again.

    Raises:
        ValueError: options that do not fit the model, the reward or the bank, with what would.
    """

    state: State
    memory: Memory
    counters: dict[str, Tensor]
    frozen: Tensor | None
    episode: Tensor
    seed: int
    one_task: bool

    def __init__(
        self,
        model: WorldModel,
        reward: RewardModel,
        starts: StartBank | None = None,
        options: CoreOptions | None = None,
        *,
        world: World | None = None,
        device: torch.device | str | None = None,
        drawing: Drawing | None = None,
        **changes: Any,
    ) -> None:
        self.drawing = drawing
        self.options = options = replace(options or CoreOptions(), **changes)
        if options.embodiment is not None:
            model = model.embody(options.embodiment)
        if options.fidelity is not None:
            model = model.at_fidelity(options.fidelity)
        self.device, self.model = _placed(model, device)
        self.reward = _placed(reward, self.device)[1]
        self.spec, self.tasks, self.num_envs = self.model.spec, tuple(reward.tasks), options.num_envs
        self.autoreset, self.gradients = options.autoreset, options.gradients
        self.rules = Rules(options.reward_mode, options.horizon, options.limit(self.spec.uncertainty_limit))
        self.chunk = check_chunk(options.chunk, self.spec)
        action = self.spec.action
        frames = 1 if self.chunk is None else self.chunk // self.spec.actions_per_frame
        self.num_frames = action.clip if isinstance(action, InstructionSpec) else frames
        self.world = world or DreamWorld(self.model, options.compile)
        self.report_uncertainty = options.uncertainty or self.rules.uncertainty_limit is not None
        self.generator = torch.Generator(self.device)
        with torch.no_grad():
            blank = blank_state(self.model, self.device)
        shared, proprioception = options.share_features, options.proprioception
        self.reader = ObservationReader(self.model, options.obs, self.tasks, blank, not shared, proprioception)
        self.beginner = Beginner(self.model, self.tasks, starts, options, blank)
        self.read_actions = ActionReader(
            self.spec.action, self.num_envs, self.chunk, self.device, options.validate, options.normalize_actions
        )
        free = self.world.waits or self.device.type == "cpu"
        self.fast = Fast(self) if (free if options.fast is None else options.fast) else None
        self._shared = self.reader.aliases
        self._versions: list[int] = []
        # Control actions since the core was made: an episode that began at t has lasted clock - t of them.
        self.clock = 0
        self._working = Working(self.gradients, options.threads if self.device.type == "cpu" else None)
        self.ready = self.closed = self._waiting = self.one_task = False
        self._last: Verdict | None = None

    # ------------------------------------------------------------------ what faces ask

    @property
    def observation_space(self) -> spaces.Space:
        """Of one env."""
        return self.reader.space

    @property
    def action_space(self) -> spaces.Space:
        """Of one env: Box (A,), Box (chunk, A), or Discrete over sentences."""
        return action_space(self.spec.action, self.chunk, self.options.normalize_actions)

    @property
    def starts(self) -> StartBank | None:
        """The start bank."""
        return self.beginner.bank

    @property
    def missing_camera(self) -> str | None:
        """What is missing where nothing can be rendered, and the mend; None where it can."""
        return self.world.missing_camera(self)

    @property
    def some_done(self) -> bool:
        """Whether some env may have ended and wait for its reset; without `fast`, always true after a step."""
        return self._waiting

    @property
    def elapsed(self) -> Tensor:
        """[B] int64, control actions since each episode began, those included in which an ended env waited."""
        return self.clock - self.counters["begun"]

    @property
    def done(self) -> Tensor:
        """[B] bool, envs that ended and wait for their reset (autoreset "next_step" and "disabled")."""
        return self.counters["done"]

    # ------------------------------------------------------------------ reset

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None, mask: Any = None
    ) -> tuple[Obs, Info]:
        """Begins new episodes, in all envs or where ``mask`` [B] is true.

        Args:
            seed: seeds the start draws and the noise; whole resets only. None goes on from the last seed.
            options: "start": bank rows; "task": names or indices into ``tasks``; "history": real observations, as
                `pad_history` takes them; "state": model states; "goal": real observations of what is to be reached,
                for reward models that want it, kept until another is given; "reset_mask": same as ``mask``. Each has
                one entry for each of the B envs, also in a partial reset ("start" and "task" may have one for all).
            mask: [B] bool.

        Returns:
            obs and info ("task", and "start": the bank row, -1 where there is none) of all B envs.
        """
        self._check_open()
        options = read_options(options, self.reward.wants_goal, self.ready)
        mask = self.read_mask(options.pop("reset_mask", mask))
        if seed is not None and not (isinstance(seed, Integral) and -(2**63) <= seed < 2**63):
            raise ValueError(f"a seed is a whole number of 64 bits, got {seed!r}")
        if mask is not None and seed is not None:
            raise ValueError(
                "a partial reset cannot be seeded, the noise of all envs is drawn together: seed a whole reset"
            )
        if mask is not None and not self.ready:
            raise error.ResetNeeded(
                "the first reset must be whole: call reset() without a mask before resetting in part"
            )
        with self._working:
            if seed is None and self.ready:
                self._begin(mask, self._rows(mask), options)
            else:
                self._begin_seeded(int(torch.randint(0, 2**62, ()).item()) if seed is None else int(seed), options)
            obs = self._observe()
        return obs, {"task": self.counters["task"].clone(), "start": self.counters["start"].clone()}

    def read_mask(self, mask: Any) -> Tensor | None:
        """A caller's reset mask as bool [B] on the core's device; None, which means all, stays None.

        Raises:
            ValueError: another type or shape.
        """
        if mask is None:
            return None
        mask = as_tensor(mask, "a reset mask", self.device)
        if mask.dtype != torch.bool or tuple(mask.shape) != (self.num_envs,):
            raise ValueError(
                f"a reset mask must be bool of shape ({self.num_envs},), got {mask.dtype} {tuple(mask.shape)}"
            )
        return mask

    def restart(self) -> tuple[Obs, Tensor]:
        """Begins new episodes in the envs that ended and wait: what ``reset(mask=core.done)`` does, for faces.

        Returns:
            obs and tasks of all B envs.
        """
        self._check_ready("restart")
        with self._working:
            done = self.counters["done"]
            self._begin(done, self._rows(done), {})
            return self._observe(), self.counters["task"].clone()

    def _begin_seeded(self, seed: int, options: Mapping[str, Any]) -> None:
        """A whole reset from a seed; where it is refused, the noise goes on from where it was."""
        before = (self.seed, self.episode, self.generator.get_state()) if self.ready else None
        self._seed(seed)
        try:
            self._begin(None, None, options)
        except Exception:
            if before is not None:
                self.seed, self.episode = before[:2]
                self.generator.set_state(before[2])
            raise

    def _seed(self, seed: int) -> None:
        self.seed = seed
        self.generator.manual_seed(seed)
        self.episode = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        if self.fast:
            self.fast.forget()

    def _rows(self, mask: Tensor | None) -> Tensor | None:
        """The envs of ``mask`` [B] as indices [K], where looking at values is free; None elsewhere, or for all."""
        return None if self.fast is None or mask is None else self.fast.rows(mask)

    def _begin(self, mask: Tensor | None, rows: Tensor | None, options: Mapping[str, Any]) -> None:
        """New episodes where ``mask`` is true; everywhere where it is None. ``rows``: see `_rows`."""
        goal = self.beginner.goal(self.seed, self.episode, options) if "goal" in options else None
        begun = self.fast.begin(self, rows) if self.fast and rows is not None and not options else None
        state, task, start = begun or self.world.begin(self, mask, rows, options)
        drawn = "task" not in options and "start" not in options
        one_task = drawn and (len(self.beginner.pool) == 1 if mask is None else self.one_task)
        if one_task and mask is not None and rows is None:
            task = self.counters["task"]
        memory = None
        if self.fast and one_task and rows is not None and not options:
            memory = self.fast.memory(start)
        if memory is None:
            memory = self._remember(state, task, rows, goal)
        self.episode = self.episode + (1 if mask is None else mask)
        self.one_task = one_task
        if self.fast:
            self.fast.note_begin(self, mask)
        if mask is None:
            self.state, self.memory, self._last, self._waiting = state, memory, None, False
            self.counters = self._counters_of(task, start)
        elif self.fast and rows is not None:
            self.fast.write(self, rows, (state, memory, task, start))
        else:
            self.state, self.memory = where(mask, state, self.state), where(mask, memory, self.memory)
            self.counters = where(mask, self._counters_of(task, start), self.counters)
            if one_task:
                self.counters["task"] = task
        self.ready = True
        if mask is not None and self.autoreset != "same_step":
            self._waiting = self.fast is None or bool(self.counters["done"].any())

    def _remember(self, state: State, task: Tensor, rows: Tensor | None = None, goal: Tensor | None = None) -> Memory:
        """What the reward model remembers of episodes that begin; a goal stays an env's until it is given another."""
        if goal is None and self.reward.wants_goal and self.ready:
            goal = self.memory["goal"]
        if goal is None:
            return self.reward.start(self.model, state, task)
        return self.reward.start_towards(self.model, state, task, take_rows(goal, rows))

    def _counters_of(self, task: Tensor, start: Tensor) -> dict[str, Tensor]:
        """Counters [B] of episodes that begin now."""
        done, achieved = torch.zeros((2, len(task)), dtype=torch.bool, device=self.device)
        begun = torch.full_like(task, self.clock)
        counters = {"task": task, "start": start, "begun": begun, "done": done, "achieved": achieved}
        if self.options.episode_stats:
            counters |= {"return": torch.zeros(len(task), device=self.device), "length": torch.zeros_like(task)}
        return counters

    # ------------------------------------------------------------------ step

    def step(self, action: Any) -> Step:
        """Goes on by one step (a frame, or a chunk of them) in every env.

        Args:
            action: [B, A], or [B, chunk, A]; float tensor or array. Instructions: [B], whole numbers.

        Raises:
            ValueError: see `ActionReader`.
        """
        with self._working:
            verdict, waiting = self._go_on(action)
            return self._finish(verdict, waiting)

    def step_bare(self, action: Any) -> tuple[Obs, Verdict]:
        """`step` without the info, for faces that report little of it. Autoreset "disabled" only."""
        with self._working:
            verdict, waiting = self._go_on(action)
            self._note_ends(verdict, waiting)
            return self._observe(), verdict

    def frames(self, action: Any) -> Iterator[Step]:
        """`step`, a frame at a time: all frames come from one prediction, each is made when it is asked for.

        For callers who must see every frame of a chunk or clip (lengths of episodes, recordings). An env that ended
        keeps still; whoever stops asking leaves the rest unexecuted. Autoreset "disabled" only.

        Args:
            action: as for `step`.

        Raises:
            ValueError: see `ActionReader`; another autoreset.
        """
        if self.autoreset != "disabled":
            raise ValueError(
                f"frames() leaves resets to its caller: make the core with autoreset 'disabled', not {self.autoreset!r}"
            )
        self._check_ready("frames")
        with self._working:
            action, frames = self._unrolled(action)
        verdict = self._last
        for each in self.split(action):
            with self._working:
                waiting = self.frozen
                verdict = self._frame(frames, each, verdict)
                step = self._finish(verdict, waiting)
                self.frozen = self.counters["done"] if self._waiting else None
            yield step

    def _go_on(self, action: Any) -> tuple[Verdict, Tensor | None]:
        """What became of every env, and those that had ended before (None: none)."""
        self._check_ready("step")
        waiting = self.counters["done"] if self._waiting else None
        action, frames = self._unrolled(action)
        if self.num_frames == 1:
            return self._frame(frames, action, self._last), waiting
        verdict, total = self._last, torch.zeros(self.num_envs, device=self.device)
        for each in self.split(action):
            verdict = self._frame(frames, each, verdict)
            total = total + verdict.reward
            # An env that ended stays where it ended, and the rest of its chunk is not executed.
            self.frozen = None if verdict.quiet else verdict.terminated | verdict.truncated
            if self.fast and self.frozen is not None:
                if bool(self.frozen.all()):
                    break
                self.frozen = self.frozen if bool(self.frozen.any()) else None
        assert verdict is not None
        return verdict._replace(reward=total), waiting

    def _unrolled(self, action: Any) -> tuple[Tensor, Iterator[State]]:
        """The prepared action and its frames, which are yet to be made; notes which envs keep still."""
        action = self.read_actions(action)
        if self._shared:
            self._check_untouched()
        # Under next_step the envs that wait are reset afterwards, whatever happens to them here.
        self.frozen = self.counters["done"] if self._waiting and self.autoreset == "disabled" else None
        return action, self.world.unroll(self, action)

    def split(self, action: Tensor) -> tuple[Tensor, ...]:
        """The actions of each frame of a step: [B, A], [B, a, A], or the instruction [B] of all of them."""
        if self.chunk is None:
            return (action,) * self.num_frames
        frames = action.split(self.spec.actions_per_frame, 1)
        return tuple(f[:, 0] for f in frames) if self.spec.actions_per_frame == 1 else frames

    def _frame(self, frames: Iterator[State], action: Tensor, last: Verdict | None) -> Verdict:
        """One frame in every env that is not ``frozen``; those keep their state and the verdict ``last``."""
        before, frozen = self.state, self.frozen
        with self.fast.scoring if self.fast else nullcontext():
            state, reward, probability, memory, uncertainty = self._score(frames, before, action)
            self.clock += self.spec.actions_per_frame
            quiet = self.fast and frozen is None and self.fast.quiet(self, state, reward, probability, uncertainty)
        # Scores go to the caller; some models keep the uncertainty in the state.
        scores = probability.clone()
        reward = scores if reward is probability else reward.clone()
        uncertainty = None if uncertainty is None else uncertainty.clone()
        if self.fast and quiet:
            verdict = self.fast.nobody_ended(self, reward, scores, uncertainty)
        else:
            failed, verdict = self._judged(state, reward, scores, uncertainty)
            keep = frozen if failed is None else failed if frozen is None else frozen | failed
            if keep is not None:
                state, memory = where(keep, before, state), where(keep, self.memory, memory)
            if frozen is not None and last is not None:
                verdict = verdict.where_not(frozen, last)
            if self.rules.reward != "success":
                self.counters["achieved"] = verdict.is_success.clone()
        self.state, self.memory = state, memory
        return self._counted(verdict, frozen)

    def _judged(
        self, state: State, reward: Tensor, scores: Tensor, uncertainty: Tensor | None
    ) -> tuple[Tensor | None, Verdict]:
        """In which envs the model failed, [B] bool (None: surely nowhere), and the verdict on a frame."""
        success = self.world.oracle if self.world.oracle is not None else self.succeeded(scores)
        numbers = [scores] if reward is scores else [reward, scores]
        numbers += [] if uncertainty is None else [uncertainty]
        failed = None
        if not (self.fast and self.fast.surely_finite(state, numbers)):
            failed = failures(self.model.features(state), state, numbers)
        horizon = self.counters["begun"] <= self.clock - self.rules.horizon
        achieved = None if self.rules.reward == "success" else self.counters["achieved"]
        return failed, judge(self.rules, reward, scores, success, achieved, uncertainty, failed, horizon)

    def _counted(self, verdict: Verdict, frozen: Tensor | None) -> Verdict:
        """The verdict, whose reward and actions count for the episodes of the envs that are not ``frozen``."""
        if self.options.episode_stats:
            actions = self.spec.actions_per_frame
            length = self.counters["length"] + (actions if frozen is None else actions * ~frozen)
            self.counters |= {"return": self.counters["return"] + verdict.reward.detach(), "length": length}
        return verdict

    def stats(self) -> Info:
        """With ``episode_stats``, "episode_return" and "episode_length" [B] of the episodes so far; else nothing."""
        if not self.options.episode_stats:
            return {}
        return {f"episode_{name}": self.counters[name].clone() for name in ("return", "length")}

    def _score(
        self, frames: Iterator[State], before: State, action: Tensor
    ) -> tuple[State, Tensor, Tensor, Memory, Tensor | None]:
        """The next frame, what the reward model pays, its success probability and memory, and the uncertainty."""
        state = next(frames)
        task = self.counters["task"]
        reward, probability, memory = self.reward.step(self.model, self.memory, before, action, state, task)
        if self.world.oracle is not None and self.reward.oracle_pays:
            reward = self.world.oracle.to(torch.float32)
        elif self.rules.reward == "log_probability":
            reward = self.reward.log_probability(self.model, self.memory, state, task)
        return state, reward, probability, memory, self.model.uncertainty(state) if self.report_uncertainty else None

    def succeeded(self, probability: Tensor) -> Tensor:
        """[B] bool, which of these success probabilities [B] reach their env's threshold."""
        if self.fast and self.fast.threshold is not None:
            return probability >= self.fast.threshold
        return self.reward.succeeded(probability, self.counters["task"])

    # ------------------------------------------------------------------ autoreset

    def _finish(self, verdict: Verdict, waiting: Tensor | None) -> Step:
        """The autoreset, and the tensors that the caller gets, none of which the core keeps."""
        reward, terminated, truncated = verdict.reward, verdict.terminated, verdict.truncated
        info, final = verdict.info(), None
        if self.options.episode_stats:
            info |= self.stats()
        done, ended = self._note_ends(verdict, waiting)
        if self.autoreset == "next_step" and waiting is not None:
            obs, info = self._restart(waiting, self._rows(waiting), None, info)
            reward = reward.masked_fill(waiting, 0.0)
            return Step(obs, reward, terminated & ~waiting, truncated & ~waiting, info, None)
        info["task"] = self.counters["task"].clone()
        obs = self._observe()
        if ended and self.autoreset == "same_step":
            rows = self._rows(done)
            final = Final(done, rows, take_rows(obs, rows), {k: take_rows(v, rows) for k, v in info.items()})
            obs, info = self._restart(done, rows, obs, info)
        return Step(obs, reward, terminated, truncated, info, final)

    def _note_ends(self, verdict: Verdict, waiting: Tensor | None) -> tuple[Tensor, bool]:
        """Which envs ended, [B], and whether any may have; keeps what those that wait need."""
        done = verdict.terminated if verdict.quiet else verdict.terminated | verdict.truncated
        ended = not verdict.quiet and (self.fast is None or bool(done.any()))
        if self.autoreset != "same_step" and not (verdict.quiet and waiting is None):
            self.counters["done"], self._waiting = done.clone() if verdict.quiet else done, ended
        if self.autoreset == "disabled":
            self._last = verdict.copy() if ended else None
        return done, ended

    def _restart(self, mask: Tensor, rows: Tensor | None, obs: Obs | None, info: Info) -> tuple[Obs, Info]:
        """New episodes where ``mask`` is true (``rows``: see `_rows`); observations and info of the new ones there."""
        self._begin(mask, rows, {})
        if obs is None or rows is None or self.gradients or self._shared:
            obs = self._observe()
        else:
            obs = write_rows(obs, rows, self._observe(rows))
        task = self.fast.kept_task(self, info) if self.fast else None
        task = self.counters["task"].clone() if task is None else task
        return obs, {k: task if k == "task" else v.masked_fill(mask, 0) for k, v in {**info, "task": task}.items()}

    # ------------------------------------------------------------------ looking, branching

    def render(self) -> Tensor:
        """What the cameras of each env show, side by side: uint8 [B, H, W, 3].

        Raises:
            ValueError: there is no camera.
        """
        self._check_ready("render")
        with torch.no_grad():
            return self.world.picture(self)

    def draw(self, sensors: Mapping[str, np.ndarray]) -> Tensor:
        """Pictures of each env's state, uint8 [B, H, W, 3], from its vector sensors [B, d]; needs ``drawing``."""
        assert self.drawing is not None
        return torch.from_numpy(self.drawing(sensors, [self.tasks[t] for t in self.counters["task"].tolist()]))

    def snapshot(self) -> Snapshot:
        """A copy of everything that decides how this core goes on, noise included."""
        self._check_ready("snapshot")
        return branching.snapshot(self, self._last)

    def restore(self, snapshot: Snapshot) -> Obs:
        """Goes back (or over) to a snapshot of as many envs; returns its observation.

        Raises:
            ValueError: a snapshot of another number of envs, or in a twin one that was taken of a dream.
        """
        self._check_open()
        with self._working:
            self._last = branching.restore(self, snapshot)
            self._resume()
            return self._observe()

    def place(
        self,
        state: State,
        task: Tensor,
        elapsed: Tensor | None = None,
        memory: Memory | None = None,
        seed: int = 0,
    ) -> Obs:
        """Puts states of the same model into all envs: how a planner imagines from where an env is now.

        Args:
            state: [B, ...], as another core of this model holds it; copied.
            task: int64 [B], indices into ``tasks``.
            elapsed: int64 [B], control actions that the episodes have lasted; None: they begin here.
            memory: [B, ...], what the reward model remembers of the episodes; None: they begin here.
            seed: of the noise from here on.

        Returns:
            The observation.

        Raises:
            ValueError: a twin, whose simulators would stay where they are; states of another model.
        """
        self._check_open()
        if not self.world.can_place:
            raise ValueError(
                "a twin cannot be placed: its simulators would stay where they are; place a dream's core, or restore a "
                "snapshot of the twin"
            )
        with self._working:
            placed = copy_to(self.beginner.checked(state, "the placed state", self.num_envs), self.device)
            task = self.beginner.tasks_of(task)
            begun = self._remember(placed, task) if memory is None else memory
            counters = self._counters_of(task, torch.full_like(task, -1))
            if elapsed is not None:
                counters["begun"] -= elapsed.to(self.device)
                if self.options.episode_stats:
                    counters["length"] += elapsed.to(self.device)
            # From here on nothing is refused.
            if not self.ready:
                self._seed(seed)
            self.generator.manual_seed(seed)
            self.state, self.memory, self.counters = placed, copy_to(begun, self.device), counters
            self._last = None
            self._resume()
            return self._observe()

    def _resume(self) -> None:
        """Goes on from state and counters that were put in from elsewhere."""
        self.one_task = False
        if self.fast:
            self.fast.forget()
        # A snapshot of a core that counted other things: what it lacks begins at nought.
        begun = self._counters_of(self.counters["task"], self.counters["start"])
        self.counters = {name: self.counters.get(name, value) for name, value in begun.items()}
        self.ready = True
        self._waiting = self.autoreset != "same_step" and (self.fast is None or bool(self.counters["done"].any()))

    def detach(self) -> None:
        """Cuts the autograd graph behind the current state (with ``gradients``): truncated backpropagation."""
        self.state = {k: v.detach() for k, v in self.state.items()}
        self.memory = {k: v.detach() for k, v in self.memory.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Raises TypeError: half of a core cannot be copied or pickled (generators, simulators, worker processes)."""
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled: take core.snapshot(), which can, and "
            "restore() it in another core of the same checkpoint"
        )

    def close(self) -> None:
        """Lets go of the model and the state; later calls raise ClosedEnvironmentError."""
        self.closed = True
        self.state, self.memory = {}, {}
        self.world.close()
        if self.drawing is not None:
            self.drawing.close()

    # ------------------------------------------------------------------ inside

    def _observe(self, rows: Tensor | None = None) -> Obs:
        """The present observation of all envs, or of ``rows``."""
        if self._shared:
            self._versions = self._count_writes()
        return self.world.observe(self, rows)

    def _check_open(self) -> None:
        if self.closed:
            raise error.ClosedEnvironmentError("this env was closed; make a new one")

    def _check_ready(self, what: str) -> None:
        self._check_open()
        if not self.ready:
            raise error.ResetNeeded(f"{what} before reset: call reset() first")

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


def _placed(module: Any, device: torch.device | str | None) -> tuple[torch.device, Any]:
    """The device, with its full name, and the module on it in eval mode: itself, or a copy where it lies elsewhere.

    Raises:
        ValueError: a device on which nothing can be computed here.
    """
    own = next((t.device for t in (*module.parameters(), *module.buffers())), None)
    try:
        # An empty tensor knows the full name of its device: an accelerator without a number is its current one.
        wanted = torch.empty(0, device=own or "cpu" if device is None else device).device
        torch.Generator(wanted)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={str(device)!r} cannot be used here ({reason}): choose another, as 'cpu'") from error
    if own is not None and own != wanted:
        module = copy.deepcopy(module).to(wanted)
    return wanted, module.eval()
