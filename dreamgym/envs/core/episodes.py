"""Episodes under way in every env of a batch: where each stands, how new ones begin among them, what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from gymnasium import error
from torch import Tensor

from dreamgym.envs.core.ahead import Memories
from dreamgym.envs.core.begin import Beginner
from dreamgym.envs.core.judge import Rules, Verdict
from dreamgym.envs.core.observation import ObservationReader, zero_history
from dreamgym.envs.core.rows import take_rows
from dreamgym.envs.core.starts import StartBank
from dreamgym.envs.core.steps import Obs
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.types import State
from dreamgym.world_models.base import WorldModel, where


class EpisodesUnderWay:
    """The ground that `DreamCore` stands on: state, reward memory and counters of B episodes.

    Args:
        rules: how long an episode lasts, what pays and what ends it.
        model, reward, starts, and the rest: as for `DreamCore`.

    Attributes:
        state, memory: what model and reward model go on from, [B, ...]; the episodes' own, written in place where
            nobody else can hold them.
        counters: tensors [B]: "task", "start" (bank row), "begun" (the clock then), "done" (ended, waits for its reset)
            and "achieved" (succeeded earlier in the episode; kept with reward "probability").
        seed: of the last seeded reset.
    """

    state: State
    memory: Memory
    counters: dict[str, Tensor]
    seed: int

    def __init__(
        self,
        model: WorldModel,
        reward: RewardModel,
        starts: StartBank | None,
        rules: Rules,
        *,
        num_envs: int,
        task: Any,
        split: str | None,
        obs: str,
        autoreset: str,
        gradients: bool,
        share_features: bool,
        device: torch.device | str | None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if device is None:
            device = next((p.device for p in model.parameters()), torch.device("cpu"))
        # An empty tensor knows the full name of its device: an accelerator without a number is its current one.
        self.device = torch.empty(0, device=device).device
        self.model, self.reward = model.to(self.device).eval(), reward.to(self.device).eval()
        self.spec, self.tasks, self.num_envs = model.spec, tuple(reward.tasks), num_envs
        self.rules, self.autoreset, self.gradients = rules, autoreset, gradients
        self.generator = torch.Generator(self.device)
        with torch.no_grad():
            blank = self.model.start(zero_history(self.spec, 1, self.device), torch.Generator(self.device))
        self.observe = ObservationReader(self.model, obs, self.tasks, blank, copy=not share_features)
        self.beginner = Beginner(self.model, self.tasks, task, starts, split, num_envs, blank)
        bank, pool = self.beginner.bank, self.beginner.candidates()
        self._memories = None if bank is None or gradients else Memories(self.model, self.reward, bank, pool)
        self._eager, self._shared = self.device.type == "cpu", self.observe.aliases
        # Ordinary tensors are needed only where the caller gets the state itself; see `Frames._advance_quickly`.
        self._quick = self._eager and not (gradients or self._shared)
        self._versions: list[int] = []
        # Frames since the core was made; an episode that began at t has lasted clock - t control steps.
        self._clock = 0
        self._ready = self.closed = self._one_task = self._waiting = False
        self._threshold: Tensor | None = None
        self._last: Verdict | None = None

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

    def _check_open(self) -> None:
        if self.closed:
            raise error.ClosedEnvironmentError("this env was closed; make a new one")

    def _check_ready(self, what: str) -> None:
        self._check_open()
        if not self._ready:
            raise error.ResetNeeded(f"{what} before reset: call reset() first")

    def _mode(self) -> AbstractContextManager[Any]:
        """In which all work is done: gradients as asked for, and ordinary tensors whatever mode the caller is in.

        Counters made in a caller's inference mode could not be written to in place outside it.
        """
        return _ordinary() if torch.is_inference_mode_enabled() else torch.set_grad_enabled(self.gradients)

    # ------------------------------------------------------------------ beginning

    def _seed(self, seed: int) -> None:
        self.seed = seed
        self.generator.manual_seed(seed)
        self._episode = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self.beginner.forget()

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

    def _draw(self, rows: Tensor | None, options: Mapping[str, Any]) -> tuple[State, Tensor, Tensor]:
        """States, tasks and bank rows of the envs that begin."""
        return self.beginner.begin(self.seed, self._episode, rows, options)

    def _put(self, old: State, new: State, rows: Tensor | None, mask: Tensor) -> State:
        """``old`` with ``new`` at ``rows`` (new holds those rows only), or where ``mask`` is true (rows None)."""
        if rows is None:
            return where(mask, new, old)
        if len(rows) == self.num_envs:
            return new
        if not self._quick or not all(v.is_contiguous() for v in old.values()):
            return {k: v.index_copy(0, rows, new[k]) for k, v in old.items()}
        # Nobody else holds these tensors, and copying a large state for a few rows is what would cost.
        with torch.inference_mode():
            return {k: v.index_copy_(0, rows, new[k]) for k, v in old.items()}

    # ------------------------------------------------------------------ counting

    def _begin_all(self, task: Tensor, start: Tensor, drawn: bool) -> None:
        """Counts from here in every env; ``drawn``: its task was."""
        done, achieved = torch.zeros((2, len(task)), dtype=torch.bool, device=self.device)
        begun = torch.full_like(task, self._clock)
        self.counters = {"task": task, "start": start, "begun": begun, "done": done, "achieved": achieved}
        self._one_task = drawn and len(self.beginner.pool) == 1
        self._threshold = self._find_threshold()
        self._next_horizon = self._clock + self.rules.horizon
        self._last = None
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

    def _horizon_is_near(self) -> bool:
        """Whether some env may be at its horizon; episodes that began since the last look put that off."""
        self._next_horizon = int(self.counters["begun"].min()) + self.rules.horizon
        return self._clock >= self._next_horizon

    # ------------------------------------------------------------------ showing

    def _observe(self, rows: Tensor | None = None) -> Obs:
        """The present observation of all envs, or of ``rows``."""
        task = self.counters["task"]
        if self._shared:
            self._versions = self._count_writes()
        if rows is None:
            return self.observe(self.state, task)
        return self.observe.fresh(take_rows(self.state, rows), task, rows)

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


@contextmanager
def _ordinary() -> Iterator[None]:
    """Leaves the caller's inference mode; a caller who chose that wants no gradients."""
    with torch.inference_mode(False), torch.no_grad():
        yield
