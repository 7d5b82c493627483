"""How episodes begin: which task, from which state, from a seed or as the caller's options say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamgym.envs.core.draws import uniform
from dreamgym.envs.core.observation import sensors_to_torch
from dreamgym.envs.core.options import CoreOptions
from dreamgym.envs.core.rows import take_rows
from dreamgym.envs.core.starts import StartBank
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel, clone
from dreamgym.world_models.history import begin
from dreamgym.world_models.instructions import told

OPTIONS = ("start", "task", "history", "state", "goal", "reset_mask")


WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
"""Types of whole numbers that torch compares and indexes with."""


def as_tensor(value: Any, what: str, device: torch.device) -> Tensor:
    """``value`` as a tensor; ValueError where it is none."""
    try:
        return torch.as_tensor(value, device=device)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{what}: expected numbers, got {type(value).__name__} ({error})") from error


def read_options(options: Any, wants_goal: bool, has_goal: bool) -> dict[str, Any]:
    """The options of a reset as a dict of their own.

    Args:
        options: what the caller gave; None: nothing.
        wants_goal: whether the reward model compares with goals.
        has_goal: whether every env has one from before.

    Raises:
        ValueError: no mapping, unknown names, names that contradict each other, or a goal too many or too few.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"reset takes options by name, {list(OPTIONS)}; got {options!r}")
    options = dict(options or {})
    if unknown := [k for k in options if k not in OPTIONS]:
        raise ValueError(f"unknown reset options {unknown}; known: {list(OPTIONS)}")
    if len(begins := [k for k in ("start", "history", "state") if k in options]) > 1:
        raise ValueError(f"reset options {begins} each say where episodes begin: give one of them")
    if "goal" in options and not wants_goal:
        raise ValueError("the option 'goal' is for reward_model='goal': this env's reward has no goals")
    if wants_goal and not has_goal and "goal" not in options:
        raise ValueError(
            "this env's reward has goals: reset it with options={'goal': frames} first, real frames of what each "
            "env is to reach, [B, h, ...] by sensor, as the option 'history' takes them"
        )
    return options


def check_tensors(value: Any, option: str) -> None:
    """ValueError unless ``value`` is a mapping of names to tensors or numeric arrays with a leading dimension."""
    fits = isinstance(value, Mapping) and all(
        isinstance(v, Tensor) or (isinstance(v, np.ndarray) and v.dtype.kind in "fiub") for v in value.values()
    )
    if not fits or any(v.ndim == 0 for v in value.values()):
        got = {k: type(v).__name__ for k, v in value.items()} if isinstance(value, Mapping) else type(value).__name__
        raise ValueError(f"options[{option!r}] takes tensors or arrays by name, [B, ...] each; got {got}")


