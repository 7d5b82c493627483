"""Start states: where dreams begin. A bank of filtered model states, each with the simulator snapshot it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dreamgym.types import SPLITS, State

ANY_TASK = -1


class StartBank:
    """Start states of a checkpoint, drawn by task and split.

    Attributes:
        states: model state by key, [N, ...]; floats are stored as they came (fp16 in checkpoints) and leave as float32.
        task: [N] int64, index into ``tasks``; -1 marks a start that suits every task.
        split: [N] int64, a position in `dreamgym.types.SPLITS`: 0 train, 1 val, 2 test.
        snapshot: [N, S] float64 simulator snapshots that belong to the states, or None.
        tasks: names that ``task`` refers to.
    """

    def __init__(
        self,
        states: State,
        tasks: Sequence[str],
        task: Tensor | None = None,
        split: Tensor | None = None,
        snapshot: Tensor | None = None,
    ) -> None:
        sizes = {k: len(v) for k, v in states.items()}
        if not sizes or len(set(sizes.values())) != 1 or min(sizes.values()) == 0:
            raise ValueError(f"a start bank needs state tensors of one length N >= 1, got {sizes}")
        size = next(iter(sizes.values()))
        self.states = dict(states)
        self.tasks = tuple(tasks)
        self.task = torch.full((size,), ANY_TASK) if task is None else task.to(torch.int64)
        self.split = torch.zeros(size, dtype=torch.int64) if split is None else split.to(torch.int64)
        self.snapshot = snapshot
        for name, tensor in (("task", self.task), ("split", self.split), ("snapshot", snapshot)):
            if tensor is not None and len(tensor) != size:
                raise ValueError(f"the start bank holds {size} states but {len(tensor)} entries of {name!r}")
        if int(self.task.max()) >= len(self.tasks) or int(self.task.min()) < ANY_TASK:
            raise ValueError(f"task indices must lie in -1..{len(self.tasks) - 1} (tasks: {list(self.tasks)})")

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], tasks: Sequence[str]) -> StartBank:
        """Reads the layout of ``starts.safetensors``: ``state/<key>``, ``task``, ``split``, ``snapshot``."""
        states = {k.removeprefix("state/"): v for k, v in tensors.items() if k.startswith("state/")}
        return cls(states, tasks, tensors.get("task"), tensors.get("split"), tensors.get("snapshot"))

    def to_tensors(self) -> dict[str, Tensor]:
        """The layout that `from_tensors` reads: floats as fp16."""
        out = {f"state/{k}": v.half() if v.is_floating_point() else v for k, v in self.states.items()}
        out |= {"task": self.task, "split": self.split}
        return out if self.snapshot is None else {**out, "snapshot": self.snapshot}

    def __len__(self) -> int:
        return len(self.task)

    def to(self, device: torch.device | str) -> StartBank:
        """The bank on another device; snapshots stay where they are, only simulators read them."""
        states = {k: v.to(device) for k, v in self.states.items()}
        return StartBank(states, self.tasks, self.task.to(device), self.split.to(device), self.snapshot)

    def state(self, index: Tensor) -> State:
        """The model states at ``index`` [K], floats as float32: fresh tensors, never views of the bank."""
        out = {}
        for key, value in self.states.items():
            rows = value.index_select(0, index)
            out[key] = rows.float() if rows.is_floating_point() else rows
        return out

    def reported_split(self, tasks: Sequence[str]) -> str:
        """Where reported figures begin: "test" where every one of ``tasks`` has such a start, else "val"."""
        numbers = [self.tasks.index(name) if name in self.tasks else ANY_TASK for name in tasks]
        held = self.split == SPLITS.index("test")
        whole = all(bool((held & ((self.task == n) | (self.task == ANY_TASK))).any()) for n in numbers)
        return "test" if whole else "val"

    def candidates(self, task: str, split: str | None) -> Tensor:
        """[K] int64: rows from which ``task`` can start in ``split`` (None: all three).

        Raises:
            ValueError: an unknown split or task, or no such row.
        """
        if split is not None and split not in SPLITS:
            raise ValueError(f"split must be one of {list(SPLITS)} or None (all), got {split!r}")
        number = self.tasks.index(task) if task in self.tasks else ANY_TASK
        rows = (self.task == number) | (self.task == ANY_TASK)
        if split is not None:
            rows = rows & (self.split == SPLITS.index(split))
        index = rows.nonzero().flatten()
        if len(index) == 0:
            held = sorted({self.tasks[i] for i in self.task.tolist() if i >= 0})
            raise ValueError(
                f"the start bank has no {split or ''} start for task {task!r}; it holds starts for {held}. Choose one "
                "of those tasks, another split, or reset with options={'history': ...} or {'start': rows}"
            )
        return index

    def sampler(self, tasks: Sequence[str], split: str | None) -> StartSampler:
        """A vectorised sampler over ``tasks`` (the order of a reward model's tasks)."""
        return StartSampler([self.candidates(task, split) for task in tasks])

    def sample(self, task: Tensor, generator: torch.Generator | None = None, split: str | None = "train") -> Tensor:
        """Draws a row for each env: uniform over the starts of its task.

        Args:
            task: [B] int64, indices into ``self.tasks``.
            generator: source of randomness; one number is drawn for each env.
            split: "train", "val", "test" or None for all three.

        Returns:
            [B] int64 rows.
        """
        names = [self.tasks[i] for i in sorted(set(task.tolist()))]
        numbers = torch.tensor([self.tasks.index(n) for n in names], device=task.device)
        uniform = torch.rand(len(task), generator=generator, device=task.device)
        return self.sampler(names, split)(torch.searchsorted(numbers, task), uniform)


class StartSampler:
    """Rows of a bank by task, as one padded table, so that a batch of draws is two gathers."""

    def __init__(self, rows: Sequence[Tensor]) -> None:
        self.counts = torch.tensor([len(r) for r in rows], device=rows[0].device)
        self.table = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
        # For the few envs that end at a step, calling torch costs more than the arithmetic.
        self._only = rows[0].numpy() if len(rows) == 1 and rows[0].device.type == "cpu" else None

    def __call__(self, task: Tensor, uniform: Tensor) -> Tensor:
        """Rows [B] for ``task`` [B] and numbers [B] in [0, 1)."""
        if self._only is not None:
            column = (uniform.numpy() * len(self._only)).astype(np.int64)
            return torch.from_numpy(self._only[np.minimum(column, len(self._only) - 1)])
        counts = self.counts[task]
        return self.table[task, torch.minimum((uniform * counts).long(), counts - 1)]
