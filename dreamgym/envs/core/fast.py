"""What makes small steps fast, behind one switch: work that nobody needs is skipped. No result changes (tests compare).

Each trick looks at values, which costs nothing on a CPU, or beside simulators that are waited for anyway; on other
devices it would make every step wait. What each is worth: `benchmarks/fast_path.py`,
`benchmarks/results/fast_path.json`::

    rows        only envs that begin an episode are begun, scored and shown again, not all of the batch
    quiet       a frame at which surely no env ends is judged by two or three reductions
    inference   model and reward run in inference mode, in which a small operation costs a tenth less
    memories    what the reward model remembers of a start is kept, and gathered when an episode begins there again
    begins      starts of the next episodes are drawn ahead, those of all envs together, and episodes that begin are
                written into the state of the others, not into a copy of it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dreamgym.envs.core.ahead import StartsAhead
from dreamgym.envs.core.judge import Verdict, nobody_ended, surely_finite
from dreamgym.envs.core.memories import StartMemories
from dreamgym.envs.core.rows import put_rows
from dreamgym.rewards.base import Memory, RewardModel
from dreamgym.types import State

if TYPE_CHECKING:
    from dreamgym.envs.core.core import DreamCore
    from dreamgym.envs.core.world import Begun

TRICKS = ("rows", "quiet", "inference", "memories", "begins")


class Fast:
    """The tricks of one core.

    Args:
        core: made so far that its model, reward, reader, beginner and world stand.
        tricks: which to use; for measuring them.

    Attributes:
        scoring: the mode in which model and reward run: inference mode where nobody else gets the state itself, else
            the core's.
        threshold: where all envs have one task and the reward has no rules of its own: its threshold, a scalar.
    """

    def __init__(self, core: DreamCore, tricks: tuple[str, ...] = TRICKS) -> None:
        on_cpu, self.tricks, self._pool = core.device.type == "cpu", tricks, core.beginner.pool
        own = on_cpu and not (core.gradients or core.reader.aliases or core.world.waits)
        own = own and not core.options.compile
        self._inference = "inference" in tricks and own
        self.scoring: AbstractContextManager[Any] = torch.inference_mode() if self._inference else nullcontext()
        # Features that are the state itself need no look of their own.
        self._features = None if core.reader.features_are_state else core.model.features
        self._next_horizon = 0
        self._some_succeeded = False
        self._least: Callable[[], float]  # gives the threshold's value, where there is a threshold
        self.threshold: Tensor | None = None
        self._memories: StartMemories | None = None
        self._ahead: StartsAhead | None = None
        bank, one = core.beginner.bank, len(self._pool) == 1 and not core.reward.wants_goal
        if own and one and bank is not None:
            if "memories" in tricks:
                self._memories = StartMemories(core.model, core.reward, bank, core.tasks.index(self._pool[0]))
            if "begins" in tricks:
                self._ahead = StartsAhead(core.beginner)

    def rows(self, mask: Tensor) -> Tensor | None:
        """The envs of ``mask`` [B] as indices [K]."""
        return mask.nonzero().flatten() if "rows" in self.tricks else None

    def forget(self) -> None:
        """To be called when a core goes on from elsewhere: nothing is known of its episodes."""
        self.threshold, self._next_horizon = None, 0
        if self._ahead is not None:
            self._ahead.forget()

    # ------------------------------------------------------------------ beginning

    def begin(self, core: DreamCore, rows: Tensor) -> Begun | None:
        """What `World.begin` gives for the envs ``rows`` [K] of a dream without options; None: ask it."""
        if self._ahead is None or not core.one_task:
            return None
        assert core.starts is not None
        start = self._ahead(core.seed, core.episode, rows)
        return core.starts.state(start), core.beginner.one_task(len(rows)), start

    def memory(self, start: Tensor) -> Memory | None:
        """What the reward model remembers of starts ``start`` [K] that were drawn for the one task; None: ask it."""
        return None if self._memories is None else self._memories(start)

    def write(self, core: DreamCore, rows: Tensor, begun: tuple[State, Memory, Tensor, Tensor]) -> None:
        """Puts episodes that begin into ``rows`` [K] of the core."""
        state, memory, task, start = begun
        held = [*core.state.values(), *core.memory.values()]
        apart = len({v.untyped_storage().data_ptr() for v in held}) == len(held)
        put = self._put if apart and self._inference and "begins" in self.tricks else put_rows
        core.state, core.memory = put(core.state, rows, state), put(core.memory, rows, memory)
        new = {"start": start} if core.one_task else {"start": start, "task": task}
        fixed: dict[str, Any] = {"begun": core.clock}
        if core.autoreset != "same_step":
            fixed["done"] = False
        if core.rules.reward != "success":
            fixed["achieved"] = False
        if core.options.episode_stats:
            fixed |= {"return": 0.0, "length": 0}
        counters = core.counters
        for key, value in new.items():
            counters[key].index_copy_(0, rows, value)
        for key, value in fixed.items():
            counters[key].index_fill_(0, rows, value)

    def _put(self, old: State, rows: Tensor, new: State) -> State:
        """`put_rows`, into ``old`` itself where that was made in this core's inference mode: nobody else holds it."""
        if not all(v.is_inference() and v.is_contiguous() for v in old.values()):
            return put_rows(old, rows, new)
        with torch.inference_mode():
            return {k: v.index_copy_(0, rows, new[k]) for k, v in old.items()}

    def note_begin(self, core: DreamCore, mask: Tensor | None) -> None:
        """Keeps what is known of the episodes once some, or all, have begun."""
        if self._ahead is not None:
            if mask is None:
                self._ahead.forget()
            else:
                self._ahead.note_begin()
        if mask is None:
            if self._memories is not None:
                self._memories.look()
            self._next_horizon = core.clock + core.rules.horizon
            own = core.one_task and type(core.reward).succeeded is RewardModel.succeeded
            self.threshold = core.reward.thresholds[core.tasks.index(self._pool[0])] if own else None
            if self.threshold is not None:
                # The same memory as an array: a tensor's item() costs four times as much.
                self._least = self.threshold.numpy().item if core.device.type == "cpu" else self.threshold.item
        elif not core.one_task:
            self.threshold = None

    def kept_task(self, core: DreamCore, info: Mapping[str, Tensor]) -> Tensor | None:
        """The task [B] in ``info``, where a reset cannot have changed it."""
        return info["task"] if core.one_task and "rows" in self.tricks and "task" in info else None

    # ------------------------------------------------------------------ judging

    def quiet(
        self, core: DreamCore, state: State, reward: Tensor, probability: Tensor, uncertainty: Tensor | None
    ) -> bool:
        """Whether surely no env ends at this frame; otherwise it must be judged. NaN never passes for quiet."""
        if core.world.oracle is not None or "quiet" not in self.tricks:
            return False
        if core.clock >= self._next_horizon and self._horizon_is_near(core):
            return False
        highest = probability.max().item()
        self._some_succeeded = self.threshold is None or not highest < self._least()
        if self._some_succeeded and (core.rules.reward == "success" or not math.isfinite(highest)):
            return False
        if uncertainty is not None and not uncertainty.max().item() < core.rules.highest_uncertainty:
            return False
        return self.surely_finite(state, [] if reward is probability else [reward])

    def nobody_ended(self, core: DreamCore, reward: Tensor, probability: Tensor, uncertainty: Tensor | None) -> Verdict:
        """The verdict of the frame that `quiet` has just found quiet."""
        counters = core.counters
        if self._some_succeeded:
            counters["achieved"] = counters["achieved"] | core.succeeded(probability)
        return nobody_ended(core.rules, reward, probability, counters["achieved"], uncertainty)

    def _horizon_is_near(self, core: DreamCore) -> bool:
        """Whether some env may be at its horizon; episodes that began since the last look put that off."""
        self._next_horizon = int(core.counters["begun"].min()) + core.rules.horizon
        return core.clock >= self._next_horizon

    def surely_finite(self, state: State, scores: list[Tensor]) -> bool:
        """See `judge.surely_finite`; features count too."""
        seen = scores if self._features is None else [*scores, self._features(state)]
        return "quiet" in self.tricks and surely_finite(state, seen)