class Beginner:
    """Draws states and tasks for new episodes.

    Draws depend on (seed, env, episode) alone: what one env starts from never depends on when the others were reset,
    and on the CPU no number is drawn for envs that are not reset. Real histories are another matter: the model's own
    noise in filtering them is drawn for the whole batch, from the seed and how many episodes all envs have begun.

    Attributes:
        tasks: every task of the reward; task numbers index it.
        pool: the tasks that episodes draw from.
        bank: the start bank, or None.
    """

    def __init__(
        self,
        model: WorldModel,
        tasks: tuple[str, ...],
        bank: StartBank | None,
        options: CoreOptions,
        blank: State,
    ) -> None:
        self.model, self.tasks, self.num_envs, self.split = model, tasks, options.num_envs, options.split
        self.instructions, task = options.instructions, options.task
        if task is None:
            raise ValueError(f"task=None: expected a task's name, several, or 'all'; this reward knows {list(tasks)}")
        self.pool = tasks if task == "all" else (task,) if isinstance(task, str) else tuple(task)
        unknown = [n for n in self.pool if n not in tasks]
        if unknown or not self.pool:
            raise ValueError(f"unknown task {unknown or '(none given)'}; this reward knows {list(tasks)}, or say 'all'")
        self._validate = options.validate
        self._shapes = {k: tuple(v.shape[1:]) for k, v in blank.items()}
        device = next(iter(blank.values())).device
        self._pool = torch.tensor([tasks.index(t) for t in self.pool], device=device)
        self._env = torch.arange(self.num_envs, device=device)
        self._first = torch.zeros(1, dtype=torch.int64, device=device)
        self.bank: StartBank | None = None
        if bank is not None:
            self.checked(bank.states, "the start bank")
            self.bank = bank.to(device)
            self._sampler = self.bank.sampler(self.pool, self.split)
            # The bank's own task numbers in the order of the reward's; -1 where the reward does not know the task.
            numbers = [tasks.index(t) if t in tasks else -1 for t in bank.tasks]
            self._bank_task = torch.tensor([*numbers, -1], device=device)[self.bank.task]

    def checked(self, state: Mapping[str, Tensor], what: str, size: int | None = None) -> State:
        """The states, if they are this model's (``size`` of them); else ValueError."""
        got = {k: tuple(v.shape[1:]) for k, v in state.items()}
        if got == self._shapes:
            held = len(next(iter(state.values())))
            if size is not None and held != size:
                raise ValueError(f"{what} holds {held} states; give one for each of the {size} envs")
            return dict(state)
        wrong = [k for k in sorted({*got, *self._shapes}) if got.get(k) != self._shapes.get(k)]
        detail = ", ".join(f"{k!r}: got {got.get(k)}, expected {self._shapes.get(k)}" for k in wrong)
        raise ValueError(
            f"{what} does not fit this {self.model.spec.family} model ({detail}); use the states that came with the "
            "model, or encode new ones with model.start"
        )

    def begin(
        self,
        seed: int,
        episode: Tensor,
        rows: Tensor | None,
        options: Mapping[str, Any],
    ) -> tuple[State, Tensor, Tensor]:
        """States, tasks and bank rows (-1: none) of the envs that begin.

        Args:
            seed: of the dream.
            episode: [B], how many episodes each env has begun.
            rows: [K] the envs that begin; None: all B.
            options: see `DreamCore.reset`; every entry speaks of all B envs.
        """
        env = self._env if rows is None else rows
        start: Tensor | None = self._rows_of(options["start"])[env] if "start" in options else None
        task, pick = self.draw_task(seed, episode, rows, options)
        if start is not None and "task" not in options:  # the bank's own, where the row has one
            known = self._bank_task[start]
            task = torch.where(known >= 0, known, task)
        if "history" in options or "state" in options:
            every = self.draw_task(seed, episode, None, options)[0] if self.model.spec.instructions else task
            state = self._given(options, every, seed + int(episode.sum()))
            return state if rows is None else {k: v[rows] for k, v in state.items()}, task, torch.full_like(env, -1)
        if self.bank is None:
            raise ValueError("this dream has no start bank: reset with options={'history': ...} or {'state': ...}")
        if start is None:
            start = self.draw_start(seed, env, take_rows(episode, rows), task, pick)
        return self.bank.state(start), task, start

    def draw_start(
        self, seed: int, env: Tensor, episode: Tensor, task: Tensor | None = None, pick: Tensor | None = None
    ) -> Tensor:
        """Bank rows [K] from which episodes ``episode`` [K] of the envs ``env`` [K] begin.

        Args:
            seed, env, episode: what the draw depends on.
            task, pick: as `draw_task` gave them; both None: the pool has one task.
        """
        assert self.bank is not None
        sampler = self._sampler
        if task is None:
            pick = self._first.expand(len(env))
        elif pick is None:
            known, pick = task.unique(return_inverse=True)
            sampler = self.bank.sampler([self.tasks[t] for t in known.tolist()], self.split)
        return sampler(pick, uniform(seed, env, episode, 0))

    def one_task(self, size: int) -> Tensor:
        """[size], the pool's one task: a view of one number, not to be written to."""
        return self._pool.expand(size)

    def draw_task(
        self, seed: int, episode: Tensor, rows: Tensor | None, options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor | None]:
        """Tasks of the envs that begin; and their place in ``pool`` where they were drawn from it, else None."""
        env = self._env if rows is None else rows
        if "task" in options:
            return self.tasks_of(options["task"])[env], None
        if len(self.pool) == 1:
            # Of a few envs a view of the one number will do; the tasks of all are kept, and written to.
            task = self._pool.repeat(len(env)) if rows is None else self.one_task(len(env))
            return task, self._first.expand(len(env))
        pick = (uniform(seed, env, take_rows(episode, rows), 1) * len(self._pool)).long()
        return self._pool[pick], pick

    def _rows_of(self, start: Any) -> Tensor:
        if self.bank is None:
            raise ValueError("options={'start': ...} needs a start bank, and this dream has none")
        return self._index(start, "start", "bank rows", len(self.bank))

    def tasks_of(self, task: Any) -> Tensor:
        """[B] int64, from names or numbers of tasks: one, or one an env."""
        task = [task] if isinstance(task, str) else task
        if isinstance(task, Sequence) and any(isinstance(t, str) for t in task):
            unknown = [t for t in task if t not in self.tasks]
            if unknown:
                raise ValueError(f"unknown task {unknown}; this reward knows {list(self.tasks)}")
            task = [self.tasks.index(t) for t in task]
        return self._index(task, "task", "tasks", len(self.tasks))

    def _index(self, value: Any, option: str, what: str, size: int) -> Tensor:
        """[B] int64 in 0..size-1, from one integer or one an env."""
        index = as_tensor(value, f"options[{option!r}]", self._env.device)
        if index.dtype not in WHOLE or index.numel() not in (1, self.num_envs):
            raise ValueError(
                f"options[{option!r}] takes {what}: one, or one for each of the {self.num_envs} envs; "
                f"got {index.dtype} of shape {tuple(index.shape)}"
            )
        if not bool(((index >= 0) & (index < size)).all()):
            raise ValueError(f"options[{option!r}] takes {what} in 0..{size - 1}, got {index.flatten().tolist()[:16]}")
        return index.long().flatten().expand(self.num_envs)

    def sentences(self, task: Tensor) -> list[str] | None:
        """What the model is told of each of ``task`` [K]; None where it takes no instruction.

        Raises:
            ValueError: a task of which the model knows no sentence.
        """
        if not self.model.spec.instructions:
            return None
        return told(self.model.spec, [{"task": self.tasks[i]} for i in task.tolist()], self.instructions)

    def goal(self, seed: int, episode: Tensor, options: Mapping[str, Any]) -> Tensor:
        """The features [B, ...] of the goals that ``options["goal"]`` shows; the rest as `begin` takes it."""
        task = self.draw_task(seed, episode, None, options)[0]
        state = self._filtered(options, "goal", task, seed + int(episode.sum()))
        return self.model.features(state).detach().clone()

    def _given(self, options: Mapping[str, Any], task: Tensor, seed: int) -> State:
        """The states of all B envs from the caller's states or real frames."""
        device = self._env.device
        if "state" in options:
            check_tensors(options["state"], "state")
            state = {k: torch.as_tensor(v, device=device) for k, v in options["state"].items()}
            return clone(self.checked(state, "options['state']", self.num_envs))
        return self._filtered(options, "history", task, seed)

    def _filtered(self, options: Mapping[str, Any], option: str, task: Tensor, seed: int) -> State:
        """The states after the real frames in ``options[option]``."""
        device = self._env.device
        check_tensors(options[option], option)
        frames = sensors_to_torch(options[option], self.model.spec, device)
        if self._validate and (bad := [k for k, v in frames.items() if not bool(v.isfinite().all())]):
            raise ValueError(f"options[{option!r}]: {bad} hold NaN or infinity")
        # A generator of its own: a partial reset must not move the noise of the envs that dream on.
        state = begin(self.model, frames, torch.Generator(device).manual_seed(seed), self.sentences(task))
        return self.checked(state, f"the {option}", self.num_envs)
