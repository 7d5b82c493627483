"""Demonstrations in memory: trajectories of observations and actions, and random snippets of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dreamgym_agents.common.episodes import ArrayLike, as_rows, check_episode, check_origin
from dreamgym_agents.common.scale import Scale, checksum

UNNAMED = "task"
"""The task of demonstrations that name none."""


@dataclass
class Demonstrations:
    """Trajectories laid end to end; make one with `from_episodes`.

    Attributes:
        obs: [S, O] float32, all states in a row.
        action: [S, A] float32; ``action[i]`` is applied at ``obs[i]``.
        starts, lengths: [N] int64, first row and number of rows of each trajectory.
        task: [N] int64, an index of ``tasks``.
        tasks: names.
        labels: anything else that is known of each trajectory (an operator), by name, N entries each.
        trail: steps that a snippet may go on beyond the last row, which is repeated there; see `trailed`.
        recorded: [S] bool, False at rows that `padded` or `led` repeated; None where all were recorded.
        origin: entries of the observation that actions are counted from; see `counted_from`.
    """

    obs: Tensor
    action: Tensor
    starts: Tensor
    lengths: Tensor
    task: Tensor
    tasks: tuple[str, ...]
    labels: dict[str, list[Any]]
    trail: int = 0
    recorded: Tensor | None = None
    origin: tuple[int, ...] = ()

    @classmethod
    def from_episodes(
        cls,
        episodes: Sequence[tuple[ArrayLike, ArrayLike]],
        task: Sequence[str] | str = UNNAMED,
        tasks: Sequence[str] | None = None,
        labels: Mapping[str, Sequence[Any]] | None = None,
    ) -> Demonstrations:
        """From pairs (obs [T, O], action [T, A]), arrays or tensors; T may differ.

        Args:
            episodes: the trajectories.
            task: the task of each, or of all.
            tasks: every task there is, in order; by default those that occur, sorted.
            labels: see the attribute.

        Raises:
            ValueError: no episode; shapes that do not belong together; NaN; a task that is not among ``tasks``.
        """
        if not len(episodes):
            raise ValueError("no demonstrations: an empty set trains nothing; collect at least one trajectory")
        pairs = [(as_rows(i, o), as_rows(i, a)) for i, (o, a) in enumerate(episodes)]
        dims = tuple(x.shape[-1] if x.dim() == 2 else None for x in pairs[0])
        for i, (obs, action) in enumerate(pairs):
            check_episode(i, obs, action, dims)
        each = [task] * len(pairs) if isinstance(task, str) else list(task)
        known = tuple(sorted(set(each))) if tasks is None else tuple(tasks)
        if len(each) != len(pairs) or set(each) - set(known):
            unknown = sorted(set(each) - set(known))
            raise ValueError(f"{len(each)} tasks for {len(pairs)} trajectories; unknown {unknown}, known {list(known)}")
        lengths = torch.tensor([len(obs) for obs, _ in pairs])
        named = {name: list(values) for name, values in (labels or {}).items()}
        if wrong := {name: len(values) for name, values in named.items() if len(values) != len(pairs)}:
            raise ValueError(f"labels: expected one for each of {len(pairs)} trajectories, got {wrong}")
        return cls(
            torch.cat([obs for obs, _ in pairs]),
            torch.cat([action for _, action in pairs]),
            lengths.cumsum(0) - lengths,
            lengths,
            torch.tensor([known.index(name) for name in each]),
            known,
            named,
        )

    @classmethod
    def from_store(cls, store: Any, obs: str, tasks: Sequence[str] | None = None) -> Demonstrations:
        """From a `dreamgym.data` store or view: the key ``obs``, "action", and "task" of each episode's meta.

        Raises:
            ValueError: an empty store, or as in `from_episodes`.
        """
        episodes = [store.episode(i, [obs, "action"]) for i in range(len(store))]
        return cls.from_episodes(
            [(e[obs], e["action"]) for e in episodes], [m.get("task", UNNAMED) for m in store.metas], tasks
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def obs_dim(self) -> int:
        """O."""
        return self.obs.shape[1]

    @property
    def action_dim(self) -> int:
        """A."""
        return self.action.shape[1]

    def fingerprint(self) -> dict[str, Any]:
        """What tells these demonstrations from others: their sizes, their rows and how they are cut; JSON-ready."""
        return {
            "trajectories": len(self),
            "rows": len(self.obs),
            "values": checksum(self.obs, self.action),
            "layout": checksum(self.lengths, self.task),
            "trail": self.trail,
        }

    def scales(self, constant: str = "raise") -> tuple[Scale, Scale]:
        """The scales of observations and of actions, over all rows; see `Scale.of`."""
        return Scale.of(self.obs, "observation", constant), Scale.of(self.action, "action", constant)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Every trajectory in full: obs [N, T, O], action [N, T, A].

        Raises:
            ValueError: their lengths differ.
        """
        low, high = int(self.lengths.min()), int(self.lengths.max())
        if low != high:
            raise ValueError(
                f"these trajectories have between {low} and {high} steps, and whole ones must be of one length: take "
                f"snippets of {low} steps or fewer (config length), or lengthen the short ones with padded({high})"
            )
        index = self.starts[:, None] + torch.arange(high)
        return self.obs[index], self.action[index]

    def padded(self, length: int) -> Demonstrations:
        """A copy whose shorter trajectories go on to ``length`` by repeating their last row.

        That tells a policy to do at the end what was done last; right where the last action holds still or hardly
        matters (a solved task).
        """
        return self._rearranged([torch.arange(max(length, n)) for n in self.lengths.tolist()])

    def led(self, steps: int) -> Demonstrations:
        """A copy whose trajectories begin with their first row ``steps`` times more: the history after a reset."""
        return self._rearranged([torch.arange(-steps, n) for n in self.lengths.tolist()])

    def trailed(self, steps: int) -> Demonstrations:
        """The same trajectories, of which snippets may begin so near the end that ``steps`` of them lie beyond it.

        There the last row is repeated. With ``length - 1`` a snippet begins at every row alike, as Chi et al.'s do: who
        plans anew in the middle of an episode must have learned from snippets that begin in the middle. Scales, and
        whatever else is taken of the rows themselves, stay those of the trajectories as they are.
        """
        if steps < 0:
            raise ValueError(f"a trail must be at least 0 steps, got {steps}")
        return replace(self, trail=steps)

    def counted_from(self, entries: Sequence[int]) -> Demonstrations:
        """A copy whose actions are counted from entries of the observation, one for each entry of the action.

        For actions that are positions to go to, near where the robot is: a closed-loop policy then learns how far to go
        from here (``entries``: where here is) rather than to say again where it is. Policies of an agent that learned
        from these add what was taken off, so what they return are positions.

        Raises:
            ValueError: as many entries as actions have not, or none of the observation's; actions that are counted from
                somewhere already.
        """
        check_origin(entries, self.obs_dim, self.action_dim)
        if self.origin or not entries:
            raise ValueError(f"expected entries to count from, once; got {tuple(entries)} after {self.origin}")
        return replace(self, action=self.action - self.obs[:, list(entries)], origin=tuple(entries))

    def check_length(self, length: int, rows: Tensor | None = None) -> None:
        """Raises ValueError where a trajectory, of ``rows`` if given, is with its trail shorter than ``length``."""
        lengths = self.lengths if rows is None else self.lengths[rows]
        short = (lengths + self.trail < length).nonzero().flatten()
        if len(short):
            raise ValueError(
                f"{len(short)} of {len(lengths)} trajectories have fewer than {length} steps (the shortest "
                f"{int(lengths.min())}): ask for shorter snippets, leave them out, or use padded({length}) or "
                f"trailed({length - 1})"
            )

    def snippets(self, rows: Tensor, length: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A random snippet of each of the trajectories ``rows`` [B]: obs [B, length, O], action [B, length, A].

        Raises:
            ValueError: one of them, with its trail, is shorter than that.
        """
        self.check_length(length, rows)
        index, _ = self._drawn(rows, length, generator)
        return self.obs[index], self.action[index]

    def epoch(
        self, length: int, batch_size: int, generator: torch.Generator, snippets: int = 1
    ) -> Iterator[dict[str, Tensor]]:
        """One random snippet of each trajectory, or ``snippets`` of them, in random order.

        Yields:
            obs [B, T, O], action [B, T, A], task [B], recorded [B, T] bool (False where a row is a repeated one, which
            nothing led to); the last batch may be smaller.
        """
        self.check_length(length)
        order = torch.randperm(len(self) * snippets, generator=generator) % len(self)
        for rows in order.split(batch_size):
            index, recorded = self._drawn(rows, length, generator)
            yield {
                "obs": self.obs[index], "action": self.action[index], "task": self.task[rows], "recorded": recorded,
            }  # fmt: skip

    def _rearranged(self, steps: Sequence[Tensor]) -> Demonstrations:
        """A copy with these steps of each trajectory; the first or last row stands for what lies outside of it."""
        each = list(zip(steps, self.starts.tolist(), self.lengths.tolist(), strict=True))
        rows = torch.cat([start + s.clamp(0, n - 1) for s, start, n in each])
        recorded = torch.cat([(s >= 0) & (s < n) for s, _, n in each])
        if self.recorded is not None:
            recorded = recorded & self.recorded[rows]
        lengths = torch.tensor([len(s) for s in steps])
        return replace(
            self, obs=self.obs[rows], action=self.action[rows], starts=lengths.cumsum(0) - lengths, lengths=lengths,
            labels=dict(self.labels), recorded=recorded,
        )  # fmt: skip

    def _drawn(self, rows: Tensor, length: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The rows [B, length] of a random snippet of each trajectory, and whether they were recorded there."""
        # A snippet begins within its trajectory, however long the trail.
        spare = torch.minimum(self.lengths[rows] + self.trail - length + 1, self.lengths[rows]).double()
        shift = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * spare).floor().long()
        step = shift[:, None] + torch.arange(length)
        inside = step < self.lengths[rows, None]
        index = self.starts[rows, None] + torch.minimum(step, self.lengths[rows, None] - 1)
        return index, inside if self.recorded is None else inside & self.recorded[index]
